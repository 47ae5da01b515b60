"""Row-by-row execution of chains and diamonds of tasks through ring buffers, nothing recomputed.

A task computes rows of one output from rows of its inputs. `interleave` orders the rows of all
tasks by demand: a row is computed when a later task needs it, so a ring only has to hold the rows
that are still to be read. `check` is the independent judge: it replays the steps on rings whose
rows carry their number. (The idea of line buffers is old; Pex, arXiv 2211.17246, measures what it
saves.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """Output row y reads rows [y * stride - pad, y * stride - pad + extent) of `buffer`,
    clipped.
    """

    buffer: int
    stride: int
    pad: int
    extent: int


@dataclass(frozen=True)
class Task:
    """`rows` output rows into `output`; inputs that are read by rows are its `uses`."""

    rows: int
    output: int
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class Turn:
    """Rows [y_first, y_first + y_count) of a task."""

    task: int
    y_first: int
    y_count: int


@dataclass(frozen=True)
class Interleaving:
    """The order, and the rows that each internal buffer has to hold."""

    turns: tuple[Turn, ...]
    rings: Mapping[int, int]


def interleave(tasks: Sequence[Task], internal: Mapping[int, int]) -> Interleaving:
    """Demand-driven order of `tasks`, which are in dependency order.

    `internal` maps each buffer that becomes a ring to its rows; exactly one task writes it and only
    tasks read it. Rows of internal buffers that nobody reads are not computed.
    """
    producer = {task.output: i for i, task in enumerate(tasks) if task.output in internal}
    readers: dict[int, list[tuple[int, Use]]] = {buffer: [] for buffer in internal}
    for i, task in enumerate(tasks):
        for use in task.uses:
            if use.buffer in internal:
                readers[use.buffer].append((i, use))
    done = [0] * len(tasks)
    rings = dict.fromkeys(internal, 1)
    turns: list[Turn] = []

    def oldest(buffer: int) -> int:
        """The first row that a reader has still to read."""
        first = internal[buffer]
        for i, use in readers[buffer]:
            if done[i] < tasks[i].rows:
                first = min(first, max(done[i] * use.stride - use.pad, 0))
        return first

    def compute(i: int, upto: int) -> None:
        while done[i] < upto:
            y = done[i]
            for use in tasks[i].uses:
                if use.buffer in internal:
                    end = min(y * use.stride - use.pad + use.extent, internal[use.buffer])
                    compute(producer[use.buffer], end)
            if turns and turns[-1].task == i and turns[-1].y_first + turns[-1].y_count == y:
                turns[-1] = Turn(i, turns[-1].y_first, turns[-1].y_count + 1)
            else:
                turns.append(Turn(i, y, 1))
            buffer = tasks[i].output
            if buffer in internal:
                rings[buffer] = max(rings[buffer], y + 1 - min(oldest(buffer), y))
            done[i] += 1

    for i, task in enumerate(tasks):
        if task.output not in internal:
            compute(i, task.rows)
    # Turns that were joined write several rows before the next reader frees any.
    return Interleaving(tuple(turns), _with_joined_turns(tasks, internal, turns, rings))


def _with_joined_turns(
    tasks: Sequence[Task], internal: Mapping[int, int], turns: Sequence[Turn], rings: dict[int, int]
) -> dict[int, int]:
    """Ring heights that also hold while a turn of several rows reads and writes."""
    needed = dict(rings)
    done = [0] * len(tasks)
    written = dict.fromkeys(internal, 0)
    for turn in turns:
        task = tasks[turn.task]
        for use in task.uses:
            if use.buffer in internal:
                first = max(turn.y_first * use.stride - use.pad, 0)
                needed[use.buffer] = max(needed[use.buffer], written[use.buffer] - first)
        if task.output in internal:
            kept = turn.y_first + turn.y_count - 1  # rows that nobody reads need no slot
            for i, reader in enumerate(tasks):
                for use in reader.uses:
                    if use.buffer == task.output and done[i] < reader.rows:
                        kept = min(kept, max(done[i] * use.stride - use.pad, 0))
            end = turn.y_first + turn.y_count
            needed[task.output] = max(needed[task.output], end - kept)
            written[task.output] = end
        done[turn.task] = turn.y_first + turn.y_count
    return {buffer: min(height, internal[buffer]) for buffer, height in needed.items()}


def check(
    tasks: Sequence[Task],
    internal: Mapping[int, int],
    turns: Sequence[Turn],
    rings: Mapping[int, int],
) -> list[str]:
    """What is wrong with an interleaving, by replaying it; empty when nothing is."""
    slots: dict[int, list[int | None]] = {b: [None] * rings[b] for b in internal}
    done = [0] * len(tasks)
    wrong: list[str] = []
    for number, turn in enumerate(turns):
        task = tasks[turn.task]
        if turn.y_first != done[turn.task]:
            wrong.append(f"turn {number}: row {turn.y_first} after {done[turn.task]} rows")
        rows = range(turn.y_first, turn.y_first + turn.y_count)
        for use in task.uses:
            if use.buffer not in internal:
                continue
            for y in rows:
                start = y * use.stride - use.pad
                for row in range(max(start, 0), min(start + use.extent, internal[use.buffer])):
                    held = slots[use.buffer][row % rings[use.buffer]]
                    if held != row:
                        wrong.append(
                            f"turn {number}: buffer {use.buffer} holds row {held}, not {row}"
                        )
        if task.output in internal:
            for y in rows:
                slots[task.output][y % rings[task.output]] = y
        done[turn.task] = turn.y_first + turn.y_count
    wrong += [
        f"task {i} ends after {done[i]} of {task.rows} rows"
        for i, task in enumerate(tasks)
        if task.output not in internal and done[i] != task.rows
    ]
    return wrong
