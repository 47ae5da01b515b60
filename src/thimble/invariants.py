"""The invariants of every graph, as data: a name, a sentence, a function that finds what breaks it.

The readers apply them to what they read, and the tests to what every pass leaves. A rule may see
any nonsense (indices out of range, negative sizes) and must neither fail nor take more than linear
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from math import prod
from typing import Generic, TypeVar

import numpy as np

from thimble.errors import Finding
from thimble.graph import ITEM_BITS, Graph, Model, Node
from thimble.ops.contract import OpaqueOp

MAX_RANK = 32  # what every NumPy can hold
MAX_TENSOR_BYTES = 2**31 - 1
MAX_FINDINGS_PER_RULE = 8
MAX_NAME = 80  # characters of a name in a message

# dtypes whose elements have no fixed size, and those that NumPy lacks: constants are raw bytes.
SIZELESS_DTYPES = frozenset({"string", "resource", "variant"})
RAW_DTYPES = SIZELESS_DTYPES | {"int2", "int4", "uint4", "bfloat16"}

_EXPORT_AGAIN = "the file is damaged or its converter is at fault: export the model again"

Violation = tuple[str, str]  # where in the graph, what was found
Subject = TypeVar("Subject", Graph, Model)


@dataclass(frozen=True)
class Rule(Generic[Subject]):
    """A sentence that is true of every graph (or model), and the generator of its violations."""

    name: str
    sentence: str
    violations: Callable[[Subject], Iterator[Violation]]
    hint: str = _EXPORT_AGAIN


def shown(name: str) -> str:
    """A name from a file as a message may print it: short, and no control characters."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:MAX_NAME])
    return f"`{text}...`" if len(name) > MAX_NAME else f"`{text}`"


def tensor_place(graph: Graph, index: int) -> str:
    """tensor 3 `conv/bias`, also where the index is out of range."""
    if 0 <= index < len(graph.tensors):
        return f"tensor {index} {shown(graph.tensors[index].name)}"
    return f"tensor {index}"


def layer_place(graph: Graph, index: int) -> str:
    """`Graph.layer`, also where outputs are out of range."""
    node = graph.nodes[index]
    place = f"layer {index} {shown(node.op.name)[1:-1]}"
    if all(t < len(graph.tensors) for t in node.outputs):
        place += f" {shown(graph.layer_name(index))}"
    return place


def is_sane(shape: tuple[int, ...], dtype: str) -> bool:
    """Whether NumPy can hold such an array: rank, signs, size (a dimension 0 counted as 1)."""
    if len(shape) > MAX_RANK or min(shape, default=0) < 0:
        return False
    return prod(max(size, 1) for size in shape) * ITEM_BITS[dtype] <= 8 * MAX_TENSOR_BYTES


def _in_range(graph: Graph, index: int) -> bool:
    return 0 <= index < len(graph.tensors)


def _index_range(graph: Graph) -> Iterator[Violation]:
    count = len(graph.tensors)
    for side, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for t in indices:
            if not 0 <= t < count:
                yield f"graph {side}", f"refers to tensor {t} of {count}"
    for i, node in enumerate(graph.nodes):
        optional = (*node.inputs, *node.intermediates)
        wrong = [t for t in optional if not -1 <= t < count]
        wrong += [t for t in node.outputs if not 0 <= t < count]
        for t in wrong:
            yield layer_place(graph, i), f"refers to tensor {t} of {count}"


def _shape(graph: Graph) -> Iterator[Violation]:
    for i, tensor in enumerate(graph.tensors):
        if len(tensor.shape) > MAX_RANK:
            yield tensor_place(graph, i), f"has {len(tensor.shape)} dimensions"
        elif not is_sane(tensor.shape, tensor.dtype):
            yield tensor_place(graph, i), f"is {tensor.dtype} of shape {list(tensor.shape)}"


def _shape_signature(graph: Graph) -> Iterator[Violation]:
    for i, tensor in enumerate(graph.tensors):
        signature = tensor.shape_signature
        if signature is None:
            continue
        fits = len(signature) == len(tensor.shape) and all(
            s in (-1, size) for s, size in zip(signature, tensor.shape)
        )
        if not fits:
            yield (
                tensor_place(graph, i),
                f"has shape {list(tensor.shape[:MAX_RANK])}, but signature "
                f"{list(signature[:MAX_RANK])}",
            )


def _constant_data(graph: Graph) -> Iterator[Violation]:
    for i, tensor in enumerate(graph.tensors):
        data = tensor.data
        if data is None or "sparsity" in tensor.extra or tensor.dtype in SIZELESS_DTYPES:
            continue
        if not is_sane(tensor.shape, tensor.dtype):
            continue
        if tensor.dtype in RAW_DTYPES:
            fits = data.dtype == np.uint8 and data.nbytes == tensor.bytes
        else:
            fits = data.dtype == np.dtype(tensor.dtype) and data.shape == tensor.shape
        if not fits:
            yield (
                tensor_place(graph, i),
                f"holds {data.nbytes} bytes as {data.dtype} {list(data.shape)} where "
                f"{tensor.dtype} {list(tensor.shape[:MAX_RANK])} takes {tensor.bytes} bytes",
            )


def _scale(graph: Graph) -> Iterator[Violation]:
    for i, tensor in enumerate(graph.tensors):
        if tensor.quant is None or not len(tensor.quant.scale):
            continue
        scale = tensor.quant.scale
        bad = ~(np.isfinite(scale) & (scale >= 0))
        if bad.any():
            yield tensor_place(graph, i), f"has scale {float(scale[bad][0])!r}"


def _quant_length(graph: Graph) -> Iterator[Violation]:
    for i, tensor in enumerate(graph.tensors):
        q = tensor.quant
        if q is None:
            continue
        if len(q.scale) != len(q.zero_point):
            yield (
                tensor_place(graph, i),
                f"has {len(q.scale)} scales and {len(q.zero_point)} zero points",
            )
        elif len(q.scale) > 1:
            size = tensor.shape[q.axis] if 0 <= q.axis < len(tensor.shape) else None
            if size != len(q.scale):
                yield (
                    tensor_place(graph, i),
                    f"has {len(q.scale)} scales for axis {q.axis} of shape "
                    f"{list(tensor.shape[:MAX_RANK])}",
                )


def _zero_point(graph: Graph) -> Iterator[Violation]:
    for i, tensor in enumerate(graph.tensors):
        if tensor.quant is None or not len(tensor.quant.zero_point):
            continue
        if tensor.dtype.lstrip("u") not in ("int2", "int4", "int8", "int16", "int32", "int64"):
            continue
        bits = ITEM_BITS[tensor.dtype]
        signed = not tensor.dtype.startswith("u")
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        lowest, highest = int(tensor.quant.zero_point.min()), int(tensor.quant.zero_point.max())
        if lowest < low or highest > high:
            worst = lowest if lowest < low else highest
            yield tensor_place(graph, i), f"is {tensor.dtype} with zero point {worst}"


def _single_writer(graph: Graph) -> Iterator[Violation]:
    writer = {t: "the file, as a constant" for t, x in enumerate(graph.tensors) if x.is_constant}
    for t in graph.inputs:
        if t in writer:
            yield "graph inputs", f"{tensor_place(graph, t)} is already given by {writer[t]}"
        writer[t] = "the caller, as a graph input"
    for i, node in enumerate(graph.nodes):
        for t in node.outputs:
            if not _in_range(graph, t):
                continue
            place = layer_place(graph, i)
            if t in writer:
                yield place, f"writes {tensor_place(graph, t)}, which is given by {writer[t]}"
            writer[t] = place


def _order(graph: Graph) -> Iterator[Violation]:
    ready = {
        *graph.inputs,
        *(t for t, x in enumerate(graph.tensors) if x.is_constant or x.is_variable),
    }
    producers = graph.producers()
    for i, node in enumerate(graph.nodes):
        for t in dict.fromkeys(node.inputs):
            if _in_range(graph, t) and t not in ready:
                if t in producers:
                    later = layer_place(graph, producers[t])
                    found = f"reads {tensor_place(graph, t)}, which {later} has yet to write"
                else:
                    found = f"reads {tensor_place(graph, t)}, which nothing writes"
                yield layer_place(graph, i), found
        ready.update(node.outputs)
    for t in dict.fromkeys(graph.outputs):
        if _in_range(graph, t) and t not in ready:
            yield "graph outputs", f"{tensor_place(graph, t)} is never written"


RULES: tuple[Rule[Graph], ...] = (
    Rule("index-range", "every tensor index refers to a tensor of the graph", _index_range),
    Rule(
        "shape",
        f"a shape has at most {MAX_RANK} dimensions, none negative, and takes less than 2 GiB",
        _shape,
    ),
    Rule(
        "shape-signature",
        "a shape signature equals the shape, with -1 for the dimensions that may vary",
        _shape_signature,
    ),
    Rule(
        "data-size",
        "a constant has exactly the elements of its shape, in its dtype",
        _constant_data,
    ),
    Rule("scale", "scales are finite and not negative", _scale),
    Rule(
        "quant-length",
        "a tensor has one scale and zero point, or one of each per element of its quantized axis",
        _quant_length,
    ),
    Rule("zero-point", "zero points lie within the range of the tensor's dtype", _zero_point),
    Rule(
        "single-writer",
        "a tensor is given by the file, by the caller or by exactly one node",
        _single_writer,
    ),
    Rule("order", "nodes come after the nodes whose outputs they read", _order),
)


def _has_graph(model: Model) -> Iterator[Violation]:
    if not model.graphs:
        yield "", "it has none"


def _signature(model: Model) -> Iterator[Violation]:
    for signature in model.signatures:
        place = f"signature {shown(signature.key)}"
        if not 0 <= signature.subgraph < len(model.graphs):
            yield place, f"refers to subgraph {signature.subgraph} of {len(model.graphs)}"
            continue
        count = len(model.graphs[signature.subgraph].tensors)
        for side in (signature.inputs, signature.outputs):
            for name, t in side.items():
                if not 0 <= t < count:
                    yield place, f"maps {shown(name)} to tensor {t} of {count}"


def called_graphs(node: Node) -> tuple[int, ...]:
    """Indices of the subgraphs that a control flow op refers to (IF, WHILE, CALL_ONCE ...)."""
    fields = node.op.fields if isinstance(node.op, OpaqueOp) else vars(node.op)
    found: list[int] = []
    for name, value in fields.items():
        if name.endswith("subgraph_index") or (name == "subgraph" and isinstance(value, int)):
            found.append(value)
        elif name in ("branch_subgraph_indices", "called_computations"):
            found.extend(value)
    return tuple(found)


def _calls(model: Model) -> Iterator[Violation]:
    calls: dict[int, set[int]] = {}
    for g, graph in enumerate(model.graphs):
        calls[g] = set()
        for i, node in enumerate(graph.nodes):
            for callee in called_graphs(node):
                calls[g].add(callee)
                if not 0 <= callee < len(model.graphs):
                    place = f"subgraph {g}, {layer_place(graph, i)}"
                    yield place, f"calls subgraph {callee} of {len(model.graphs)}"
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        round_trip = " -> ".join(str(g) for g in error.args[1][:MAX_NAME])
        yield f"subgraph {error.args[1][0]}", f"calls itself: {round_trip}"


MODEL_RULES: tuple[Rule[Model], ...] = (
    Rule("no-subgraph", "a model has at least one subgraph", _has_graph),
    Rule("signature", "signatures refer to tensors of a subgraph", _signature),
    Rule("calls", "control flow refers to subgraphs of the file, and none calls itself", _calls),
)


def _apply(rules: Sequence[Rule[Subject]], subject: Subject, where: str) -> list[Finding]:
    findings = []
    for rule in rules:
        for place, found in islice(rule.violations(subject), MAX_FINDINGS_PER_RULE):
            path = ", ".join(part for part in (where, place) if part)
            findings.append(Finding(rule.name, path, f"{found}; {rule.sentence}", rule.hint))
    return findings


def check_graph(graph: Graph, where: str = "") -> list[Finding]:
    """Every violation of `RULES` (the first few of each); `where` is the file, for messages."""
    return _apply(RULES, graph, where)


def check_model(model: Model) -> list[Finding]:
    """Every violation of `MODEL_RULES` and, in each subgraph, of `RULES`."""
    findings = _apply(MODEL_RULES, model, model.source)
    for i, graph in enumerate(model.graphs):
        several = len(model.graphs) > 1
        where = f"{model.source}, subgraph {i}" if several else model.source
        findings += check_graph(graph, where)
    return findings
