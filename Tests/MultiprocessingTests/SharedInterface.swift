import Multiprocessing

// The shapes of the shared objects that programs have been written against. What is here compiles, or programs do not.

private protocol Locking {
    func lock() throws
    func tryLock() throws -> Bool
    func lock(timeout: Duration) throws -> Bool
    func unlock() throws
    func withLock<R>(_ body: () throws -> R) throws -> R
}

extension SharedLock: Locking {}
extension SharedRecursiveLock: Locking {}

private protocol Repairing {
    init(name: String?, kind: LockKind, profiling: Bool) throws
    func withLock<R>(repair: () throws -> Void, _ body: () throws -> R) throws -> R
    var profile: LockProfile { get }
}

extension SharedLock: Repairing {}

private protocol Counting {
    init(_ value: Int, bound: Int?) throws
    func acquire() throws
    func acquire(timeout: Duration) throws -> Bool
    func tryAcquire() throws -> Bool
    func release() throws
}

extension SharedSemaphore: Counting {}

private protocol Notifying {
    init(lock: SharedLock) throws
    func wait() throws
    func wait(timeout: Duration) throws -> Bool
    func notify(_ count: Int) throws
    func notifyAll() throws
}

extension SharedCondition: Notifying {}

private protocol Happening {
    init() throws
    var isSet: Bool { get }
    func set() throws
    func clear() throws
    func wait() throws
    func wait(timeout: Duration) throws -> Bool
}

extension SharedEvent: Happening {}

private protocol Meeting {
    init(parties: Int) throws
    func wait() throws -> Int
    func wait(timeout: Duration) throws -> Int
    func abort() throws
    func reset() throws
}

extension SharedBarrier: Meeting {}

private protocol ReadingAndWriting {
    init() throws
    func withReadLock<R>(_ body: () throws -> R) throws -> R
    func withWriteLock<R>(_ body: () throws -> R) throws -> R
}

extension SharedReadWriteLock: ReadingAndWriting {}

private protocol Exchanging<Value> {
    associatedtype Value
    init(_ initial: Value) throws
    func load() -> Value
    func store(_ value: Value)
    @discardableResult func exchange(_ value: Value) -> Value
    @discardableResult func compareExchange(expected: Value, desired: Value) -> (exchanged: Bool, original: Value)
}

extension SharedAtomic: Exchanging {}

private protocol Passing<Element> {
    associatedtype Element
    init(capacity: Int) throws
    func put(_ value: Element) throws
    func put(_ value: Element, timeout: Duration) throws -> Bool
    func get() throws -> Element
    func get(timeout: Duration) throws -> Element?
}

extension SharedQueue: Passing {}

private protocol Connecting {
    func send<T: Codable & Sendable>(_ value: T) throws
    func receive<T: Codable & Sendable>(_ type: T.Type) throws -> T
    func close() throws
}

extension Connection: Connecting {}

private protocol Naming {
    static func create(name: String, size: Int) throws -> SharedMemory
    static func open(name: String) throws -> SharedMemory
    static func unlink(name: String) throws
    func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R
}

extension SharedMemory: Naming {}

/// As calls, with what has defaults left out, and in an asynchronous function, which must not be given an asynchronous form instead.
private func calls() async throws {
    let lock = try SharedLock()
    _ = try SharedLock(name: "a", kind: .pthreadRobust, profiling: true)
    try lock.lock()
    try lock.unlock()
    _ = try lock.tryLock()
    try lock.withLock(repair: {}) {}
    let _: String = LockProfile.report()
    let condition = try SharedCondition(lock: lock)
    try condition.notify()
    try condition.wait()
    let semaphore = try SharedSemaphore(1)
    try semaphore.acquire()
    let atomic = try SharedAtomic<Int32>(0)
    atomic.add(1)
    let sum: Int32 = atomic.add(1)
    let (exchanged, original) = atomic.compareExchange(expected: sum, desired: 1)
    let queue = try SharedQueue<[String]>(capacity: 3)
    try queue.put(["\(exchanged)", "\(original)"])
    _ = try queue.get()
    let (a, b): (Connection, Connection) = try pipe()
    try a.send(5)
    let _: Int = try b.receive()
    try b.close()
    let _: Int? = try await lock.async.withLock(timeout: .zero) { 1 }
    let _: Int? = try await SharedRecursiveLock().async.withLock(timeout: .zero) { 1 }
    let _: Int? = try await SharedValue(1).async.withLock(timeout: .zero) { $0 }
    let _: Int? = try await SharedArray([1]).async.withLock(timeout: .zero) { $0[0] }
    let _: Int? = try await condition.async.withLock(timeout: .zero, when: { true }) { 1 }
    let _: Int = try await SharedBarrier(parties: 1).async.wait(timeout: .zero)
    let _: Bool = try await semaphore.async.acquire(timeout: .zero)
    let _: Bool = try await SharedEvent().async.wait(timeout: .zero)
    let _: Bool = try await a.async.send(5, timeout: .zero)
    let _: Int? = try await b.async.receive(timeout: .zero)
}
