/// What all encoders and containers of one `encodeBinary` share: the writer, and the slots that are being written.
///
/// Values are written where they belong, in one pass. A container's length is patched into its head when something behind it is written
/// for the first time. Only slots made by `nestedContainer` and `superEncoder` can be written to again after that: the rest of their
/// contents goes into a *piece* at the end of whatever container is open then, and a link leads there.
final class EncodingCore {
    let writer: ByteWriter
    // Unchecked as in ByteWriter, for the same reason.
    @exclusivity(unchecked) private var records: UnsafeMutablePointer<EncodingRecord>
    private var capacity = 8
    @exclusivity(unchecked) private(set) var recordCount = 0
    /// The record whose contents end where the writer stands.
    @exclusivity(unchecked) private var tail = -1
    /// How many `encode(to:)` are running inside each other.
    @exclusivity(unchecked) private var frame = 0
    @exclusivity(unchecked) private var lastSerial: UInt64 = 0
    @exclusivity(unchecked) private var stack = StackGuard()
    /// What went wrong in a call that cannot throw, until the next that can.
    @exclusivity(unchecked) var failure: (any Error)?

    init(_ writer: ByteWriter) {
        self.writer = writer
        records = .allocate(capacity: capacity)
    }

    deinit {
        records.deinitialize(count: recordCount)
        records.deallocate()
    }

    @inline(__always)
    subscript(index: Int) -> EncodingRecord {
        unsafeAddress { UnsafePointer(records + index) }
        unsafeMutableAddress { records + index }
    }

    // MARK: Records

    /// Opens a record at the end of the output, inside `parent`.
    func open(in parent: Int, key: PathKey, nested: Bool, contents: EncodingRecord.Contents = .nothing) -> Int {
        if recordCount == capacity { growRecords() }
        lastSerial += 1
        let index = recordCount
        (records + index).initialize(
            to: EncodingRecord(
                serial: lastSerial, frame: frame, level: parent < 0 ? 1 : self[parent].level + 1, parent: parent, key: key,
                start: writer.count,
                isNested: nested, enclosing: parent, contents: contents, head: writer.count))
        recordCount += 1
        tail = index
        return index
    }

    private func growRecords() {
        let larger = UnsafeMutablePointer<EncodingRecord>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: records, count: recordCount)
        records.deallocate()
        records = larger
        capacity *= 2
    }

    /// Forgets `index` and all records made after it.
    private func forget(from index: Int) {
        (records + index).deinitialize(count: recordCount - index)
        recordCount = index
    }

    func isCurrent(_ ref: EncodingRef) -> Bool {
        ref.index >= 0 && ref.index < recordCount && self[ref.index].serial == ref.serial
    }

    /// Makes the end of the output the place where the contents of `ref` go on.
    @inline(__always)
    func activate(_ ref: EncodingRef) throws {
        guard isCurrent(ref) else { throw failure ?? outdated() }
        guard self[ref.index].frame == frame else { throw usedFromInside(ref) }
        if tail != ref.index { try activateSlowly(ref.index) }
    }

    private func activateSlowly(_ index: Int) throws {
        var around = index
        // The top record of a frame stays open as long as the frame runs, so this ends.
        while !self[around].isOpen { around = self[around].parent }
        while tail != around { close(tail) }
        guard around != index else { return }
        let previous = self[index].head
        let here = writer.count
        let memory = try writer.reserve(Head.pieceSize)
        memory.storeBytes(of: Head.word(Tag.piece, length: 0), as: UInt64.self)
        memory.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
        memory.storeBytes(of: UInt64(here - self[index].start), toByteOffset: 16, as: UInt64.self)
        writer.advance(by: Head.pieceSize)
        writer.patch(UInt64(here - previous), at: previous + 8)
        self[index].head = here
        self[index].isOpen = true
        self[index].enclosing = around
        tail = index
    }

    /// Ends the contents of a record for now, and goes back to the one around it.
    @inline(__always)
    private func close(_ index: Int) {
        patchLength(index)
        self[index].isOpen = false
        tail = self[index].enclosing
    }

    /// Writes how long the piece being written is so far.
    func patchLength(_ index: Int, upTo end: Int? = nil) {
        let record = self[index]
        let isPiece = record.head != record.start
        guard isPiece || record.isNested || record.contents == .keyed || record.contents == .unkeyed else { return }
        let length = (end ?? writer.count) - record.contentStart
        writer.patch(Head.word(isPiece ? Tag.piece : record.tag, length: length), at: record.head)
    }

    /// Notes what a slot holds, in its head too where that is already written.
    func setContents(_ contents: EncodingRecord.Contents, of index: Int) {
        self[index].contents = contents
        if self[index].isNested { writer.patch(self[index].tag, at: self[index].start) }
    }

    // MARK: Values

    /// Runs `body` for a value of its own record. What `body` wrote is taken back when it throws.
    @inline(__always)
    func withFrame<T>(
        in parent: Int, key: PathKey, of value: T, contents: EncodingRecord.Contents = .nothing, _ body: (Int) throws -> Void
    ) throws {
        let start = writer.count
        let retained = writer.retained.count
        frame += 1
        let index = open(in: parent, key: key, nested: false, contents: contents)
        do {
            if let refusal = stack.refusal(atLevel: self[index].level) { throw invalid(value, at: index, refusal) }
            try body(index)
            if let failure { throw failure }
            while tail != index { close(tail) }
            if self[index].contents == .nothing { try writer.append(Tag.empty) }
        } catch {
            failure = nil
            forget(from: index)
            tail = parent
            frame -= 1
            writer.truncate(to: start, retained: retained)
            throw error
        }
        close(index)
        tail = parent
        forget(from: index)
        frame -= 1
    }

    // MARK: Errors

    func codingPath(of index: Int) -> [any CodingKey] {
        var path: [any CodingKey] = []
        var at = index
        while at >= 0 {
            if let key = self[at].key.codingKey { path.append(key) }
            at = self[at].parent
        }
        return path.reversed()
    }

    func invalid(_ value: Any, at index: Int, _ reason: String) -> EncodingError {
        .invalidValue(value, .init(codingPath: codingPath(of: index), debugDescription: reason))
    }

    private func outdated() -> EncodingError {
        .invalidValue(
            self,
            .init(codingPath: [], debugDescription: "an encoder or container was used after the encode(to:) it belongs to had returned"))
    }

    private func usedFromInside(_ ref: EncodingRef) -> EncodingError {
        invalid(
            self, at: ref.index,
            "a container was written to by a value inside it, in mid-encoding; write to the encoder given to encode(to:)")
    }
}

/// Names a record, safely also after it is gone. Small enough to sit inside an existential.
struct EncodingRef {
    let core: EncodingCore
    let index: Int
    let serial: UInt64

    @inline(__always)
    init(_ core: EncodingCore, _ index: Int) {
        self.core = core
        self.index = index
        serial = index < 0 ? 0 : core[index].serial
    }

    var codingPath: [any CodingKey] { core.isCurrent(self) ? core.codingPath(of: index) : [] }

    /// What a call that cannot throw returns when it fails: every use of it throws the reason.
    func failed(_ error: any Error) -> EncodingRef {
        if core.failure == nil { core.failure = error }
        return EncodingRef(core, -1)
    }
}
