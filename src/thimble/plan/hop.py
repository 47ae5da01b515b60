"""Endless execution row by row: what each hop of new input rows sets in motion, and what is kept.

Rows are numbered as in one window; in hop k the same row of the next windows lies k * step further.
`order` computes every row as soon as its inputs are there, through rings that outlive the hop.
`check` is the independent judge: it replays several hops on rings whose rows carry their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm

from thimble.plan.stream import Turn, Use

ARRIVAL = -1  # the task of a turn in which a row of the source arrives (y_count 0: not needed)


@dataclass(frozen=True)
class Fresh:
    """Rows [first, end) of a buffer are new in hop 0, those k * step further in hop k."""

    first: int
    end: int
    step: int


@dataclass(frozen=True)
class HopTask:
    """Computes the fresh rows of `output` (or some channels of them) out of its `uses`."""

    output: int
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class WholeRead:
    """Rows [first, end) of a buffer that are read at the end of each hop."""

    buffer: int
    first: int
    end: int


@dataclass(frozen=True)
class HopOrder:
    """The turns of one hop, and the rows that each buffer holds.

    kept: buffers that hold something while a row is waited for -> rows kept for the next hop.
    """

    turns: tuple[Turn, ...]
    rings: Mapping[int, int]
    kept: Mapping[int, int]


def order(
    tasks: Sequence[HopTask],
    fresh: Mapping[int, Fresh],
    source: int,
    arrivals: range,
    reads: Sequence[WholeRead],
) -> HopOrder:
    """Eager order of `tasks`, which are in dependency order; rows `arrivals` of `source` come in.

    Every buffer that is written or used is in `fresh`.
    """
    done = [fresh[task.output].first for task in tasks]
    written = {buffer: f.end - f.step for buffer, f in fresh.items()}
    writers = {b: [i for i, task in enumerate(tasks) if task.output == b] for b in fresh}
    rings = dict.fromkeys(fresh, 1)
    turns: list[Turn] = []

    def oldest(buffer: int, after: bool = False) -> int:
        """The first row that is still to be read; `after`: by the next hop."""
        moved = fresh[buffer].step if after else 0
        rows = [read.first + moved for read in reads if read.buffer == buffer]
        for i, task in enumerate(tasks):
            f = fresh[task.output]
            following = done[i] if done[i] < f.end else f.first + f.step
            rows += [following * u.stride - u.pad for u in task.uses if u.buffer == buffer]
        return min(rows, default=fresh[buffer].end)

    def wrote(buffer: int, first: int, end: int) -> None:
        rings[buffer] = max(rings[buffer], end - min(oldest(buffer), first))

    waiting: set[int] = set()
    for row in arrivals:
        waiting |= {b for b in fresh if oldest(b) < written[b]}
        is_fresh = fresh[source].first <= row < fresh[source].end
        turns.append(Turn(ARRIVAL, row, int(is_fresh)))
        if is_fresh:
            written[source] = row + 1
            wrote(source, row, row + 1)
        for i, task in enumerate(tasks):
            end, stop = done[i], fresh[task.output].end
            while end < stop and all(
                end * u.stride - u.pad + u.extent <= written[u.buffer] for u in task.uses
            ):
                end += 1
            if end == done[i]:
                continue
            turns.append(Turn(i, done[i], end - done[i]))
            wrote(task.output, done[i], end)
            done[i] = end
            written[task.output] = min(done[k] for k in writers[task.output])
    if left := [i for i, task in enumerate(tasks) if done[i] < fresh[task.output].end]:
        raise ValueError(f"tasks {left} need rows that do not arrive")
    kept = {b: max(fresh[b].end - oldest(b, after=True), 0) for b in sorted(waiting)}
    return HopOrder(tuple(turns), rings, kept)


def check(
    tasks: Sequence[HopTask],
    fresh: Mapping[int, Fresh],
    source: int,
    reads: Sequence[WholeRead],
    found: HopOrder,
    hops: int,
) -> list[str]:
    """What is wrong with an order, by replaying it `hops` times; empty when nothing is.

    Rows older than the fresh rows of hop 0 are not known to the replay, and not checked.
    """
    slots: dict[int, list[int | None]] = {b: [None] * found.rings[b] for b in fresh}
    wrong: list[str] = []

    def need(hop: int, buffer: int, first: int, end: int) -> None:
        for row in range(max(first, fresh[buffer].first), end):
            if slots[buffer][row % found.rings[buffer]] != row:
                wrong.append(f"hop {hop}: row {row} of buffer {buffer} is not there")

    for hop in range(hops):
        done = {i: fresh[task.output].first for i, task in enumerate(tasks)}
        for turn in found.turns:
            if turn.task == ARRIVAL:
                for b in set(fresh) - set(found.kept):
                    slots[b] = [None] * found.rings[b]
            first, end = turn.y_first, turn.y_first + turn.y_count
            buffer = source
            if turn.task != ARRIVAL:
                task = tasks[turn.task]
                buffer = task.output
                if first != done[turn.task]:
                    wrong.append(f"hop {hop}: task {turn.task}: row {first} is out of order")
                done[turn.task] = end
            moved = hop * fresh[buffer].step
            for row in range(first + moved, end + moved):
                if turn.task != ARRIVAL:
                    for u in task.uses:
                        low = row * u.stride - u.pad
                        need(hop, u.buffer, low, low + u.extent)
            for row in range(first + moved, end + moved):
                slots[buffer][row % found.rings[buffer]] = row
        wrong += [
            f"hop {hop}: task {i} stops at row {done[i]}"
            for i, task in enumerate(tasks)
            if done[i] != fresh[task.output].end
        ]
        for read in reads:
            moved = hop * fresh[read.buffer].step
            need(hop, read.buffer, read.first + moved, read.end + moved)
    return wrong


def modulus(ring: int, step: int) -> int:
    """After how many hops a row that moves by `step` is back in its slot of `ring`."""
    return ring // gcd(ring, step)


def counters(periods: Sequence[int], limit: int) -> tuple[list[int], list[int]]:
    """Few counters, each a common multiple of the periods it serves and at most `limit`.

    Returns their moduli and the counter of each period. Raises ValueError for a period over
    `limit`.
    """
    moduli: list[int] = []
    for period in sorted(set(periods), reverse=True):
        if period > limit:
            raise ValueError(f"a period of {period} hops is over {limit}")
        for k, known in enumerate(moduli):
            if lcm(known, period) <= limit:
                moduli[k] = lcm(known, period)
                break
        else:
            moduli.append(period)
    return moduli, [next(k for k, m in enumerate(moduli) if m % p == 0) for p in periods]
