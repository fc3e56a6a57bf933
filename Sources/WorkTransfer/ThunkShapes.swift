import Synchronization

/// The shapes of boxes that have been seen. Reading one from its metadata means to read mangled names, too slowly for a function that is called again and again.
///
/// Metadata of boxes is part of an image, so there is only so much of it, and it stays. A table of lists that only ever grow at their heads; no lock, as a lock held by
/// another thread at the moment of a fork would stay locked in the child. Two threads that meet here make two entries for one box, which is harmless.
enum ThunkShapes {
    private struct Record {
        let metadata: UnsafeRawPointer
        let shape: ThunkBox.Shape
        let next: UnsafeMutablePointer<Record>?
    }
    private typealias Bucket = UnsafeMutablePointer<Atomic<UnsafeMutablePointer<Record>?>>

    private static let bits = 6
    // An atomic, as that is there when the program is loaded. (Unsafe: the compiler does not take pointers for Sendable, but these are only used atomically.)
    private nonisolated(unsafe) static let buckets = Atomic<Bucket?>(nil)

    @inline(__always)
    static func shape(of metadata: UnsafeRawPointer) throws(CaptureRefusal) -> ThunkBox.Shape {
        let hash = UInt(bitPattern: metadata) &* 0x9E37_79B9_7F4A_7C15
        let bucket = (buckets.load(ordering: .acquiring) ?? makeBuckets()) + Int(hash >> UInt(UInt.bitWidth - bits))
        var candidate = bucket.pointee.load(ordering: .acquiring)
        while let record = candidate {
            if record.pointee.metadata == metadata { return record.pointee.shape }
            candidate = record.pointee.next
        }
        return try add(metadata, to: bucket)
    }

    @inline(never)
    private static func add(_ metadata: UnsafeRawPointer, to bucket: Bucket) throws(CaptureRefusal) -> ThunkBox.Shape {
        // What is refused is not kept: it is the way to an error.
        let shape = try ThunkBox.shape(of: metadata)
        let record = UnsafeMutablePointer<Record>.allocate(capacity: 1)
        var head = bucket.pointee.load(ordering: .acquiring)
        while true {
            record.initialize(to: Record(metadata: metadata, shape: shape, next: head))
            let (exchanged, now) = bucket.pointee.compareExchange(expected: head, desired: record, ordering: .acquiringAndReleasing)
            if exchanged { return shape }
            head = now
        }
    }

    @inline(never)
    private static func makeBuckets() -> Bucket {
        let new = Bucket.allocate(capacity: 1 << bits)
        for place in 0..<1 << bits { (new + place).initialize(to: Atomic(nil)) }
        let (exchanged, original) = buckets.compareExchange(expected: nil, desired: new, ordering: .acquiringAndReleasing)
        if exchanged { return new }
        new.deallocate()
        return original.unsafelyUnwrapped
    }
}
