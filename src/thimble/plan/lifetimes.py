"""first..last per buffer, from the order of the steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def lifetimes(
    steps: Sequence[tuple[Collection[int], Collection[int]]],
    buffers: int,
    live_in: Collection[int],
    live_out: Collection[int],
) -> list[tuple[int, int] | None]:
    """(first, last) = the first and last step that touches each buffer, inclusive; None: unused.

    `steps` are (reads, writes) in execution order. Buffers of `live_in` hold data before step 0, so
    they live from step 0; buffers of `live_out` are read after the end, so they live to the last
    step. A buffer that is written and never read still lives in the step that writes it.
    """
    first: list[int | None] = [None] * buffers
    last = [0] * buffers
    end = max(len(steps) - 1, 0)
    for index in live_in:
        first[index] = 0
    for step, (reads, writes) in enumerate(steps):
        for index in (*reads, *writes):
            if first[index] is None:
                first[index] = step
            last[index] = step
    for index in live_out:
        if first[index] is None:
            first[index] = 0
        last[index] = end
    return [None if begin is None else (begin, last[i]) for i, begin in enumerate(first)]
