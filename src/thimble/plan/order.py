"""The order of the steps that needs the least memory: min over orders of the peak of live bytes.

What is live depends only on *which* steps are done, so the search runs over sets of done steps,
always extending the one with the least peak so far: the first complete order it reaches is optimal.
A ready step that neither raises the peak nor leaves more bytes live than before is taken at once:
in any completion it could be moved to this place without harm. Plain chains cost one set per step.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from time import monotonic

Step = tuple[Collection[int], Collection[int]]  # (reads, writes), indices of buffers
Reached = tuple[int, int, tuple[int, ...]]  # (peak, steps done before, steps taken since)


@dataclass(frozen=True)
class Order:
    """`steps[order[0]], steps[order[1]], ...` has a peak of `peak_bytes` live bytes.

    `optimal`: no order has less. The given order is kept unless another one is really better.
    """

    order: tuple[int, ...]
    peak_bytes: int
    given_peak_bytes: int
    optimal: bool


def best_order(
    steps: Sequence[Step],
    buffer_bytes: Sequence[int],
    live_in: Collection[int],
    live_out: Collection[int],
    time_limit_s: float = 1.0,
) -> Order:
    """The order of `steps` with the least peak; the best known when the time limit ends.

    A step comes after the writer of what it reads; steps that touch the same buffer keep their
    order where one of them writes it. Lifetimes are those of `lifetimes`.
    """
    deadline = monotonic() + time_limit_s
    problem = _Problem(steps, buffer_bytes, live_in, live_out)
    best = tuple(range(len(steps)))
    best_peak = given_peak = problem.peak(best)
    eager = problem.eager_order()
    if problem.peak(eager) < best_peak:
        best, best_peak = eager, problem.peak(eager)
    floor = max(problem.floor_bytes(), problem.start_bytes)
    sequence = count()
    # (peak, minus the number of steps done, tie-break, steps done, bytes live)
    queue = [(floor, 0, next(sequence), 0, problem.start_bytes)]
    reached: dict[int, Reached] = {}
    closed: set[int] = set()
    while queue:
        peak, _, _, done, live = heapq.heappop(queue)
        if peak >= best_peak:
            break
        if done == problem.all_done:
            best, best_peak = _walk_back(reached, done), peak
            break
        if monotonic() > deadline:
            return Order(best, best_peak, given_peak, optimal=False)
        if done in closed:
            continue
        closed.add(done)
        for step in problem.ready(done):
            new_peak, new_done, new_live, taken = problem.advance(done, live, peak, step)
            known = reached.get(new_done)
            if new_peak < best_peak and (known is None or new_peak < known[0]):
                reached[new_done] = (new_peak, done, taken)
                rank = -new_done.bit_count()
                heapq.heappush(queue, (new_peak, rank, next(sequence), new_done, new_live))
    return Order(best, best_peak, given_peak, optimal=True)


def _walk_back(reached: dict[int, Reached], done: int) -> tuple[int, ...]:
    order: tuple[int, ...] = ()
    while done:
        _, done, taken = reached[done]
        order = taken + order
    return order


class _Problem:
    """Sets of steps are bit masks; bytes are of the buffers live between or during steps."""

    def __init__(
        self,
        steps: Sequence[Step],
        buffer_bytes: Sequence[int],
        live_in: Collection[int],
        live_out: Collection[int],
    ):
        self.bytes = buffer_bytes
        self.live_in, self.live_out = set(live_in), set(live_out)
        self.touched = [tuple({*reads, *writes}) for reads, writes in steps]
        self.users = [0] * len(buffer_bytes)  # by buffer: the steps that touch it
        for step, touched in enumerate(self.touched):
            for buffer in touched:
                self.users[buffer] |= 1 << step
        self.before = _dependencies(steps, len(buffer_bytes))  # by step: what must be done
        self.all_done = (1 << len(steps)) - 1
        idle = {b for b in self.live_in | self.live_out if not self.users[b]}
        self.start_bytes = sum(buffer_bytes[b] for b in self.live_in | idle)
        # Inputs that nobody reads are gone after the first step.
        self.idle_bytes = sum(buffer_bytes[b] for b in idle - self.live_out)

    def ready(self, done: int) -> list[int]:
        """Steps that are not done and whose predecessors are."""
        return [
            step
            for step, before in enumerate(self.before)
            if not done >> step & 1 and before & done == before
        ]

    def run(self, done: int, live: int, step: int) -> tuple[int, int]:
        """(bytes live during `step`, bytes live after it)."""
        during = live
        for b in self.touched[step]:
            if b not in self.live_in and not self.users[b] & done:
                during += self.bytes[b]
        after = during if done else during - self.idle_bytes
        done |= 1 << step
        for b in self.touched[step]:
            if b not in self.live_out and self.users[b] & done == self.users[b]:
                after -= self.bytes[b]
        return during, after

    def advance(
        self, done: int, live: int, peak: int, step: int
    ) -> tuple[int, int, int, tuple[int, ...]]:
        """(peak, done, live, steps taken) after `step` and all harmless steps that follow."""
        taken = []
        next_step: int | None = step
        while next_step is not None:
            during, live = self.run(done, live, next_step)
            peak = max(peak, during)
            done |= 1 << next_step
            taken.append(next_step)
            next_step = None
            for other in self.ready(done):
                during, after = self.run(done, live, other)
                if during <= peak and after <= live:
                    next_step = other
                    break
        return peak, done, live, tuple(taken)

    def peak(self, order: Sequence[int]) -> int:
        """The most bytes live in any step of a complete order."""
        done, live, peak = 0, self.start_bytes, self.start_bytes
        for step in order:
            during, live = self.run(done, live, step)
            peak = max(peak, during)
            done |= 1 << step
        return peak

    def eager_order(self) -> tuple[int, ...]:
        """Always the ready step that leaves the fewest bytes live."""
        done, live, order = 0, self.start_bytes, []
        while done != self.all_done:
            during_after = {step: self.run(done, live, step) for step in self.ready(done)}
            step = min(during_after, key=lambda s: (during_after[s][1], during_after[s][0], s))
            live = during_after[step][1]
            done |= 1 << step
            order.append(step)
        return tuple(order)

    def floor_bytes(self) -> int:
        """No order has less: some step needs its own buffers at once."""
        return max((sum(self.bytes[b] for b in t) for t in self.touched), default=0)


def _dependencies(steps: Sequence[Step], buffers: int) -> list[int]:
    """By step the earlier steps it must follow: writer before reader, reader before next writer."""
    before = [0] * len(steps)
    last_write = [0] * buffers  # masks of steps
    reads_since = [0] * buffers
    for step, (reads, writes) in enumerate(steps):
        for b in reads:
            before[step] |= last_write[b]
        for b in writes:
            before[step] |= last_write[b] | reads_since[b]
        for b in reads:
            reads_since[b] |= 1 << step
        for b in writes:
            last_write[b], reads_since[b] = 1 << step, 0
        before[step] &= ~(1 << step)
    return before
