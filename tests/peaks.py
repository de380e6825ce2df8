"""How much memory a piece of code takes at its highest."""

import tracemalloc


def under(nbytes, tries=3):
    """Run a loop's body until it took less memory than this, at any moment; three times at most.

    ``tracemalloc`` counts what every thread of the process takes, also one that an earlier test
    left to run out. What the body itself takes it takes each time.
    """
    peaks = []
    for _ in range(tries):
        tracemalloc.start()
        try:
            yield
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        if peaks[-1] < nbytes:
            return
    raise AssertionError(f"Expected less than {nbytes:.0f} bytes at any moment; got {peaks}.")
