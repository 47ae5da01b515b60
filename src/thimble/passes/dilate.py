"""A convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND is a dilated convolution.

    x -> SPACE_TO_BATCH_ND (block b) -> CONV_2D (VALID, stride 1) -> BATCH_TO_SPACE_ND (b) -> y
    ->  x -> PAD -> CONV_2D (VALID, dilation b) -> y,  or  x -> CONV_2D (SAME, dilation b) -> y

Also DEPTHWISE_CONV_2D, and one spatial dimension, with the reshapes that TensorFlow puts round the
convolution then: x [N, W, C] -> ... -> [b N, 1, W', C] -> CONV_2D -> [b N, 1, W'', O] -> ... -> y.
Every output is the same sum in the same order. PAD has what SPACE_TO_BATCH_ND pads less what
BATCH_TO_SPACE_ND crops, and is not needed where that is nothing, or is what SAME pads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from thimble.geometry import axis
from thimble.graph import Graph, Node, Tensor
from thimble.ops.contract import NodeView
from thimble.ops.pad import Pad, paddings_of
from thimble.ops.reshape import Reshape
from thimble.passes.fuse_pad import same_padding
from thimble.passes.match import has_kernel, runs_alone, shape_constant
from thimble.passes.remove_identity import same_params

_RESHAPING = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
Pads = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class _Match:
    """Nodes of the pattern, in order, and what the dilated convolution needs (rows, columns)."""

    nodes: tuple[int, ...]
    conv: int
    block: tuple[int, int]
    pads: Pads
    image: tuple[int, int, int, int]  # x as the convolution will read it, before padding
    only: int | None  # the spatial dimension of x [N, W, C]: 0 for rows, 1 for columns


def _chain(graph: Graph, last: int) -> list[int] | None:
    """Nodes from SPACE_TO_BATCH_ND to the BATCH_TO_SPACE_ND `last`, which only feed each other."""
    producers, readers = graph.producers(), graph.consumers()
    found = [last]
    while True:
        node = graph.nodes[found[0]]
        before = producers.get(node.inputs[0]) if node.inputs else None
        if before is None or len(found) > 4 or not runs_alone(graph, readers, node.inputs[0]):
            return None
        found.insert(0, before)
        if graph.nodes[before].op.name == "SPACE_TO_BATCH_ND":
            return found
        if graph.nodes[before].op.name not in (*_RESHAPING, *_CONVOLUTIONS):
            return None


def _pads_nothing(n: NodeView) -> bool:
    """Whether a convolution of stride 1 has one output for each whole window, and no other."""
    op = n.op
    if (op.stride_h, op.stride_w) != (1, 1):
        return False
    for k, dilation in ((1, op.dilation_h_factor), (2, op.dilation_w_factor)):
        found = axis(n.x().shape[k], n.x(1).shape[k], 1, dilation, op.padding)
        if found.pad or found.out != n.x().shape[k] - found.extent + 1:
            return False
    return True


def _match(graph: Graph, last: int) -> _Match | None:
    nodes = _chain(graph, last)
    if nodes is None or not all(has_kernel(graph, graph.nodes[i]) for i in nodes):
        return None
    convolutions = [i for i in nodes if graph.nodes[i].op.name in _CONVOLUTIONS]
    if len(convolutions) != 1:
        return None
    views = [NodeView(graph, i) for i in nodes]
    first, conv, end = views[0], NodeView(graph, convolutions[0]), views[-1]
    moving = [v for v in views if v.node is not conv.node]
    if not all(same_params(v.x(), v.y()) for v in moving) or not _pads_nothing(conv):
        return None
    if end.y().elements == 0:
        return None  # crops may leave nothing, a window does not
    block = tuple(first.constant(1).reshape(-1).tolist())
    if block != tuple(end.constant(1).reshape(-1).tolist()):
        return None
    pads = [
        (p[0] - c[0], p[1] - c[1])
        for p, c in zip(paddings_of(first.constant(2)), paddings_of(end.constant(2)))
    ]
    if min(min(pair) for pair in pads) < 0:
        return None
    x, inner, outer = first.x().shape, conv.x().shape, conv.y().shape
    if len(x) == 4:
        if inner != first.y().shape or outer != end.x().shape:
            return None
        only, image = None, x
    elif len(x) == 3 and len(block) == 1:
        n, w, c = first.y().shape
        if (inner, (outer[0], *outer[2:])) == ((n, 1, w, c), end.x().shape):
            only, image = 1, (x[0], 1, *x[1:])
        elif (inner, (*outer[:2], outer[3])) == ((n, w, 1, c), end.x().shape):
            only, image = 0, (*x[:2], 1, x[2])
        else:
            return None
    else:
        return None
    blocks, both = [1, 1], [(0, 0), (0, 0)]
    for k, b, pair in zip((0, 1) if only is None else (only,), block, pads):
        blocks[k], both[k] = b, pair
    both_blocks, both_pads = (blocks[0], blocks[1]), (both[0], both[1])
    return _Match(tuple(nodes), conv.index, both_blocks, both_pads, image, only)


def _replacement(graph: Graph, match: _Match, tensors: list[Tensor]) -> list[Node]:
    """The nodes that take the pattern's place; new tensors are appended to `tensors`."""
    first, last = graph.nodes[match.nodes[0]], graph.nodes[match.nodes[-1]]
    conv = NodeView(graph, match.conv)
    x, y, op = first.inputs[0], last.outputs[0], conv.op
    dilations = op.dilation_h_factor * match.block[0], op.dilation_w_factor * match.block[1]
    batch, *size, channels = match.image
    outputs = [
        size[k] + sum(match.pads[k]) - (conv.x(1).shape[1 + k] - 1) * dilations[k] for k in range(2)
    ]
    is_same = all(
        same_padding(size[k], 1, (conv.x(1).shape[1 + k] - 1) * dilations[k] + 1)
        == (match.pads[k][0], outputs[k])
        for k in range(2)
    )
    nodes: list[Node] = []

    def append(like: Tensor, shape: tuple[int, ...]) -> int:
        """A tensor like one of the pattern, of another name, since it has other values."""
        name = f"{like.name}/dilated"
        tensors.append(replace(like, name=name, shape=shape, shape_signature=None))
        return len(tensors) - 1

    def reshape(source: int, target: int) -> None:
        shape = tensors[target].shape
        given = shape_constant(tensors, f"{tensors[target].name}/shape", shape)
        nodes.append(Node(Reshape(new_shape=shape), (source, given), (target,)))

    source, made = x, y
    padded = not is_same and any(map(any, match.pads))
    if padded:
        pairs = [(0, 0), *match.pads, (0, 0)]
        if match.only is not None:
            pairs = [(0, 0), match.pads[match.only], (0, 0)]
        t = tensors[first.outputs[0]]
        source = append(t, tuple(s + sum(p) for s, p in zip(tensors[x].shape, pairs)))
        given = np.array(pairs, np.int32)
        tensors.append(Tensor(f"{t.name}/paddings", given.shape, "int32", None, given))
        nodes.append(Node(Pad(), (x, len(tensors) - 1), (source,)))
    if match.only is not None:
        grown = [s + (sum(p) if padded else 0) for s, p in zip(size, match.pads)]
        image = append(conv.x(), (batch, *grown, channels))
        reshape(source, image)
        source = image
        made = append(conv.y(), (batch, *outputs, conv.y().shape[3]))
    dilated = replace(
        op,
        padding="SAME" if is_same else "VALID",
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
    )
    version = max(conv.node.version, 2 if op.name == "DEPTHWISE_CONV_2D" else 1)
    inputs = (source, *conv.node.inputs[1:])
    nodes.append(replace(conv.node, op=dilated, inputs=inputs, outputs=(made,), version=version))
    if made != y:
        reshape(made, y)
    return nodes


def dilate(graph: Graph) -> Graph:
    """The same graph with dilated convolutions."""
    at = 0
    while at < len(graph.nodes):
        found = _match(graph, at) if graph.nodes[at].op.name == "BATCH_TO_SPACE_ND" else None
        if found is None:
            at += 1
            continue
        tensors = list(graph.tensors)
        made = _replacement(graph, found, tensors)
        kept = [n for i, n in enumerate(graph.nodes) if i < at and i not in found.nodes]
        nodes = (*kept, *made, *graph.nodes[at + 1 :])
        graph = graph.with_(tensors=tuple(tensors), nodes=nodes)
        at = len(kept) + len(made)
    return graph
