import Multiprocessing

// A program of top-level code: the tests look whether its workers begin elsewhere than here.
@Sendable nonisolated func double(_ n: Int) -> Int { 2 * n }

print("main runs")
let child = ChildProcess(double, 21)
try child.start()
print(try child.result())
print(try withPool(processes: 2) { pool in try pool.map([1, 2, 3], double) })
