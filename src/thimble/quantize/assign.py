"""Which layers become integer, and which scale and zero point every tensor gets.

`quant` of an op says how its output relates to its inputs. Tensors that "same" ops tie together
form a group with one common range; "fixed" outputs keep their prescribed params and are requantized
where a group asks for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.graph import Graph, Quant
from thimble.ops.contract import NodeView, OpaqueOp
from thimble.quantize.observe import LARGEST, Observed
from thimble.quantize.ranges import activation_quant, covers
from thimble.quantize.versions import has_version

Range = tuple[float, float]


@dataclass(frozen=True)
class Roles:
    """The input positions of a node by what they are to the quantizer."""

    activations: tuple[int, ...]
    weights: Mapping[int, int | None]  # position -> axis of the scales
    bias: int | None


def roles(n: NodeView) -> Roles:
    """The float32 inputs of a node, sorted by its op's rule."""
    rule = n.op.quant
    weights = {i: axis for i, axis in rule.weights.items() if n.has(i)}
    bias = rule.bias if rule.bias is not None and n.has(rule.bias) else None
    chosen = range(len(n.inputs)) if rule.activations is None else rule.activations
    activations = tuple(
        i
        for i in chosen
        if i not in weights and i != bias and n.has(i) and n.x(i).dtype == "float32"
    )
    return Roles(activations, weights, bias)


def _is_float(n: NodeView) -> bool:
    """Whether quantizing could concern the node at all: it reads or writes float32."""
    return any(t is not None and t.dtype == "float32" for t in [*n.inputs, *n.outputs])


def reason_to_stay(n: NodeView, observed: Mapping[int, Observed], dtype: str) -> str:
    """Why a node cannot be integer; empty where nothing speaks against it so far."""
    op = n.op
    if isinstance(op, OpaqueOp) or not op.quant.quantizable:
        return f"{op.name} has no integer form"
    if not has_version(op.name, dtype):
        return f"TFLite has no {dtype} {op.name}"
    part = roles(n)
    floats = [i for i, t in enumerate(n.inputs) if t is not None and t.dtype == "float32"]
    known = {*part.activations, *part.weights, part.bias}
    if not part.activations or any(i not in known for i in floats):
        return f"{op.name} takes float inputs that its integer form does not"
    for i in (*part.weights, *([part.bias] if part.bias is not None else [])):
        data = n.x(i).data
        if data is None or n.x(i).dtype != "float32":
            return f"its weights or bias `{n.x(i).name}` are computed at run time"
    for i in (*part.activations, *part.weights, *([] if part.bias is None else [part.bias])):
        data = n.x(i).data
        if data is not None and not bool((np.abs(data) < LARGEST).all()):  # False for NaN, too
            return f"its constant `{n.x(i).name}` holds NaN or infinity"
    tensors = [*(n.node.inputs[i] for i in part.activations), *n.node.outputs]
    for t in tensors:
        tensor = n.graph.tensors[t]
        if tensor.is_variable:
            return f"`{tensor.name}` is a state variable"
        if t in observed and not observed[t].is_finite:
            return f"`{tensor.name}` was NaN or infinite on some sample"
    return ""


def candidates(
    graph: Graph, observed: Mapping[int, Observed], dtype: str
) -> tuple[set[int], dict[int, str]]:
    """(nodes that may become integer, reasons why other float nodes stay)."""
    chosen: set[int] = set()
    staying: dict[int, str] = {}
    for i in range(len(graph.nodes)):
        n = NodeView(graph, i)
        if not _is_float(n) or n.node.op.name in ("QUANTIZE", "DEQUANTIZE"):
            continue
        if reason := reason_to_stay(n, observed, dtype):
            staying[i] = reason
        else:
            chosen.add(i)
    return chosen, staying


class _Groups:
    """Union-find over tensors."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}

    def find(self, t: int) -> int:
        while self.parent.get(t, t) != t:
            t = self.parent[t]
        return t

    def join(self, tensors: Sequence[int]) -> None:
        for t in tensors:
            self.parent[self.find(t)] = self.find(tensors[0])

    def members(self) -> dict[int, list[int]]:
        """Representative -> members, for everything that was ever joined."""
        found: dict[int, list[int]] = {}
        for t in self.parent:
            found.setdefault(self.find(t), []).append(t)
        return found


@dataclass(frozen=True)
class Assignment:
    """`params` of every activation; `wanted` of a "same" node, for its inputs and outputs."""

    params: Mapping[int, Quant]
    wanted: Mapping[int, Quant]


def assign(
    graph: Graph,
    chosen: set[int],
    borders: Sequence[int],
    ranges: Mapping[int, Range],
    dtype: str,
) -> Assignment:
    """Params for every float tensor that a chosen node reads or writes, and for `borders`.

    `ranges` [low, high] of every float tensor, constants included.
    """
    groups = _Groups()
    touched: set[int] = set(borders)
    fixed: dict[int, Quant] = {}
    same_writes: set[int] = set()
    anchors: dict[int, int] = {}  # "same" node -> a tensor of its group
    for i in sorted(chosen):
        n = NodeView(graph, i)
        rule = n.op.quant
        inputs = [n.node.inputs[k] for k in roles(n).activations]
        outputs = [t for t in n.node.outputs if graph.tensors[t].dtype == "float32"]
        touched.update(t for t in inputs if not graph.tensors[t].is_constant)
        touched.update(outputs)
        if rule.output == "fixed":
            scale, zero_point = rule.fixed[dtype]
            fixed.update(dict.fromkeys(outputs, Quant.per_tensor(scale, zero_point)))
        elif rule.output == "same" and outputs:
            groups.join([*outputs, *inputs])
            same_writes.update(outputs)
            anchors[i] = outputs[0]
    params: dict[int, Quant] = {t: activation_quant(*ranges[t], dtype) for t in touched}
    params.update(fixed)
    wanted: dict[int, Quant] = {}
    for representative, members in groups.members().items():
        low = min(ranges[t][0] for t in members)
        high = max(ranges[t][1] for t in members)
        common = activation_quant(low, high, dtype)
        sources = [t for t in members if t not in same_writes]
        prescribed = [fixed[t] for t in sources if t in fixed]
        runtime = [t for t in sources if not graph.tensors[t].is_constant]
        if prescribed and len(prescribed) == len(runtime):
            first = prescribed[0]
            alike = all(first.same_as(q) for q in prescribed)
            constants = [t for t in sources if graph.tensors[t].is_constant]
            if alike and all(covers(first, *ranges[t], dtype) for t in constants):
                common = first
        wanted[representative] = common
        params.update({t: common for t in members if t not in fixed})
    by_node = {i: wanted[groups.find(t)] for i, t in anchors.items()}
    return Assignment(params, by_node)
