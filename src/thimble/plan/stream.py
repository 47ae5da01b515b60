"""Row-by-row execution of chains and diamonds of tasks through ring buffers, nothing recomputed.

A task computes rows of one output from rows of its inputs. `interleave` orders the rows of all
tasks by demand: a row is computed when a later task needs it, so a ring only has to hold the rows
that are still to be read. `check` is the independent judge: it replays the steps on rings whose
rows carry their number. (The idea of line buffers is old; Pex, arXiv 2211.17246, measures what it
saves.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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
class Place:
    """Row r of a buffer lies in slot (r + shift) % ring of the ring of another buffer, `over`."""

    over: int
    shift: int


@dataclass(frozen=True)
class Interleaving:
    """The order, the rows that each internal buffer has to hold, and which lie in another's."""

    turns: tuple[Turn, ...]
    rings: Mapping[int, int]
    places: Mapping[int, Place] = field(default_factory=dict)


def interleave(
    tasks: Sequence[Task], internal: Mapping[int, int], rows: int = 1, most: int = 1
) -> Interleaving:
    """Demand-driven order of `tasks`, which are in dependency order.

    `internal` maps each buffer that becomes a ring to its rows; exactly one task writes it and only
    tasks read it. Rows of internal buffers that nobody reads are not computed. Tasks whose output
    is not internal compute `rows` rows at a time, others what is needed for that, at most `most` at
    a time: few rows need less memory, many fewer turns.
    """
    producer = {task.output: i for i, task in enumerate(tasks) if task.output in internal}
    done = [0] * len(tasks)
    turns: list[Turn] = []

    def compute(i: int, upto: int) -> None:
        while done[i] < upto:
            y, count = done[i], min(most, upto - done[i])
            for use in tasks[i].uses:
                if use.buffer in internal:
                    end = (y + count - 1) * use.stride - use.pad + use.extent
                    compute(producer[use.buffer], min(end, internal[use.buffer]))
            if turns and turns[-1].task == i and turns[-1].y_first + turns[-1].y_count == y:
                turns[-1] = Turn(i, turns[-1].y_first, turns[-1].y_count + count)
            else:
                turns.append(Turn(i, y, count))
            done[i] += count

    for i, task in enumerate(tasks):
        while task.output not in internal and done[i] < task.rows:
            compute(i, min(done[i] + rows, task.rows))
    return Interleaving(tuple(turns), _ring_heights(tasks, internal, turns))


def _ring_heights(
    tasks: Sequence[Task], internal: Mapping[int, int], turns: Sequence[Turn]
) -> dict[int, int]:
    """Rows that each ring has to hold, while a turn of several rows reads and writes too."""
    readers: dict[int, list[tuple[int, Use]]] = {buffer: [] for buffer in internal}
    for i, task in enumerate(tasks):
        for use in task.uses:
            if use.buffer in internal:
                readers[use.buffer].append((i, use))
    needed = dict.fromkeys(internal, 1)
    done = [0] * len(tasks)
    written = dict.fromkeys(internal, 0)
    for turn in turns:
        task = tasks[turn.task]
        for use in task.uses:
            if use.buffer in internal:
                first = max(turn.y_first * use.stride - use.pad, 0)
                needed[use.buffer] = max(needed[use.buffer], written[use.buffer] - first)
        end = turn.y_first + turn.y_count
        if task.output in internal:
            kept = end - 1  # rows that nobody reads need no slot
            for i, use in readers[task.output]:
                if done[i] < tasks[i].rows:
                    kept = min(kept, max(done[i] * use.stride - use.pad, 0))
            needed[task.output] = max(needed[task.output], end - kept)
            written[task.output] = end
        done[turn.task] = end
    return {buffer: min(height, internal[buffer]) for buffer, height in needed.items()}


def overlaid(
    tasks: Sequence[Task],
    internal: Mapping[int, int],
    found: Interleaving,
    candidates: Sequence[tuple[int, int]],
) -> Interleaving:
    """`found` with as many outputs as possible in the rings of inputs that they replace.

    `candidates` are tasks with an input where an output row may be written over the first row of
    its window: rows that are no longer needed make room for those that are computed from them.
    """
    for i, x in candidates:
        y, uses = tasks[i].output, [use for use in tasks[i].uses if use.buffer == x]
        if y not in internal or x not in internal or len(uses) != 1:
            continue
        if x in found.places or y in found.places:
            continue
        use, ring = uses[0], found.rings[x]
        if use.stride != 1 or use.pad < 0 or found.rings[y] > ring or internal[x] <= ring:
            continue
        place = Place(x, (ring - use.pad) % ring)
        tried = Interleaving(found.turns, {**found.rings, y: ring}, {**found.places, y: place})
        if not check(tasks, internal, tried):
            found = tried
    return found


def check(tasks: Sequence[Task], internal: Mapping[int, int], found: Interleaving) -> list[str]:
    """What is wrong with an interleaving, by replaying it; empty when nothing is."""
    slots: dict[int, list[tuple[int, int] | None]] = {
        b: [None] * found.rings[b] for b in internal if b not in found.places
    }
    places = {b: found.places.get(b, Place(b, 0)) for b in internal}
    done = [0] * len(tasks)
    wrong: list[str] = []

    def replay(number: int, task: Task, rows: range) -> None:
        """The reads of these rows, then their writes."""
        for use in task.uses:
            if use.buffer not in internal:
                continue
            place = places[use.buffer]
            ring = slots[place.over]
            start = max(rows[0] * use.stride - use.pad, 0)
            end = rows[-1] * use.stride - use.pad + use.extent
            for row in range(start, min(end, internal[use.buffer])):
                held = ring[(row + place.shift) % len(ring)]
                # Rows between windows may be gone.
                if held != (use.buffer, row) and any(
                    0 <= row - (y * use.stride - use.pad) < use.extent for y in rows
                ):
                    text = "nothing" if held is None else f"row {held[1]}"
                    if held is not None and held[0] != use.buffer:
                        text += f" of {held[0]}"
                    wrong.append(f"turn {number}: buffer {use.buffer} holds {text}, not {row}")
        if task.output in internal:
            place = places[task.output]
            for y in rows:
                ring = slots[place.over]
                ring[(y + place.shift) % len(ring)] = (task.output, y)

    for number, turn in enumerate(found.turns):
        task = tasks[turn.task]
        if turn.y_first != done[turn.task]:
            wrong.append(f"turn {number}: row {turn.y_first} after {done[turn.task]} rows")
        rows = range(turn.y_first, turn.y_first + turn.y_count)
        if task.output in found.places:  # it reads what it replaces row by row
            for y in rows:
                replay(number, task, range(y, y + 1))
        else:
            replay(number, task, rows)
        done[turn.task] = turn.y_first + turn.y_count
    wrong += [
        f"task {i} ends after {done[i]} of {task.rows} rows"
        for i, task in enumerate(tasks)
        if task.output not in internal and done[i] != task.rows
    ]
    return wrong
