/// What an encoder offers to a shared object (a `SharedValue`, a `SharedLock`): to let its *place* travel instead of its contents.
///
/// Only this module's encoder adopts it. A shared object asks its encoder for it in `encode(to:)`, and throws where the encoder is another
/// (JSON, a property list), because a place in shared memory means nothing outside the family of processes.
package protocol SharedHandleEncoder {
    /// Writes `handle` in place of the value, and keeps `object` alive until the receiver has decoded it.
    func encode(handle: UInt64, of object: AnyObject) throws
}

/// The counterpart of ``SharedHandleEncoder``.
package protocol SharedHandleDecoder {
    /// Reads what ``SharedHandleEncoder/encode(handle:of:)`` wrote. The bytes may be anything: the caller checks the handle.
    func decodeHandle() throws -> UInt64
}
