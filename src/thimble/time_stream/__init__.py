"""Streaming in time: a model over a sliding window as a program that computes only what is new.

`stream_time(model, hop)` gives a stateful program: after a reset, rows of the input are pushed;
once the first window is complete, and then after every `hop` rows, the outputs are those of the
model on the last window. Rows that layers need again stay in rings between the hops. A sequence
that is an output of the model gives its new rows only.

The outputs have the model's bits where they depend on no padding in time; else the program
computes the same layers on the endless signal, and `padded` says which layers make a difference.
After a reset the rings hold what layers pad with, so that even then a causal model's first window
is the model's own where `hop` divides the window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from thimble.errors import BadInput, Finding, UnsupportedModel
from thimble.graph import Model
from thimble.lower import cannot_push, lower, unsupported
from thimble.memory import Memory, place
from thimble.plan import hop as planner
from thimble.program import Program
from thimble.time_stream.axis import TimeGraph, rows_are_time
from thimble.time_stream.endless import endless_program
from thimble.time_stream.rows import ByRows, NotByRows, by_rows


@dataclass(frozen=True)
class PaddedLayer:
    """A layer that pads in time: rows before and after its input that the outputs depend on."""

    layer: str  # layer 7 CONV_2D `conv_3`
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class TimeProgram:
    """A model in time; macs are those of a hop.

    latency_rows: rows after the end of a window until its outputs are there (0 without padding
    after the window).
    receptive_rows: input rows that the outputs depend on.
    history_bytes: the rows that have to be known from one hop to the next, the least state there
    can be.
    """

    model: Model  # on whole windows: what the outputs are compared with
    program: Program
    memory: Memory
    hop: int
    window: int
    axis: int
    latency_rows: int
    receptive_rows: int
    padded: tuple[PaddedLayer, ...]  # none: exact
    macs: int
    window_macs: int
    history_bytes: int
    window_arena_bytes: int

    @property
    def is_exact(self) -> bool:
        """Whether the outputs have the bits of the model on the same window."""
        return not self.padded

    @property
    def state_bytes(self) -> int:
        """Bytes at the start of the arena that are kept between hops."""
        return self.memory.state_bytes


def unflattened(model: Model) -> Model:
    """The same model where a flat input [1, N] that is only reshaped arrives in that shape."""
    graph = model.graph
    if len(graph.inputs) != 1 or graph.inputs[0] in graph.outputs:
        return model
    given = graph.inputs[0]
    readers = [graph.nodes[i] for i in graph.consumers().get(given, [])]
    shapes = {graph.tensors[node.outputs[0]].shape for node in readers}
    if len(graph.tensors[given].shape) > 2 or len(shapes) != 1:
        return model
    shape = shapes.pop()
    if len(shape) < 3 or shape[0] != 1 or any(node.op.name != "RESHAPE" for node in readers):
        return model
    tensors = list(graph.tensors)
    tensors[given] = replace(tensors[given], shape=shape, shape_signature=None)
    return model.with_graph(graph.with_(tensors=tuple(tensors)))


def stream_time(
    model: Model,
    hop: int,
    arch: str = "scalar",
    *,
    name: str = "model",
    axis: int | None = None,
    shrink: bool = True,
) -> TimeProgram:
    """`model` over a window that slides by `hop` rows along its input's time axis.

    The input is [1, T, C] or [1, T, S, C]; [1, 1, T, C] too. `axis` 2 takes time from
    [1, S, T, C], whose rows are then pushed as [S, C]. Raises UnsupportedModel or BadInput, with
    what to change. Whether the result has the model's bits is in `is_exact` and `padded`.
    """
    from thimble.passes import pipeline, run_passes

    model = unflattened(run_passes(model, pipeline(shrink)))
    axis = _check(model, hop, axis)
    leave: frozenset[int] = frozenset()
    while True:
        graph = rows_are_time(model, axis, leave)
        lowered = lower(graph.model, name, arch, push_input=True)
        try:
            rows = by_rows(lowered, graph, hop)
        except NotByRows as error:
            origin = graph.origin[error.layer]
            if error.finding is not None:
                where = f"{model.source}, {model.graph.layer(origin)}"
                raise UnsupportedModel(replace(error.finding, where=where)) from None
            if origin in leave:
                raise AssertionError(f"{model.graph.layer(origin)} is not by rows") from None
            leave |= {origin}
            continue
        return _assemble(model, graph, rows, hop, axis)


def _check(model: Model, hop: int, axis: int | None) -> int:
    """The time axis. Raises what `stream_time` does about the model as a whole."""
    findings = unsupported(model)
    given = model.graph.tensors[model.graph.inputs[0]].shape if model.graph.inputs else ()
    if not findings and axis is None:
        axis = 2 if len(given) == 4 and given[1] == 1 else 1
    if not findings and len(given) >= 3 and axis == 1:
        findings += cannot_push(model)
    elif not findings and (axis != 2 or len(given) != 4 or given[0] != 1):
        message = f"input {list(given)} has no time axis"
        hint = "one input of shape [1, T, C] or [1, T, S, C]"
        findings = [Finding("stream-time", model.source, message, hint)]
    if findings:
        raise UnsupportedModel(findings)
    assert axis is not None
    if not 1 <= hop <= given[axis]:
        message = f"a window of {given[axis]} rows cannot slide by {hop}"
        hint = f"a hop from 1 to {given[axis]}"
        raise BadInput(Finding("stream-time", model.source, message, hint))
    return axis


def _assemble(model: Model, graph: TimeGraph, rows: ByRows, hop: int, axis: int) -> TimeProgram:
    if not rows.tasks:
        first = model.graph.layer(graph.origin[0]) if graph.origin else "the model"
        message = "takes whole windows, so that every hop would recompute everything"
        hint = "begin with convolutions or pools that slide along time"
        raise UnsupportedModel(Finding("stream-time", f"{model.source}, {first}", message, hint))
    found = planner.order(rows.tasks, rows.fresh, rows.source, rows.arrivals, rows.reads)
    hops = 3 + max(-(-found.rings[b] // f.step) for b, f in rows.fresh.items())
    if wrong := planner.check(rows.tasks, rows.fresh, rows.source, rows.reads, found, hops):
        raise AssertionError(f"{model.source}: {wrong[:3]}")  # a bug of ours
    window = model.graph.tensors[model.graph.inputs[0]].shape[axis]
    shape = list(model.graph.tensors[model.graph.inputs[0]].shape)
    shape[axis] = hop
    program = endless_program(rows, found, graph, hop, tuple(shape))
    offline = lower(model)
    return TimeProgram(
        model=model,
        program=program,
        memory=place(program),
        hop=hop,
        window=window,
        axis=axis,
        latency_rows=rows.arrivals.stop - window,
        receptive_rows=rows.receptive[1] - rows.receptive[0],
        padded=tuple(
            PaddedLayer(model.graph.layer(graph.origin[p.layer]), p.before, p.after)
            for p in rows.padded
        ),
        macs=sum(layer.macs for layer in program.layers),
        window_macs=sum(layer.macs for layer in offline.layers),
        history_bytes=sum(rows.row_bytes(b) * count for b, count in found.kept.items()),
        window_arena_bytes=place(offline).arena_bytes,
    )
