import Glibc

/// The page of `--report`, written anew after each measurement, so that an interrupted run leaves a page of what it had.
final class ReportFile {
    private let path: String

    init(path: String) { self.path = path }

    /// The file holds `text` afterwards. It is written beside and put in place as a whole: a browser never loads half a page.
    func replace(with text: String) throws {
        let draft = path + ".part"
        // "e": workers that are forked meanwhile must not hold the file open.
        guard let file = fopen(draft, "we") else { throw failure(errno) }
        let written = fputs(text, file)
        // Buffered text reaches the disk here, so a full one shows only now.
        guard fclose(file) == 0, written >= 0, rename(draft, path) == 0 else {
            let code = errno
            unlink(draft)
            throw failure(code)
        }
    }

    private func failure(_ code: Int32) -> CannotWrite { CannotWrite(path: path, code: code, option: "--report") }
}

/// When and on what machine, in words: figures without it mean little.
func machineText() -> String {
    var system = utsname()
    uname(&system)
    // The structure's texts are arrays in C, tuples here.
    let kernel = withUnsafeBytes(of: system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let model = smallFile("/proc/cpuinfo")?.split(separator: "\n").first { $0.hasPrefix("model name") }?
        .split(separator: ":").last.map { String($0.drop { $0 == " " }) }
    var moment = time(nil)
    var parts = tm()
    gmtime_r(&moment, &parts)
    let digits = { (number: Int32) in number < 10 ? "0\(number)" : String(number) }
    let date =
        "\(1900 + parts.tm_year)-\(digits(parts.tm_mon + 1))-\(digits(parts.tm_mday)) \(digits(parts.tm_hour)):\(digits(parts.tm_min)) UTC"
    return "\(date); \(model ?? "unknown processor"), Linux \(kernel)"
}
