// The tutorial's second listing: a pool brings results back, and `apply` waits for each.

import Multiprocessing

/// The greeting that a worker makes up.
func sayHello(_ name: String) -> String {
    "Hi there, \(name)"
}

try withPool { pool in
    let hiJeff = try pool.apply(sayHello, "Jeff")
    let hiJohn = try pool.apply(sayHello, "John")
    print(hiJeff)
    print(hiJohn)
}
