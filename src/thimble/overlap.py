"""Outputs over inputs that are being used up: whole tensors of one call that overlap in memory.

A kernel that computes rows in order needs row r of its input no more once the windows have passed
it, so the output may begin before the input and follow it through the same memory (known as
diagonal memory optimisation: Stoutchinin et al., arXiv 2010.01668). How many bytes before is the
`lead` of a call; `overlap` merges the buffers of a program where that lowers its live bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np

from thimble.program import Program

Span = tuple[int, int]
OWNERS = ("input", "output", "arena")  # roles of memory that the plan gives a place


def row_lead(rows: int, y_row: int, x_row: int, stride: int, pad: int, unit: int) -> int:
    """Bytes that y may begin before x where each row is read as a whole before it is written.

    y_row, x_row: bytes of a row; unit: a multiple of which the lead has to be.
    """
    r = np.arange(1, rows)  # after r rows are written, rows from here on are still read:
    room = r * y_row - np.maximum(r * stride - pad, 0) * x_row
    return _rounded(int(room.max(initial=0)), unit)


def position_lead(words: dict[str, int], unit: int = 1) -> int:
    """The same where only the patch of each position is, the words being those of a convolution."""
    rows, columns = words["out_h"], words["out_w"]
    x_row = words["in_w"] * words["in_c"]
    iy = np.maximum(np.arange(rows + 1) * words["stride_h"] - words["pad_top"], 0)
    ix = np.maximum(np.arange(1, columns + 1) * words["stride_w"] - words["pad_left"], 0)
    needed = iy[:-1, None] * x_row + ix[None, :] * words["in_c"]  # from the next position on
    needed[:, -1] = iy[1:] * x_row  # which is in the next row
    needed = np.minimum(needed, iy[1:, None] * x_row)
    written = np.arange(1, rows * columns + 1).reshape(rows, columns) * words["out_c"]
    room = (written - needed).reshape(-1)[:-1]  # after the last nothing is read
    return _rounded(int(room.max(initial=0)), unit)


def _rounded(lead: int, unit: int) -> int:
    step = lcm(unit, 4)
    return -(-max(lead, 0) // step) * step


MOST_CANDIDATES = 64  # more are taken all or not at all


@dataclass(frozen=True)
class Group:
    """Buffers that lie in one block: where each lies in it, the steps it lives in, its bytes."""

    places: Mapping[int, int]
    span: Span
    bytes: int


@dataclass(frozen=True)
class _Candidate:
    """In `step`, y may begin `lead` bytes before x."""

    step: int
    x: int
    y: int
    lead: int


def overlap(
    program: Program,
    own: Sequence[Span | None],
    merged: Sequence[Span | None],
    shared: Mapping[int, int],
    allowed: bool = True,
) -> list[Group]:
    """The blocks of `program`: its buffers, `shared` ones in the place of others, and outputs over
    inputs where fewer bytes live then in the steps that have most.

    own: first and last step of each buffer, merged: with those that share its place.
    """
    groups = {}
    for i, span in enumerate(merged):
        if span is not None:
            members = [i, *(y for y, x in shared.items() if x == i)]
            nbytes = max(program.buffers[k].bytes for k in members)
            groups[i] = Group(dict.fromkeys(members, 0), span, nbytes)
    found = [_candidate(program, own, number) for number in range(len(program.schedule))]
    candidates = [c for c in found if c is not None] if allowed and program.hop is None else []
    if not candidates:
        return list(groups.values())

    def joined(chosen: frozenset[int]) -> list[Group]:
        return _joined(program, groups, [candidates[k] for k in sorted(chosen)])

    def cost(chosen: frozenset[int]) -> tuple[int, float]:
        return _cost(joined(chosen), len(program.schedule))

    none, every = frozenset[int](), frozenset(range(len(candidates)))
    best = min((none, every), key=cost)
    if len(candidates) <= MOST_CANDIDATES:
        best = min((_improved(start, every, cost) for start in (none, every)), key=cost)
    return joined(best)


def _improved(
    chosen: frozenset[int],
    every: frozenset[int],
    cost: Callable[[frozenset[int]], tuple[int, float]],
) -> frozenset[int]:
    """`chosen` with one more or one less as long as that costs less."""
    now, improves = cost(chosen), True
    while improves:
        improves = False
        for k in sorted(every):
            tried = chosen ^ {k}
            if (other := cost(tried)) < now:
                chosen, now, improves = tried, other, True
    return chosen


def _joined(
    program: Program, groups: Mapping[int, Group], chosen: Sequence[_Candidate]
) -> list[Group]:
    """`groups` with the inputs and outputs of `chosen` in one block each, where they can be."""
    now = dict(groups)
    root = {b: i for i, group in groups.items() for b in group.places}
    for c in chosen:
        if c.x not in root or root.get(c.y) != c.y or root[c.x] == c.y:
            continue
        a, b = now[root[c.x]], now[c.y]
        if a.span[1] != c.step or b.span[0] != c.step:
            continue
        moved = {k: at + a.places[c.x] - c.lead for k, at in b.places.items()}
        places = {**a.places, **moved}
        start = min(places.values())
        end = max(at + program.buffers[k].bytes for k, at in places.items())
        now[root[c.x]] = Group(
            {k: at - start for k, at in places.items()}, (a.span[0], b.span[1]), end - start
        )
        del now[c.y]
        root |= dict.fromkeys(b.places, root[c.x])
    return list(now.values())


def _cost(groups: Sequence[Group], steps: int) -> tuple[int, float]:
    """The most bytes that live at a time, and less where others have fewer."""
    live = np.zeros(steps + 1, np.float64)
    for group in groups:
        live[group.span[0] : group.span[1] + 1] += group.bytes
    return int(live.max()), float(np.square(live).sum())


def _candidate(program: Program, own: Sequence[Span | None], number: int) -> _Candidate | None:
    """What the call of a step allows, if it computes a whole tensor and x dies in it."""
    step = program.schedule[number]
    call = program.calls[step.call]
    if call.lead is None or call.lead % 4 or step.y_first != 0:
        return None
    if step.y_count != call.rows or call.batches != 1 or call.params["y_ring"] < call.rows:
        return None
    x, y = call.args["x"], call.args["y"]
    assert x is not None
    assert y is not None
    for arg in (x, y):
        buffer = program.buffers[arg.buffer]
        if arg.offset or buffer.role not in OWNERS or buffer.over is not None:
            return None
    span = own[x.buffer]
    if span is None or span[1] != number or program.buffers[x.buffer].role == "output":
        return None
    return None if x.buffer == y.buffer else _Candidate(number, x.buffer, y.buffer, call.lead)
