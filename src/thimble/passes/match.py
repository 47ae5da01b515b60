"""What rewrites ask of a node before they touch it, and how they add constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thimble.graph import Graph, Model, Node, Tensor
from thimble.lower import unsupported
from thimble.passes.fold_constants import only_used

Array = np.ndarray


def has_kernel(graph: Graph, node: Node) -> bool:
    """Whether `node` is one that `lower` accepts: all its limits hold, its shapes are as inferred.

    Anything else is left as it is, for `lower` to refuse with its layer.
    """
    if not node.outputs or min(node.outputs) < 0:
        return False
    given = tuple(t for t in dict.fromkeys(node.inputs) if t >= 0 and not is_constant(graph, t))
    alone = Graph(graph.name, graph.tensors, (node,), given, node.outputs)
    return not unsupported(Model((only_used(alone),)))


def is_constant(graph: Graph, index: int) -> bool:
    """Whether tensor `index` (-1: absent) is known at compile time."""
    return index >= 0 and graph.tensors[index].is_constant


def runs_alone(graph: Graph, readers: dict[int, list[int]], t: int) -> bool:
    """Whether nobody but one node sees tensor `t`, so that its value may change with that node."""
    return len(readers.get(t, ())) == 1 and t not in graph.outputs and t not in graph.inputs


def shape_constant(tensors: list[Tensor], name: str, shape: Sequence[int]) -> int:
    """Append a shape as an int32 constant; its index."""
    data = np.array(shape, np.int32)
    tensors.append(Tensor(name, data.shape, "int32", None, data))
    return len(tensors) - 1


def with_data(tensor: Tensor, data: Array) -> Tensor:
    """The constant with other values, and their shape."""
    return replace(tensor, data=np.ascontiguousarray(data), shape=data.shape, shape_signature=None)
