import DeathSupport
import Testing

/// A process may be killed before any instruction of what it does to shared memory: nothing is lost, nothing is torn, nothing is handed out twice.
@Suite(.enabled(if: ds_is_supported() && Laboratory.requested == nil, "processes cannot be stepped here"))
struct DeathTests {
    @Test(arguments: ["allocateSmall", "allocateSmallInNewGranule", "allocateLarge", "freeSmall", "freeLarge"])
    func inTheAllocator(_ experiment: String) throws { try Laboratory.run(experiment) }
}
