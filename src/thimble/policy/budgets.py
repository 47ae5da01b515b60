"""Rules on sizes and on the model's inputs and outputs: what the rest of the firmware relies on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from thimble.graph import Graph
from thimble.policy.contract import PortRule, Rule, Settings, Subject, Violation

SCALE_DIGITS = 1e-6  # relative: a policy gives a scale in decimals

_FIT = "see `thimble plan MODEL`, its --stream, and a smaller model"


def _over(what: str, found: int | None, limit: int | None) -> Iterator[Violation]:
    if limit is None:
        return
    if found is None:
        yield "", f"{what} is not known, as the model is not supported"
    elif found > limit:
        over = (found - limit) / limit * 100 if limit else 100.0
        yield "", f"{what} is {found:,}, {found - limit:,} ({over:.3g} %) over {limit:,}"


def _ram(subject: Subject, settings: Settings) -> Iterator[Violation]:
    if settings.ram is not None:
        yield from _over("the arena in bytes", subject.arena_bytes, settings.ram)


def _flash(subject: Subject, settings: Settings) -> Iterator[Violation]:
    if settings.flash is not None:
        yield from _over("the constants in bytes", subject.weights_bytes, settings.flash)


def _file(subject: Subject, settings: Settings) -> Iterator[Violation]:
    if settings.file is not None and subject.file_bytes is not None:
        yield from _over("the file in bytes", subject.file_bytes, settings.file)


def _macs(subject: Subject, settings: Settings) -> Iterator[Violation]:
    if settings.macs is not None:
        yield from _over("MACs of one inference", subject.macs, settings.macs)


def _layers(subject: Subject, settings: Settings) -> Iterator[Violation]:
    count = sum(len(graph.nodes) for graph in subject.model.graphs)
    yield from _over("layers", count, settings.layers)


def _inputs(subject: Subject, settings: Settings) -> Iterator[Violation]:
    yield from _ports(subject.graph, "input", subject.graph.inputs, settings.inputs)


def _outputs(subject: Subject, settings: Settings) -> Iterator[Violation]:
    yield from _ports(subject.graph, "output", subject.graph.outputs, settings.outputs)


def _ports(
    graph: Graph, side: str, indices: Sequence[int], wanted: Sequence[PortRule] | None
) -> Iterator[Violation]:
    if wanted is None:
        return
    if len(indices) != len(wanted):
        yield f"{side}s", f"there are {len(indices)}, not {len(wanted)}"
    for k, (t, port) in enumerate(zip(indices, wanted)):
        tensor = graph.tensors[t]
        where = f"{side} {k} `{tensor.name}`"
        quant = tensor.quant if tensor.quant is not None and len(tensor.quant.scale) == 1 else None
        shape = tuple(tensor.shape_signature or tensor.shape)
        if port.name is not None and port.name != tensor.name:
            yield where, f"is not called `{port.name}`"
        if port.dtype is not None and port.dtype != tensor.dtype:
            yield where, f"is {tensor.dtype}, not {port.dtype}"
        if port.shape is not None and port.shape != shape:
            yield where, f"has shape {list(shape)}, not {list(port.shape)}"
        if port.scale is not None:
            found = None if quant is None else float(tensor.scale)
            if found is None or abs(found - port.scale) > SCALE_DIGITS * abs(port.scale):
                yield where, f"has scale {found}, not {port.scale}"
        if port.zero_point is not None:
            zero_point = None if quant is None else tensor.zero_point
            if zero_point != port.zero_point:
                yield where, f"has zero point {zero_point}, not {port.zero_point}"


RULES = (
    Rule(
        "ram-budget",
        "arena and state fit `ram` (stack excluded)",
        "error",
        _ram,
        _FIT,
        "budgets.ram or --ram",
    ),
    Rule(
        "flash-budget",
        "constants fit `flash` (code excluded: `thimble build --flash` measures it)",
        "error",
        _flash,
        "quantize or prune the largest layers (`thimble inspect MODEL`)",
        "budgets.flash or --flash",
    ),
    Rule("file-budget", "the file fits `file` bytes", "error", _file, needs="budgets.file"),
    Rule(
        "macs-budget",
        "one inference takes at most `macs` multiply-accumulates",
        "error",
        _macs,
        needs="budgets.macs or --macs",
    ),
    Rule(
        "layers-budget",
        "there are at most `layers` layers",
        "error",
        _layers,
        needs="budgets.layers",
    ),
    Rule(
        "inputs",
        "inputs have the names, dtypes, shapes, scales and zero points of the policy",
        "error",
        _inputs,
        "the code that fills them has to change with them",
        "[[inputs]]",
    ),
    Rule(
        "outputs",
        "outputs have the names, dtypes, shapes, scales and zero points of the policy",
        "error",
        _outputs,
        "the code that reads them has to change with them",
        "[[outputs]]",
    ),
)
