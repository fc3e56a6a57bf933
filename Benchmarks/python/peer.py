"""What the library is measured against in Python: the standard library's pools, run beside mpbench and told what to do by it.

Reads orders from descriptor 0, a line each, and answers each on descriptor 1: "ok" and a number, or "error" and a text. Only what the
order is about is timed, with the clock of this process, so the way here and back is in no figure. Between orders everything sleeps.

Imports no more than it needs: its workers are copies of it, and their memory is one of the things that are measured.
"""
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

# The start method that is nearest to the library's, and the fastest one that Python has. Newer versions default to another.
CONTEXT = get_context("fork")
now = time.perf_counter_ns


def square(number):
    return number * number


def nothing():
    return None


def start_executor(workers):
    executor = ProcessPoolExecutor(workers, mp_context=CONTEXT)
    # Workers come with work: enough of it that all are there.
    list(executor.map(square, range(100 * workers)))
    return executor


def start_pool(workers):
    pool = CONTEXT.Pool(workers)
    pool.map(square, range(100 * workers), chunksize=1)
    return pool


kept = {}


def keep(make, *arguments):
    """What `make` returns, made by the first order that needs it: starting a pool is measured by orders of its own."""
    key = (make, arguments)
    if key not in kept:
        kept[key] = make(*arguments)
    return kept[key]


def check(results, tasks):
    if results != [number * number for number in range(tasks)]:
        raise ValueError("a task came back with another result than its own")


def median(lengths):
    return sorted(lengths)[len(lengths) // 2]


# Orders. Each returns the nanoseconds that it took, but for `memory` and `contend`.


def map_tasks(workers, tasks):
    """python.ProcessPoolExecutor: `map` with its default, a chunk of one; all results taken."""
    executor = keep(start_executor, workers)
    began = now()
    results = list(executor.map(square, range(tasks), chunksize=1))
    length = now() - began
    check(results, tasks)
    return length


def submit_tasks(workers, tasks):
    """python.ProcessPoolExecutor: `submit` one by one, then `result` of each."""
    executor = keep(start_executor, workers)
    began = now()
    futures = [executor.submit(square, number) for number in range(tasks)]
    results = [future.result() for future in futures]
    length = now() - began
    check(results, tasks)
    return length


def apply_calls(batches, calls):
    """python.Pool.apply: one call after the other, in a pool of one. The median of so many batches, an odd number."""
    pool = keep(start_pool, 1)
    lengths = []
    for _ in range(batches):
        began = now()
        for _ in range(calls):
            pool.apply(nothing)
        lengths.append(now() - began)
    return median(lengths)


made = {}


def give(size):
    """Run in a worker: the same bytes each time, made by the first call."""
    if size not in made:
        made[size] = b"\x07" * size
    return made[size]


def return_bytes(size):
    """python.ProcessPoolExecutor: a large result, returned by a worker that has it ready."""
    executor = keep(start_executor, 1)
    began = now()
    found = len(executor.submit(give, size).result())
    length = now() - began
    if found != size:
        raise ValueError(f"{found} bytes came back instead of {size}")
    return length


def run_processes(times):
    """python.Process: start and join. The median of so many, an odd number."""
    lengths = []
    for _ in range(times):
        began = now()
        process = CONTEXT.Process(target=nothing)
        process.start()
        process.join()
        lengths.append(now() - began)
    return median(lengths)


def run_pool(workers, times):
    """python.Pool: made, a tiny task for each worker, closed, joined. The median of so many, an odd number."""
    lengths = []
    for _ in range(times):
        began = now()
        pool = CONTEXT.Pool(workers)
        pool.map(square, range(workers), chunksize=1)
        pool.close()
        pool.join()
        lengths.append(now() - began)
    return median(lengths)


def increment(value, times, start, spans, member):
    start.wait()
    spans[2 * member] = now()  # of a clock that all processes share
    for _ in range(times):
        with value.get_lock():
            value.value += 1
    spans[2 * member + 1] = now()


def increment_contended(workers, times):
    """python.Value.get_lock: each of so many processes increments back to back; from the start of the first to the end of the last."""
    value, start, spans = CONTEXT.Value("q", 0), CONTEXT.Barrier(workers), CONTEXT.RawArray("q", 2 * workers)
    processes = [CONTEXT.Process(target=increment, args=(value, times, start, spans, member)) for member in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if value.value != workers * times:
        raise ValueError(f"{value.value} increments were made instead of {workers * times}")
    return max(spans[1::2]) - min(spans[::2])


WAIT_BUCKETS = 592  # as in CBaselines/include/cb_waits.h


def wait_bucket(length):
    if length < 16:
        return length
    exponent = length.bit_length() - 1
    return WAIT_BUCKETS - 1 if exponent >= 40 else (exponent - 3) * 16 + (length >> exponent - 4 & 15)


def wait_floor(bucket):
    """The shortest wait in a bucket, in ns."""
    return bucket if bucket < 16 else (16 + bucket % 16) << bucket // 16 - 1


def spend(length):
    until = now() + length
    while now() < until:
        pass


def take_turns(lock, value, start, length, inside, outside, timed, processor, results):
    if processor >= 0:
        os.sched_setaffinity(0, [processor])
    start.wait()
    began, times, waits = now(), 0, []
    while True:
        asked = now() if timed else 0
        with lock:
            if timed:
                waits.append(now() - asked)
            value.value += 1
            if inside:
                spend(inside)
        if outside:
            spend(outside)
        times += 1
        # A look at the clock costs a tenth of such a turn.
        if now() >= began + length:
            break
    counts = [0] * WAIT_BUCKETS
    for wait in waits:
        counts[wait_bucket(wait)] += 1
    results[:] = [times, began, now()] + counts


def contend(kind, what, length, inside, outside, *processors):
    """python.Lock (kind 0), python.Value.get_lock (kind 1): a process on each of `processors` (negative: anywhere) takes turns for `length` ns, with so many ns of work
    under the lock and after it. What 0: turns a thousand seconds; 1: the slowest's share over an equal one, in millionths; 2: the 99.9th percentile of the waits, in ns."""
    workers = len(processors)
    value, start = CONTEXT.Value("q", 0), CONTEXT.Barrier(workers)
    lock = value.get_lock() if kind == 1 else CONTEXT.Lock()
    # Without the lock of its own, which would be a second one around the first.
    inner = value if kind == 1 else value.get_obj()
    results = [CONTEXT.RawArray("q", 3 + WAIT_BUCKETS) for _ in processors]
    processes = [
        CONTEXT.Process(target=take_turns, args=(lock, inner, start, length, inside, outside, what == 2, processor, result))
        for processor, result in zip(processors, results)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    times = [result[0] for result in results]
    if value.value != sum(times):
        raise ValueError(f"{value.value} increments were made instead of {sum(times)}")
    if what == 0:
        return sum(times) * 10**12 // (max(result[2] for result in results) - min(result[1] for result in results))
    if what == 1:
        return min(times) * workers * 10**6 // sum(times)
    counts = [sum(result[3 + bucket] for result in results) for bucket in range(WAIT_BUCKETS)]
    below = 0
    for bucket, count in enumerate(counts):
        below += count
        if count and below * 1000 >= sum(counts) * 999:
            return (wait_floor(bucket) + wait_floor(bucket + 1) - 1) // 2
    raise ValueError("no wait was timed")


def pin(processor):
    if processor >= 0:
        os.sched_setaffinity(0, [processor])


def put_values(queue, values, start, span, processor):
    pin(processor)
    start.wait()
    span[0] = now()
    for value in range(values):
        queue.put(value)
    span[1] = now()


def get_values(queue, values, start, span, processor):
    pin(processor)
    start.wait()
    span[0] = now()
    span[2] = sum(queue.get() for _ in range(values))
    span[1] = now()


def exchange(kind, capacity, putters, values, *processors):
    """python.Queue (kind 0, for so many values at once), python.SimpleQueue (kind 1, for what a pipe holds): the first of the processes put `values` numbers each, the others take
    all of them out, each as many; from the start of the first to the end of the last."""
    queue, start = CONTEXT.SimpleQueue() if kind == 1 else CONTEXT.Queue(capacity), CONTEXT.Barrier(len(processors))
    spans = [CONTEXT.RawArray("q", 3) for _ in processors]
    share = putters * values // (len(processors) - putters)
    processes = [
        CONTEXT.Process(target=put_values if member < putters else get_values, args=(queue, values if member < putters else share, start, span, processor))
        for member, (processor, span) in enumerate(zip(processors, spans))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if sum(span[2] for span in spans) != putters * (values * (values - 1) // 2):
        raise ValueError("other values came out of the queue than were put")
    return max(span[1] for span in spans) - min(span[0] for span in spans)


def drain(connection, kind, times):
    connection.send_bytes(b"ready")
    found = sum(len(connection.recv_bytes()) for _ in range(times)) if kind == 0 else sum(connection.recv() for _ in range(times))
    connection.send(found)


def stream(kind, size, times):
    """python.Pipe: `times` messages from this process to another, which answers the last one. Kind 0: of `size` bytes; kind 1: a number."""
    mine, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=drain, args=(theirs, kind, times))
    process.start()
    mine.recv_bytes()
    data = b"\x07" * size
    began = now()
    if kind == 0:
        for _ in range(times):
            mine.send_bytes(data)
    else:
        for number in range(times):
            mine.send(number)
    found = mine.recv()
    length = now() - began
    process.join()
    mine.close()
    theirs.close()
    if found != (size * times if kind == 0 else times * (times - 1) // 2):
        raise ValueError("something else was received than was sent")
    return length


def resident_share(process):
    """The bytes of a process, those that it shares divided by how many share them (PSS)."""
    with open(f"/proc/{process}/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise OSError(f"process {process} has no Pss")


def asleep(process):
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def measure_memory(workers):
    """python.Pool: the bytes of a worker that has done a few tasks and sleeps, the mean over the pool."""
    with CONTEXT.Pool(workers) as pool:
        pool.map(square, range(100 * workers), chunksize=1)
        processes = [worker.pid for worker in pool._pool]
        while not all(asleep(process) for process in processes):
            time.sleep(0.0005)
        return sum(resident_share(process) for process in processes) // workers


ORDERS = {
    "map": map_tasks,
    "submit": submit_tasks,
    "apply": apply_calls,
    "return": return_bytes,
    "process": run_processes,
    "pool": run_pool,
    "lock": increment_contended,
    "contend": contend,
    "exchange": exchange,
    "stream": stream,
    "memory": measure_memory,
    "version": lambda: sys.version_info[0] * 1000 + sys.version_info[1],
}


def end(*_):
    # Pools are not asked to end: some can hang, and nothing of theirs is worth keeping. mpbench made this process a group's leader.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main():
    # Sent when mpbench dies; its end also shows as the end of the orders, but not in the middle of one.
    signal.signal(signal.SIGUSR1, end)
    orders = b""
    while True:
        line, separator, rest = orders.partition(b"\n")
        if not separator:
            more = os.read(0, 4096)
            if not more:
                end()
            orders += more
            continue
        orders = rest
        try:
            name, *numbers = line.decode().split()
            answer = f"ok {ORDERS[name](*map(int, numbers))}"
        except Exception as error:
            answer = "error " + f"{type(error).__name__}: {error}".replace("\n", " ")
        os.write(1, answer.encode() + b"\n")


if __name__ == "__main__":
    main()
