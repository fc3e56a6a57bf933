import BenchmarkSupport
import Multiprocessing

extension LockProfile {
    /// All of it as a JSON object on one line; times in nanoseconds, shares from 0 to 1.
    var jsonLine: String {
        var object = JSONObject()
        object.add("lock", name)
        object.add("kind", kind.rawValue)
        object.add("created", created.description)
        object.add("place", Double(place))
        object.add("age", age)
        object.add("acquisitions", Double(acquisitions))
        object.add("contended", Double(contended))
        object.add("contended_share", contendedShare)
        object.add("owner_changes", Double(ownerChanges))
        object.add("owner_deaths", Double(ownerDeaths))
        object.add("timeouts", Double(timeouts))
        object.add("waited_in_vain", waitedInVain)
        object.add("spun", spun.map(Double.init) ?? .nan)
        object.add("slept", slept.map(Double.init) ?? .nan)
        object.add("wakes", wakes.map(Double.init) ?? .nan)
        object.add("held_by", heldBy.map(Double.init) ?? .nan)
        object.add("fairness", fairness)
        object.add("time_lost", timeLost)
        object.add("time_lost_share", timeLostShare)
        object.add("wait", [wait.json])
        object.add("hold", [hold.json])
        object.add("processes", processes.map(\.json))
        object.add("waiting_sites", waitingSites.map(\.json))
        object.add("holding_sites", holdingSites.map(\.json))
        return object.text
    }
}

extension JSONObject {
    fileprivate mutating func add(_ key: String, _ duration: Duration) { add(key, (duration / .nanoseconds(1)).rounded()) }
}

extension LockProfile.Times {
    fileprivate var json: JSONObject {
        var object = JSONObject()
        object.add("count", Double(count))
        object.add("samples", Double(samples))
        object.add("total", total)
        object.add("mean", mean)
        object.add("p50", p50)
        object.add("p99", p99)
        object.add("p99.9", p999)
        object.add("max", max)
        object.add(
            "histogram",
            histogram.map {
                var bucket = JSONObject()
                bucket.add("from", $0.start)
                bucket.add("to", $0.end)
                bucket.add("count", Double($0.count))
                return bucket
            })
        return object
    }
}

extension LockProfile.ProcessShare {
    fileprivate var json: JSONObject {
        var object = JSONObject()
        object.add("pid", Double(processIdentifier))
        object.add("count", Double(count))
        object.add("ended", hasEnded ? 1 : 0)
        object.add("acquisitions", Double(acquisitions))
        object.add("share", share)
        object.add("contended", Double(contended))
        object.add("waited", waited)
        return object
    }
}

extension LockProfile.SiteTimes {
    fileprivate var json: JSONObject {
        var object = JSONObject()
        object.add("site", site.description)
        object.add("count", Double(count))
        object.add("total", total)
        return object
    }
}
