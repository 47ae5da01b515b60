"""Streamed segments: runs of kernel calls whose intermediate tensors are rings of a few rows.

`stream(program)` chooses the segments that make the largest live set smallest (dynamic programming
over cut points) and returns the program with rings and an interleaved schedule; the kernels and
their bits are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from thimble.inplace import kernels_in_place
from thimble.plan.stream import Interleaving, Task, Turn, Use, check, interleave, overlaid
from thimble.program import Buffer, KernelCall, Program, Step

MAX_SEGMENT = 64  # calls; bounds the search on very long models
MOST_GROWTH = 0.1  # of the instructions
BANDS = (1, 2, 3, 4, 6, 8, 12, 16)  # rows at a time that are tried


@dataclass(frozen=True)
class Segment:
    """Calls [first, last] run row by row; `interleaving` counts tasks from `first`."""

    first: int
    last: int
    interleaving: Interleaving
    rings: dict[int, int]  # buffer -> rows
    tasks: tuple[Task, ...]
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


def _row_bytes(program: Program, call: KernelCall, name: str) -> int:
    """Bytes of a row of an argument, as the call sees it."""
    arg = call.args[name]
    assert arg is not None
    return program.buffers[arg.buffer].bytes // int(call.params[f"{name}_ring"])


def _can_overwrite(program: Program, call: KernelCall) -> list[str]:
    """Inputs whose rows the output rows of `call` may replace."""
    output = _output(call)
    if output is None or call.accumulates:
        return []
    names = [call.overwrites] if call.overwrites else []
    if call.kernel in kernels_in_place():
        names += [n for n, w in call.windows.items() if (w.stride, w.pad, w.extent) == (1, 0, 1)]
    types = {b.name: b.c_type for b in call.signature.buffers}
    size = _row_bytes(program, call, output)
    return [n for n in names if types[n] == types[output] and _row_bytes(program, call, n) == size]


def _takes_shifted_rows(call: KernelCall, buffer: int) -> bool:
    """Whether the rows of `buffer` may be numbered from another number than 0 for this call."""
    names = [n for n, arg in call.args.items() if arg is not None and arg.buffer == buffer]
    return names == ["x"] and call.params.get("pad_top") == 0 and "in_h" in call.params


def _overlaid(
    view: _View, calls: range, tasks: Sequence[Task], rows: dict[int, int], found: Interleaving
) -> Interleaving:
    """`found` with outputs in the rings of inputs that they replace, where kernels allow it."""
    program = view.program
    candidates = []
    for i, task in zip(calls, tasks):
        for name in _can_overwrite(program, program.calls[i]):
            arg = program.calls[i].args[name]
            assert arg is not None
            readers = [k for k in calls if task.output in view.reads[k]]
            in_place = program.calls[i].windows[name].pad == 0
            if in_place or all(_takes_shifted_rows(program.calls[k], task.output) for k in readers):
                candidates.append((i - calls.start, arg.buffer))
    return overlaid(tasks, rows, found, candidates)


def _segment(view: _View, first: int, last: int, rows: int = 1, most: int = 1) -> Segment | None:
    tasks = []
    for call in view.program.calls[first : last + 1]:
        task = _task(call)
        if task is None:
            return None
        tasks.append(task)
    internal = _rows(view, tasks, first, last)
    if not internal:
        return None
    found = interleave(tasks, internal, rows, most)
    found = _overlaid(view, range(first, last + 1), tasks, internal, found)
    if problems := check(tasks, internal, found):
        raise AssertionError(f"calls {first}..{last}: {problems[:3]}")  # a bug of ours
    held = sum(
        -(-view.program.buffers[b].bytes // internal[b] * found.rings[b] // 4) * 4
        for b in internal
        if b not in found.places
    )
    # Rows come and go, but scratch memory is free between steps, so that all calls share it.
    scratch = _scratch(view.program, range(first, last + 1))
    held += max((view.program.buffers[b].bytes for b in scratch), default=0)
    live = view.live(first, last, [*internal, *scratch])
    return Segment(first, last, found, dict(found.rings), tuple(tasks), held + live)


def _scratch(program: Program, calls: range) -> list[int]:
    """The scratch buffers of some calls."""
    used = {arg.buffer for k in calls for arg in program.calls[k].args.values() if arg is not None}
    return sorted(b for b in used if program.buffers[b].role == "scratch")


class SegmentSearch:
    """Segments of a program by (first, last, rows, most), found once each."""

    def __init__(self, program: Program):
        self.view = _View(program)
        self.program = program
        self.whole = [self.view.live(i, i, ()) for i in range(len(program.calls))]
        self.can_stream = [_task(call) is not None for call in program.calls]
        self._found: dict[tuple[int, int, int, int], Segment | None] = {}

    def segment(self, first: int, last: int, rows: int = 1, most: int = 1) -> Segment | None:
        key = first, last, rows, most
        if key not in self._found:
            self._found[key] = _segment(self.view, *key)
        return self._found[key]

    def ending(self, end: int) -> list[Segment]:
        """All segments that end with call `end`, a row at a time."""
        found = []
        for first in range(end - 1, max(-1, end - MAX_SEGMENT), -1):
            if not self.can_stream[first] or not self.can_stream[end]:
                break
            segment = self.segment(first, end)
            if segment is not None:
                found.append(segment)
        return found

    def cuts(self, most_bytes: int | None = None) -> tuple[int, list[Segment]]:
        """The least live set and its segments, of equals those that stream fewest calls; where it
        is given, of those within `most_bytes` those with fewest additional instructions.
        """
        best: list[tuple[int, int]] = [(0, 0)]
        cut: list[Segment | None] = [None]

        def cost(before: tuple[int, int], nbytes: int, price: int) -> tuple[int, int]:
            """Live bytes above `most_bytes` (or all), then the price."""
            return max(before[0], nbytes if nbytes > (most_bytes or 0) else 0), before[1] + price

        for end in range(len(self.program.calls)):
            choice, segment = cost(best[end], self.whole[end], 0), None
            for candidate in self.ending(end):
                price = end - candidate.first + 1
                if most_bytes is not None:
                    price = 1 + additional_insns(self.program, candidate)
                total = cost(best[candidate.first], candidate.bytes, price)
                if total < choice:
                    choice, segment = total, candidate
            best.append(choice)
            cut.append(segment)
        segments = []
        end = len(self.program.calls)
        while end > 0:
            segment = cut[end]
            if segment is not None:
                segments.append(segment)
            end = segment.first if segment is not None else end - 1
        return best[-1][0], segments[::-1]

    def banded(self, segment: Segment, most_bytes: int) -> Segment:
        """The segment with as many rows at a time as fit, so that it needs fewest instructions."""
        best = segment
        for rows in BANDS:
            for most in BANDS:
                tried = self.segment(segment.first, segment.last, rows, most)
                if tried is None or tried.bytes > most_bytes:
                    break
                if additional_insns(self.program, tried) < additional_insns(self.program, best):
                    best = tried
        return best


def additional_insns(program: Program, segment: Segment) -> int:
    """Estimated instructions that a segment takes more than its calls as a whole."""
    turns = Counter(turn.task for turn in segment.interleaving.turns)
    return sum(
        (count - 1) * program.calls[segment.first + task].step_insns
        for task, count in turns.items()
    )


def growth(program: Program, segments: Sequence[Segment]) -> float:
    """Estimated instructions that `segments` take more than not streaming, as a part of those."""
    more = sum(additional_insns(program, segment) for segment in segments)
    return more / max(sum(call.insns for call in program.calls), 1)


def choose_segments(program: Program, most_growth: float = MOST_GROWTH) -> list[Segment]:
    """The segments that make the largest live set smallest, at most `most_growth` more estimated
    instructions provided; in what is free below it, rows are computed several at a time.
    """
    search = SegmentSearch(program)
    limit, least = search.cuts()
    segments = least
    most = max(search.whole, default=0)
    while True:
        options = [[search.banded(s, limit) for s in cuts] for cuts in (least, segments)]
        chosen = min(options, key=lambda option: growth(program, option))
        if growth(program, chosen) <= most_growth or limit >= most:
            return chosen
        limit = min(limit + max(limit // 32, most // 64, 16), most)
        _, segments = search.cuts(limit)


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
        span = range(segment.first, segment.last + 1)
        writers = {task.output: k for k in span if (task := _task(program.calls[k])) is not None}
        for buffer, ring in segment.rings.items():
            rows = program.calls[writers[buffer]].rows
            if ring < rows:
                ring_buffers.add(buffer)
                size = program.buffers[buffer].bytes // rows * ring
                buffers[buffer] = replace(program.buffers[buffer], bytes=size)
        scratch = _scratch(program, span)
        largest = max(scratch, key=lambda b: program.buffers[b].bytes, default=0)
        for k in span:
            calls[k] = _with_rings(program.calls[k], segment.rings)
            args = {
                name: replace(arg, buffer=largest) if arg and arg.buffer in scratch else arg
                for name, arg in calls[k].args.items()
            }
            calls[k] = replace(calls[k], args=args)
        first_rows = dict.fromkeys(span, 0)
        for buffer, place in segment.interleaving.places.items():
            buffers[buffer] = replace(buffers[buffer], over=place.over)
            first_rows[writers[buffer]] = place.shift
            for k in span:
                calls[k] = _with_shifted_rows(calls[k], buffer, place.shift)
        for turn in segment.interleaving.turns:
            call = segment.first + turn.task
            moved = Turn(turn.task, turn.y_first + first_rows[call], turn.y_count)
            schedule += _steps(program, call, moved)
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


def _with_shifted_rows(call: KernelCall, buffer: int, shift: int) -> KernelCall:
    """The call where the rows of `buffer` are numbered from `shift` on, so that each lies in the
    slot that its number says.
    """
    names = [n for n, arg in call.args.items() if arg is not None and arg.buffer == buffer]
    if not names or shift == 0:
        return call
    params, windows = dict(call.params), dict(call.windows)
    if names == [_output(call)]:
        (name,) = windows
        window = windows[name]
        windows[name] = replace(window, pad=window.pad + shift * window.stride)
        params["pad_top"] += shift * window.stride
        return replace(call, params=params, windows=windows, rows=call.rows + shift)
    windows["x"] = replace(windows["x"], pad=-shift)
    params["pad_top"] -= shift
    params["in_h"] += shift
    return replace(call, params=params, windows=windows)


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


def stream(program: Program, most_growth: float = MOST_GROWTH) -> Program:
    """`program` with the segments streamed that make its arena smallest (see `choose_segments`)."""
    return apply_segments(program, choose_segments(program, most_growth))
