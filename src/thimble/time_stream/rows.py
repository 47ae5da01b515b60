"""What a lowered model computes in time: which calls by rows, which rows anew, what pads.

Rows are numbered as in one window. A layer's padding in time stands for what came before (or comes
after) the window; `padded` finds the rows of the outputs' making that depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm

from thimble.errors import Finding
from thimble.plan.hop import Fresh, HopTask, WholeRead
from thimble.plan.stream import Use
from thimble.program import Arg, KernelCall, Program, Window
from thimble.time_stream.axis import TimeGraph

_SHIFTS = {"pad_top": 1, "row_shift": 1, "row_first": -1}  # param that moves the rows read -> sign


class NotByRows(Exception):
    """A layer of the rewritten graph has no kernel that computes it row by row."""

    def __init__(self, layer: int, finding: Finding | None = None):
        super().__init__(f"layer {layer}")
        self.layer = layer
        self.finding = finding


@dataclass(frozen=True)
class Padded:
    """A call that pads in time: rows before and after its input that the outputs depend on."""

    layer: int
    before: int
    after: int


@dataclass(frozen=True)
class Result:
    """Rows of a time buffer that are model output `port`: of a sequence the new ones."""

    port: int
    read: WholeRead
    layer: int
    call: int


@dataclass(frozen=True, eq=False)
class ByRows:
    """A lowered program cut into what runs by rows (`tasks`, calls `task_calls`) and the tail.

    heights: rows of each time buffer in one window; need: rows of it that the outputs depend on (of
    the source up to the window's end, `receptive` are those).
    reads: what the tail and the `results` read of time buffers at the end of a hop.
    """

    program: Program
    calls: tuple[KernelCall, ...]
    arrival: int
    source: int
    arrivals: range
    tasks: tuple[HopTask, ...]
    task_calls: tuple[int, ...]
    tail: tuple[int, ...]
    results: tuple[Result, ...]
    heights: Mapping[int, int]
    receptive: tuple[int, int]
    need: Mapping[int, tuple[int, int]]
    fresh: Mapping[int, Fresh]
    reads: tuple[WholeRead, ...]
    padded: tuple[Padded, ...]

    def row_bytes(self, buffer: int) -> int:
        """Bytes of one row of a time buffer."""
        return self.program.buffers[buffer].bytes // self.heights[buffer]


def outputs_of(call: KernelCall) -> list[str]:
    """Names of what a call writes, without scratch."""
    return [b.name for b in call.signature.buffers if b.is_output and b.name != "scratch"]


def by_rows(program: Program, graph: TimeGraph, hop: int) -> ByRows:
    """Cut `program`, lowered from `graph` with its input pushed, for hops of `hop` input rows.

    Raises NotByRows.
    """
    heights = {
        program.values[t].arg.buffer: program.values[t].shape[1]
        for t in graph.rows
        if t in program.values
    }
    arrival = next(i for i, c in enumerate(program.calls) if c.kernel == "thm_input_rows")
    source = _buffer(program.calls[arrival], "y")
    calls = [_with_one_row(call) for call in program.calls]
    dropped = _drop_pads(program, calls, heights)
    row_calls: list[int] = []
    strides: dict[int, int] = {source: 1}  # rows of the input from row to row of a buffer
    for i, call in enumerate(calls):
        written = [arg.buffer for name in outputs_of(call) if (arg := call.args[name]) is not None]
        if i == arrival or i in dropped or not any(b in heights for b in written):
            continue
        _check_rows(call, heights)
        row_calls.append(i)
        for name, window in call.windows.items():
            stride = strides[_buffer(call, name)] * window.stride
            if strides.setdefault(written[0], stride) != stride:
                raise NotByRows(call.layer)
    for i in row_calls:
        if hop % strides[_written(calls[i])]:
            raise NotByRows(calls[i].layer, _bad_hop(hop, strides, _written(calls[i])))
    steps = {buffer: hop // stride for buffer, stride in strides.items()}
    tail = [
        i for i in range(len(calls)) if i != arrival and i not in dropped and i not in row_calls
    ]
    results = _results(program, calls, tail, row_calls, graph, heights, steps)
    tail = [i for i in tail if i not in {result.call for result in results}]
    reads = [*_reads(calls, tail, heights), *(result.read for result in results)]
    need = _needs(calls, row_calls, reads)
    row_calls = [i for i in row_calls if _written(calls[i]) in need]
    receptive = need.get(source, (0, 0))
    end = max(heights[source], receptive[1])
    if source in need:  # rows arrive up to the window's end, those for later hops too
        need[source] = (receptive[0], end)
    fresh = {b: Fresh(max(a, end - steps[b]), end, steps[b]) for b, (a, end) in need.items()}
    return ByRows(
        program=program,
        calls=tuple(calls),
        arrival=arrival,
        source=source,
        arrivals=range(end - hop, end),
        tasks=tuple(_task(calls[i]) for i in row_calls),
        task_calls=tuple(row_calls),
        tail=tuple(tail),
        results=tuple(results),
        heights=heights,
        receptive=receptive,
        need=need,
        fresh=fresh,
        reads=tuple(reads),
        padded=tuple(_padded(calls, row_calls, heights, need)),
    )


def _bad_hop(hop: int, strides: Mapping[int, int], buffer: int) -> Finding:
    message = f"moves by {strides[buffer]} rows of the input from row to row, a hop by {hop}"
    hint = f"use a hop that is a multiple of {lcm(*strides.values())}"
    return Finding("stream-time", "", message, hint)


def _buffer(call: KernelCall, name: str) -> int:
    arg = call.args[name]
    assert arg is not None
    return arg.buffer


def _written(call: KernelCall) -> int:
    return _buffer(call, outputs_of(call)[0])


def _with_one_row(call: KernelCall) -> KernelCall:
    """A call for one output row moves with its input, whatever its stride says."""
    if call.rows != 1 or not call.windows or "stride_h" not in call.params:
        return call
    windows = {name: replace(w, stride=1) for name, w in call.windows.items()}
    return replace(call, windows=windows, params={**call.params, "stride_h": 1})


def _check_rows(call: KernelCall, heights: Mapping[int, int]) -> None:
    """Raises NotByRows unless the call writes rows of one time buffer out of rows of others."""
    outputs = outputs_of(call)
    out = call.args[outputs[0]]
    fits = (
        len(outputs) == 1
        and out is not None
        and out.offset == 0
        and call.batches == 1
        and not call.accumulates
        and bool(call.windows)
        and call.rows == heights[out.buffer]
        and f"{outputs[0]}_ring" in call.params
    )
    for name, arg in call.args.items():
        if arg is not None and arg.buffer in heights and name not in outputs:
            fits = fits and arg.offset == 0 and name in call.windows
            fits = fits and call.params.get(f"{name}_ring") == heights[arg.buffer]
    fits = fits and all(_buffer(call, name) in heights for name in call.windows)
    if not fits:
        raise NotByRows(call.layer)


def _drop_pads(
    program: Program, calls: list[KernelCall], heights: Mapping[int, int]
) -> frozenset[int]:
    """Let readers of rows padded in time read the unpadded ones, further up; PADs so dropped."""
    dropped = set()
    for i, call in enumerate(calls):
        if call.kernel != "thm_pad" or not _pads_rows_with_zeros(program, call, heights):
            continue
        x, y = _buffer(call, "x"), _buffer(call, "y")
        moved = {
            k: _reading(reader, y, Arg(x), call.windows["x"].pad, heights[x])
            for k, reader in enumerate(calls)
            if k != i and any(a is not None and a.buffer == y for a in reader.args.values())
        }
        found = {k: reader for k, reader in moved.items() if reader is not None}
        if len(found) == len(moved):
            for k, reader in found.items():
                calls[k] = reader
            dropped.add(i)
    return frozenset(dropped)


def _pads_rows_with_zeros(program: Program, call: KernelCall, heights: Mapping[int, int]) -> bool:
    p = call.params
    x, y, value = _buffer(call, "x"), _buffer(call, "y"), program.buffers[_buffer(call, "value")]
    if x not in heights or y not in heights or value.data is None:
        return False
    zeros = (value.data.view("uint8") == fill_of(program, x)).all()
    return bool(zeros) and p["y_row"] == p["blocks"] * p["block"] and p["y_start"] == 0


def fill_of(program: Program, buffer: int) -> int:
    """The byte that real zero is made of in a buffer."""
    found = (v for v in program.values.values() if v.arg.buffer == buffer)
    value = next((v for v in found if v.scale), None)
    is_byte = value is not None and value.dtype in ("int8", "uint8")
    return value.zero_point % 256 if value is not None and is_byte else 0


def _reading(call: KernelCall, y: int, x: Arg, pad: int, rows: int) -> KernelCall | None:
    """`call` reading x of `rows` rows, which lie `pad` above those of y; None where it cannot."""
    names = [name for name, arg in call.args.items() if arg is not None and arg.buffer == y]
    param = next((word for word in _SHIFTS if word in call.params), None)
    if len(names) != 1 or names[0] not in call.windows or param is None:
        return None
    name = names[0]
    window = call.windows[name]
    params = {**call.params, param: call.params[param] + _SHIFTS[param] * pad}
    return replace(
        call,
        params=params | {f"{name}_ring": rows},
        args={**call.args, name: x},
        windows={**call.windows, name: Window(window.stride, window.pad + pad, window.extent)},
    )


def _results(
    program: Program,
    calls: Sequence[KernelCall],
    tail: Sequence[int],
    row_calls: Sequence[int],
    graph: TimeGraph,
    heights: Mapping[int, int],
    steps: Mapping[int, int],
) -> list[Result]:
    """The model outputs that have rows: written by rows, or copied in the tail."""
    found: list[Result] = []
    for i in (*row_calls, *tail):
        call = calls[i]
        if i in tail and call.kernel != "thm_copy":
            continue
        y = _written(call)
        x = _buffer(call, "x") if i in tail else y
        buffer = program.buffers[y]
        if buffer.role != "output" or x not in heights or any(r.port == buffer.port for r in found):
            continue
        is_sequence = graph.outputs[buffer.port] is not None
        first = max(heights[x] - steps[x], 0) if is_sequence else 0
        found.append(Result(buffer.port, WholeRead(x, first, heights[x]), call.layer, i))
    return found


def _reads(
    calls: Sequence[KernelCall], tail: Sequence[int], heights: Mapping[int, int]
) -> list[WholeRead]:
    """Whole windows that the tail reads."""
    reads: list[WholeRead] = []
    for i in tail:
        for name, arg in calls[i].args.items():
            if arg is None or arg.buffer not in heights or name in outputs_of(calls[i]):
                continue
            if arg.offset:
                raise NotByRows(calls[i].layer)
            read = WholeRead(arg.buffer, 0, heights[arg.buffer])
            if read not in reads:
                reads.append(read)
    return reads


def _needs(
    calls: Sequence[KernelCall], row_calls: Sequence[int], reads: Sequence[WholeRead]
) -> dict[int, tuple[int, int]]:
    """Rows of each buffer that `reads` depend on, beyond the window too."""
    need: dict[int, tuple[int, int]] = {}

    def want(buffer: int, first: int, end: int) -> None:
        a, b = need.get(buffer, (first, end))
        need[buffer] = (min(a, first), max(b, end))

    for read in reads:
        want(read.buffer, read.first, read.end)
    for i in reversed(row_calls):
        if (y := _written(calls[i])) not in need:
            continue
        first, end = need[y]
        for name, w in calls[i].windows.items():
            low, high = first * w.stride - w.pad, (end - 1) * w.stride - w.pad + w.extent
            want(_buffer(calls[i], name), low, high)
    return need


def _task(call: KernelCall) -> HopTask:
    uses = tuple(
        Use(_buffer(call, name), window.stride, window.pad, window.extent)
        for name, window in call.windows.items()
    )
    return HopTask(_written(call), uses)


def _padded(
    calls: Sequence[KernelCall],
    row_calls: Sequence[int],
    heights: Mapping[int, int],
    need: Mapping[int, tuple[int, int]],
) -> list[Padded]:
    """The calls that pad rows which the outputs depend on, first to last, one for each layer."""
    found: dict[int, Padded] = {}
    for i in row_calls:
        call, y = calls[i], _written(calls[i])
        first, end = max(need[y][0], 0), min(need[y][1], heights[y])
        for name, window in call.windows.items():
            low = first * window.stride - window.pad
            high = (end - 1) * window.stride - window.pad + window.extent
            before, after = max(-low, 0), max(high - heights[_buffer(call, name)], 0)
            if first < end and (before or after):
                known = found.get(call.layer, Padded(call.layer, 0, 0))
                found[call.layer] = Padded(
                    call.layer, max(known.before, before), max(known.after, after)
                )
    return list(found.values())
