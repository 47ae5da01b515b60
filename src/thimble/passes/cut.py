"""Cut channels out of a graph: what `shrink` has decided, done to tensors and nodes.

    x [N, H, W, C] -> CONV_2D w [O, FH, FW, C] -> y [N, H, W, O]
    ->  x [N, H, W, C'] -> CONV_2D w' [O', FH, FW, C'], b' -> y [N, H, W, O']

b' has what the channels that went, which were constant, added to every sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thimble.graph import Graph, Node, Quant, Tensor
from thimble.ops.contract import NodeView
from thimble.passes.channels import Channels, Layer
from thimble.passes.match import shape_constant

Array = np.ndarray


@dataclass
class Decision:
    """Which slots go, which of these equal others, and the weights of layers that this changes.

    Of what goes, `padding` stays in its place as channels that nobody reads.
    """

    gone: Array  # [slots] bool
    merged: Array  # [slots] bool
    padding: Array  # [slots] bool, some of `gone`
    weights: dict[int, Array] = field(default_factory=dict)  # node -> [O, K, C] less zero point


def _kept_quant(quant: Quant | None, kept: Array) -> Quant | None:
    """Scales per slice, of the slices kept."""
    if quant is None or not quant.is_per_channel:
        return quant

    def part(values: Array | None) -> Array | None:
        return values[kept] if values is not None and len(values) == len(quant.scale) else values

    return replace(
        quant,
        scale=quant.scale[kept],
        zero_point=quant.zero_point[kept],
        range_min=part(quant.range_min),
        range_max=part(quant.range_max),
    )


def _cut_last(tensor: Tensor, kept: Array) -> Tensor:
    """The tensor with some of its channels."""
    changes: dict[str, Any] = {"shape": (*tensor.shape[:-1], int(kept.sum()))}
    if tensor.data is not None:
        changes["data"] = np.ascontiguousarray(tensor.data.reshape(tensor.shape)[..., kept])
    if tensor.shape_signature:
        changes["shape_signature"] = (*tensor.shape_signature[:-1], int(kept.sum()))
    return replace(tensor, **changes)


class _Cutter:
    """Builds the new graph; constants of nodes are appended, activations change in place."""

    def __init__(self, c: Channels, decision: Decision):
        self.c, self.graph, self.decision = c, c.graph, decision
        self.tensors = list(c.graph.tensors)
        self.layers = {layer.node: layer for layer in c.layers}
        self.stays = ~decision.gone | decision.padding
        self.touched = {t for t in c.base if decision.gone[c.at(t)].any()}

    def kept(self, t: int) -> Array:
        """[C] which channels of t stay."""
        return self.stays[self.c.at(t)]

    def constant(self, t: int, data: Array, quant: Quant | None) -> int:
        """Tensor t with other values, for one node alone."""
        old = self.graph.tensors[t]
        data = np.ascontiguousarray(data)
        self.tensors.append(replace(old, data=data, shape=data.shape, quant=quant))
        return len(self.tensors) - 1

    def bias(self, n: NodeView, values: Array, kept: Array) -> int:
        """The bias with other values, made where there was none and it takes one."""
        values = values[kept].astype(np.int32)
        if n.has(2):
            shape = (*n.x(2).shape[:-1], -1) if n.x(2).shape else (-1,)
            return self.constant(
                n.node.inputs[2], values.reshape(shape), _kept_quant(n.x(2).quant, kept)
            )
        if not values.any():
            return -1
        w = n.x(1).quant
        assert w is not None
        scale = (np.float64(n.x().scale) * w.scale.astype(np.float64)).astype(np.float32)
        quant = _kept_quant(Quant(scale, np.zeros(len(scale), np.int64), 0), kept)
        name = f"{n.x(1).name}/constant_channels"
        self.tensors.append(Tensor(name, values.shape, "int32", quant, values))
        return len(self.tensors) - 1

    def layer(self, n: NodeView, layer: Layer) -> Node:
        """CONV_2D or FULLY_CONNECTED between what is left of its input and its output."""
        x, y, w = self.kept(layer.x), self.kept(layer.y), n.x(1)
        gone = self.decision.gone
        weights = self.decision.weights.get(layer.node, layer.weights).copy()
        weights[:, :, gone[self.c.at(layer.x)]] = 0
        weights[gone[self.c.at(layer.y)]] = 0
        data = (weights[y][:, :, x] + layer.w_zero).astype(np.int8)
        image = w.shape[1:3] if len(w.shape) == 4 else ()
        # Constants that went are in the bias; what was unused or merged adds nothing.
        folded = gone & ~self.decision.merged
        in_bias = folded[self.c.at(layer.x)] & self.c.is_fixed(layer.x)
        offset = np.where(in_bias, self.c.low[layer.x] - layer.x_zero, 0)
        added = layer.weights[:, layer.taken[0]].astype(np.int64).sum(axis=1) @ offset
        inputs = (
            n.node.inputs[0],
            self.constant(
                n.node.inputs[1],
                data.reshape(len(data), *image, -1),
                _kept_quant(w.quant, y),
            ),
            self.bias(n, layer.bias + added, y),
        )
        return replace(n.node, inputs=inputs)

    def depthwise(self, n: NodeView) -> Node:
        """DEPTHWISE_CONV_2D, which has no other channels than its output."""
        kept, w = self.kept(n.node.outputs[0]), n.x(1)
        inputs = [
            n.node.inputs[0],
            self.constant(n.node.inputs[1], n.constant(1)[..., kept], _kept_quant(w.quant, kept)),
        ]
        if n.has(2):
            inputs.append(self.bias(n, n.constant(2).reshape(-1), kept))
        return replace(n.node, inputs=tuple(inputs))

    def node(self, index: int, node: Node) -> Node:
        """The node on what is left of its tensors."""
        if not self.touched.intersection((*node.inputs, *node.outputs)):
            return node
        n = NodeView(self.graph, index)
        if index in self.layers:
            return self.layer(n, self.layers[index])
        if node.op.name == "DEPTHWISE_CONV_2D":
            return self.depthwise(n)
        if node.op.name == "RESHAPE":
            y = self.tensors[node.outputs[0]]
            name = f"{y.name}/shape"
            op = replace(n.op, new_shape=y.shape)
            return replace(
                node, op=op, inputs=(node.inputs[0], shape_constant(self.tensors, name, y.shape))
            )
        if node.op.name == "SQUEEZE" and not n.op.squeeze_dims:
            # Otherwise it would drop a last dimension of which 1 is left.
            dims = tuple(d for d, size in enumerate(n.x().shape) if size == 1)
            return replace(node, op=replace(n.op, squeeze_dims=dims))
        return node


def cut(c: Channels, decision: Decision) -> Graph:
    """The graph that `c` knows, without the slots that go."""
    cutter = _Cutter(c, decision)
    for t in cutter.touched:
        cutter.tensors[t] = _cut_last(cutter.tensors[t], cutter.kept(t))
    nodes = tuple(cutter.node(i, node) for i, node in enumerate(c.graph.nodes))
    return c.graph.with_(tensors=tuple(cutter.tensors), nodes=nodes)
