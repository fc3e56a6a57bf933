// The tutorial's third listing: both calls run at the same time, and `get` waits for one result.

import Multiprocessing

/// The greeting that a worker makes up.
func sayHello(_ name: String) -> String {
    "Hi there, \(name)"
}

try withPool { pool in
    let hiJeff = pool.applyAsync(sayHello, "Jeff")
    let hiJohn = pool.applyAsync(sayHello, "John")
    print(try hiJeff.get())
    print(try hiJohn.get())
}
