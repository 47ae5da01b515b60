"""Streamed segments: runs of kernel calls whose intermediate tensors are rings of a few rows.

`stream(program)` chooses the segments that make the largest live set smallest (dynamic programming
over cut points) and returns the program with rings and an interleaved schedule; the kernels and
their bits are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thimble.plan.stream import Interleaving, Task, Turn, Use, check, interleave
from thimble.program import Buffer, KernelCall, Program, Step

MAX_SEGMENT = 64  # calls; bounds the search on very long models


@dataclass(frozen=True)
class Segment:
    """Calls [first, last] run row by row; `interleaving` counts tasks from `first`."""

    first: int
    last: int
    interleaving: Interleaving
    rings: dict[int, int]  # buffer -> rows
    bytes: int  # live bytes at the worst step of the segment, by the sizes of the buffers


class _View:
    """What the search asks of a program again and again."""

    def __init__(self, program: Program):
        self.program = program
        self.reads, self.writes = [], []
        for call in program.calls:
            reads: set[int] = set()
            writes: set[int] = set()
            for param in call.signature.buffers:
                arg = call.args[param.name]
                if arg is not None and program.buffers[arg.buffer].role not in (
                    "const",
                    "port",
                ):
                    (writes if param.is_output else reads).add(arg.buffer)
            self.reads.append(reads)
            self.writes.append(writes)
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        for i in range(len(program.calls)):
            for buffer in self.reads[i] | self.writes[i]:
                self.first.setdefault(buffer, i)
                self.last[buffer] = i
        for i, b in enumerate(program.buffers):
            if b.role == "input" and i in self.first:
                self.first[i] = 0
            if b.role == "output" and i in self.last:
                self.last[i] = len(program.calls) - 1

    def live(self, first: int, last: int, without: Sequence[int]) -> int:
        """Bytes of all whole buffers that are live somewhere in calls [first, last]."""
        buffers: Sequence[Buffer] = self.program.buffers
        return sum(
            -(-buffers[b].bytes // 4) * 4
            for b in self.first
            if self.first[b] <= last and self.last[b] >= first and b not in without
        )


def _output(call: KernelCall) -> str | None:
    """Name of the one output that a call writes by rows, None where it cannot be cut."""
    outputs = [b.name for b in call.signature.buffers if b.is_output and b.name != "scratch"]
    if len(outputs) != 1 or call.batches != 1:
        return None
    by_rows = call.accumulates or f"{outputs[0]}_ring" in call.params
    return outputs[0] if by_rows else None


def _task(call: KernelCall) -> Task | None:
    """A call as a task, None where it cannot be cut into rows."""
    output = _output(call)
    arg = call.args[output] if output else None
    if arg is None or arg.offset:
        return None
    uses = []
    for name, window in call.windows.items():
        given = call.args[name]
        if given is None or given.offset or f"{name}_ring" not in call.params:
            return None
        uses.append(Use(given.buffer, window.stride, window.pad, window.extent))
    return Task(call.rows, arg.buffer, tuple(uses))


def _rows(view: _View, tasks: Sequence[Task], first: int, last: int) -> dict[int, int]:
    """Buffers that can be rings when calls [first, last] are one segment -> their rows."""
    program = view.program
    rows: dict[int, int] = {}
    for i, task in enumerate(tasks):
        buffer = task.output
        if program.calls[first + i].accumulates:
            continue
        inside = view.first[buffer] == first + i and view.last[buffer] <= last
        written_once = sum(buffer in view.writes[k] for k in range(first, last + 1)) == 1
        if not inside or not written_once or program.buffers[buffer].role != "arena":
            continue
        readers = [k for k in range(first, last + 1) if buffer in view.reads[k]]
        by_rows = all(
            any(use.buffer == buffer for use in tasks[k - first].uses)
            and _reads_only_by_rows(program.calls[k], buffer)
            and _height(program.calls[k], buffer) == task.rows
            for k in readers
        )
        if readers and by_rows and program.buffers[buffer].bytes % task.rows == 0:
            rows[buffer] = task.rows
    return rows


def _reads_only_by_rows(call: KernelCall, buffer: int) -> bool:
    return all(
        name in call.windows
        for name, arg in call.args.items()
        if arg is not None and arg.buffer == buffer and name != _output(call)
    )


def _height(call: KernelCall, buffer: int) -> int:
    """Rows that the call takes the buffer to have."""
    names = [n for n, a in call.args.items() if a is not None and a.buffer == buffer]
    return int(call.params[f"{names[0]}_ring"])


def _segment(view: _View, first: int, last: int) -> Segment | None:
    tasks = []
    for call in view.program.calls[first : last + 1]:
        task = _task(call)
        if task is None:
            return None
        tasks.append(task)
    internal = _rows(view, tasks, first, last)
    if not internal:
        return None
    found = interleave(tasks, internal)
    if problems := check(tasks, internal, found.turns, found.rings):
        raise AssertionError(f"calls {first}..{last}: {problems[:3]}")  # a bug of ours
    held = sum(
        -(-view.program.buffers[b].bytes // internal[b] * found.rings[b] // 4) * 4 for b in internal
    )
    return Segment(
        first, last, found, dict(found.rings), held + view.live(first, last, list(internal))
    )


def choose_segments(program: Program) -> list[Segment]:
    """The segments that minimise the largest live set; of equals, those that stream fewest
    calls.
    """
    view = _View(program)
    count = len(program.calls)
    best: list[tuple[int, int]] = [(0, 0)]
    cut: list[Segment | None] = [None]
    for end in range(count):
        alone = view.live(end, end, ())
        choice = (max(best[end][0], alone), best[end][1])
        segment: Segment | None = None
        for first in range(end - 1, max(-1, end - MAX_SEGMENT), -1):
            if _task(program.calls[first]) is None or _task(program.calls[end]) is None:
                break
            candidate = _segment(view, first, end)
            if candidate is None:
                continue
            cost = (max(best[first][0], candidate.bytes), best[first][1] + end - first + 1)
            if cost < choice:
                choice, segment = cost, candidate
        best.append(choice)
        cut.append(segment)
    segments = []
    end = count
    while end > 0:
        segment = cut[end]
        if segment is not None:
            segments.append(segment)
            end = segment.first
        else:
            end -= 1
    return segments[::-1]


def apply_segments(program: Program, segments: Sequence[Segment]) -> Program:
    """The program with the rings and the order of `segments`."""
    buffers, calls = list(program.buffers), list(program.calls)
    ring_buffers: set[int] = set()
    starts = {segment.first: segment for segment in segments}
    schedule: list[Step] = []
    position = 0
    while position < len(calls):
        segment = starts.get(position)
        if segment is None:
            schedule += _steps(program, position, Turn(position, 0, calls[position].rows))
            position += 1
            continue
        for buffer, ring in segment.rings.items():
            rows = next(
                calls[k].rows
                for k in range(segment.first, segment.last + 1)
                if (task := _task(program.calls[k])) is not None and task.output == buffer
            )
            if ring < rows:
                ring_buffers.add(buffer)
                size = program.buffers[buffer].bytes // rows * ring
                buffers[buffer] = replace(program.buffers[buffer], bytes=size)
        for k in range(segment.first, segment.last + 1):
            calls[k] = _with_rings(program.calls[k], segment.rings)
        for turn in segment.interleaving.turns:
            schedule += _steps(program, segment.first + turn.task, turn)
        position = segment.last + 1
    values = {
        t: replace(value, is_whole=False) if value.arg.buffer in ring_buffers else value
        for t, value in program.values.items()
    }
    return replace(
        program,
        buffers=tuple(buffers),
        calls=tuple(calls),
        schedule=tuple(schedule),
        values=values,
    )


def _steps(program: Program, call: int, turn: Turn) -> list[Step]:
    """A turn as steps; rows of an input are taken one by one, as they arrive."""
    if program.calls[call].kernel != "thm_input_rows":
        return [Step(call, turn.y_first, turn.y_count)]
    return [Step(call, turn.y_first + k, 1) for k in range(turn.y_count)]


def _with_rings(call: KernelCall, rings: dict[int, int]) -> KernelCall:
    params = dict(call.params)
    for name, arg in call.args.items():
        if arg is not None and arg.buffer in rings and f"{name}_ring" in params:
            params[f"{name}_ring"] = rings[arg.buffer]
    return replace(call, params=params)


def stream(program: Program) -> Program:
    """`program` with the segments streamed that make its arena smallest."""
    return apply_segments(program, choose_segments(program))
