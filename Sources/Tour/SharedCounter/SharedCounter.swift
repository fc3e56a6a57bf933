// The tutorial's last listing: an initializer hands each worker of an executor a shared counter, and a task increments it.

import Multiprocessing

@main
struct SharedCounter {
    static func main() async throws {
        let counter = try SharedValue<Int32>(0)
        try await withProcessPoolExecutor(initializer: WorkerInitializer(setUp, counter)) { executor in
            try await executor.run(incrementValue)
            print(counter.value)
        }
    }
}
