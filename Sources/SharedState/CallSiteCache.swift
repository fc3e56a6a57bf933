import Glibc
import Synchronization

/// Where a handle's process has found call sites in its lock's profile: to hash a file's name takes longer than to hold a lock.
@usableFromInline
struct CallSiteCache: @unchecked Sendable {
    // Unchecked: the words are only used atomically. A word: a hash of the site, the last byte replaced by its place in the profile. What another thread writes
    // at the same time is one word too, and as good.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private static let count = 16

    init() {
        words = .allocate(capacity: Self.count)
        for i in 0..<Self.count { (words + i).initialize(to: Atomic(0)) }
    }

    func deallocate() { words.deallocate() }

    func index(of site: CallSite) -> Int? {
        let tag = tag(of: site)
        let found = word(tag).pointee.load(ordering: .relaxed)
        return found & ~0xff == tag ? Int(found & 0xff) : nil
    }

    func remember(_ index: Int, of site: CallSite) {
        let tag = tag(of: site)
        word(tag).pointee.store(tag | UInt64(index), ordering: .relaxed)
    }

    private func word(_ tag: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> { words + Int(tag >> 60) }

    /// The text is a constant of the program, which its address tells from others.
    private func tag(of site: CallSite) -> UInt64 {
        let address = site.file.hasPointerRepresentation ? UInt64(UInt(bitPattern: site.file.utf8Start)) : 1
        return ((address &+ UInt64(site.line) << 48) &* 0x9e37_79b9_7f4a_7c15) & ~0xff
    }
}

extension CallSite {
    /// FNV-1a of the file's name and the line: the same in all processes.
    var key: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        file.withUTF8Buffer { $0.forEach(add) }
        for shift in stride(from: 0, to: 32, by: 8) { add(UInt8(truncatingIfNeeded: line >> UInt(shift))) }
        return hash | 1
    }

    /// Writes the file's name, or the end of a longer one.
    /// - Returns: how many bytes.
    func write(to address: UnsafeMutableRawPointer, atMost limit: Int) -> Int {
        file.withUTF8Buffer { bytes in
            let part = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes).suffix(limit))
            if let start = part.baseAddress { memcpy(address, start, part.count) }
            return part.count
        }
    }
}
