import CMultiprocessing
import Synchronization
import SystemLayer

/// The announcement: that somebody may sleep, and who has asked for the lock.
///
/// A lock that whoever comes first may take is fast, but who has to be woken for it is always later than its last owner, who wants it again. So one that was
/// woken in vain a few times puts its token here. From then on those who do not get the lock in the first way they try leave it alone when it is free, and
/// who lets go of it makes that first way fail and wakes the one that has asked. All of this is advice: any state of both words in which nobody holds the lock
/// is one in which anybody may take it, and who has waited too long does.
extension OwnerLock {
    static let announced: UInt32 = 1

    /// The token of who has asked, by an announcement; or 0.
    static func asker(_ announcement: UInt32) -> UInt32 { announcement >> 1 }

    /// Whether the caller should take the lock if it is free.
    func isFor(_ token: UInt32) -> Bool {
        let asker = Self.asker(announcement.pointee.load(ordering: .relaxed))
        return asker == 0 || asker == token
    }

    /// Announces that the caller may sleep.
    /// - Parameter token: the caller, if it asks for the lock; else 0. It has asked in vain if another has.
    /// - Returns: the word after that, whose owner will see the announcement when it lets go; the announcement; and whether that is sure, which needs the
    ///   kernel's help.
    func announce(asking token: UInt32 = 0) -> (current: UInt32, announcement: UInt32, isSure: Bool) {
        var seen = announcement.pointee.load(ordering: .relaxed)
        var new: UInt32
        repeat {
            new = seen | Self.announced
            if token != 0, Self.asker(seen) == 0 { new |= token << 1 }
        } while !change(&seen, to: new)
        let isSure = mp_fence_heavy()
        return (word.pointee.load(ordering: .acquiring), new, isSure)
    }

    /// Takes back what the thread of `token` has asked.
    func withdraw(_ token: UInt32) {
        var seen = announcement.pointee.load(ordering: .relaxed)
        while Self.asker(seen) == token, !change(&seen, to: seen & Self.announced) {}
    }

    /// Takes back what any thread has asked, which may not be there to take the lock.
    func withdrawAll() {
        var seen = announcement.pointee.load(ordering: .relaxed)
        while Self.asker(seen) != 0 {
            // If it is there, after all, and sleeps, it asks again.
            if change(&seen, to: seen & Self.announced) { return word.wakeAll() }
        }
    }

    private func change(_ seen: inout UInt32, to new: UInt32) -> Bool {
        let (exchanged, original) = announcement.pointee.compareExchange(expected: seen, desired: new, ordering: .acquiringAndReleasing)
        seen = original
        return exchanged
    }

    /// Calls who is to have the lock next, after it was let go.
    func callNext() {
        var seen = announcement.pointee.load(ordering: .relaxed)
        while seen != 0 {
            if Self.asker(seen) != 0 {
                // If another has been faster, that one does the same when it lets go.
                if leave() { word.wakeAll() }
                return
            }
            if change(&seen, to: 0) {
                announcement.wake()
                return
            }
        }
    }

    /// Calls who has asked, if somebody has, in place of a thread that has ended when it was about to.
    func callAsker() {
        if Self.asker(announcement.pointee.load(ordering: .acquiring)) != 0 { leave() }
        // Who asks sleeps on the word. As its token stands there until it has the lock, it cannot have missed a change of owners that leads back to the same one.
        word.wakeAll()
    }

    /// Keeps the lock, if it is free, from being taken in the first way that is tried.
    @discardableResult
    private func leave() -> Bool {
        word.pointee.compareExchange(expected: 0, desired: Self.left, ordering: .acquiringAndReleasing).exchanged
    }
}
