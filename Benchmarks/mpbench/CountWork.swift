import CMultiprocessing

/// Run in a worker: the tutorial's loop. Compiles to the same instructions as `count_to` of the C baseline.
@inline(never)
func count(to limit: Int) -> Int {
    var counter = 0
    while counter < limit {
        counter = mp_opaque(counter + 1)
    }
    return counter
}
