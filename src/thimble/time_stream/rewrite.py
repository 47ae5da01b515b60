"""The graph under construction, and where time is in its tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from thimble.graph import Graph, Node, Tensor
from thimble.ops.contract import NodeView
from thimble.ops.reshape import Reshape
from thimble.ops.transpose import Transpose


@dataclass(frozen=True)
class Place:
    """Where time is in a tensor of the model: the axis, and whether a longer H axis precedes it."""

    axis: int
    swapped: bool = False

    def rows(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape with time as rows: [1, T, S, C]."""
        if self.swapped:
            return (1, shape[2], shape[1], shape[3])
        rest = tuple(shape[self.axis + 1 :])
        return (1, shape[self.axis], prod(rest[:-1]), rest[-1] if rest else 1)

    def moved(self, shape: Sequence[int], axis: int) -> int | None:
        """The axis of `rows(shape)` that `axis` became; None where it has no axis of its own."""
        if self.swapped:
            return (0, 2, 1, 3)[axis]
        if axis == self.axis:
            return 1
        after = len(shape) - axis
        return 4 - after if axis > self.axis and after <= 2 else None


def place_in(shape: Sequence[int], time: int) -> Place | None:
    """The axis of size `time` that only ones precede, None where there is none."""
    for axis, size in enumerate(shape):
        if size == time and prod(shape[:axis]) == 1 and time > 1:
            return Place(axis)
    return None


class Leaves(Exception):
    """This node needs its input as a whole window."""


class Rewriter:
    """The new graph as it grows; rules append to it, or raise Leaves."""

    def __init__(self, graph: Graph, axis: int):
        self.old = graph
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.origin: list[int] = []
        self.places: dict[int, Place] = {}  # old tensor -> where time is in it
        self.rows: dict[int, int] = {}  # old tensor -> new tensor [1, T, S, C]
        self.plain: dict[int, int] = {}  # old tensor -> new tensor of the same shape
        self.is_rows: set[int] = set()
        self.index = 0
        given = graph.inputs[0]
        shape = graph.tensors[given].shape
        swapped = axis == 2 and shape[1] != 1
        self.input = self.add_rows(given, Place(axis, swapped))

    # --- tensors and nodes -----------------------------------------------------------------------

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def shaped(self, old: int, shape: Sequence[int], suffix: str = "") -> Tensor:
        tensor = self.old.tensors[old]
        return replace(tensor, name=tensor.name + suffix, shape=tuple(shape), shape_signature=None)

    def add_rows(self, old: int, place: Place) -> int:
        """The new tensor [1, T, S, C] that stands for `old`."""
        new = self.add(self.shaped(old, place.rows(self.old.tensors[old].shape)))
        self.places[old], self.rows[old] = place, new
        self.is_rows.add(new)
        return new

    def node(self, op: Any, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        old = self.old.nodes[self.index]
        name = self.old.layer_name(self.index)
        self.nodes.append(
            replace(old, op=op, inputs=tuple(inputs), outputs=tuple(outputs), name=name)
        )
        self.origin.append(self.index)

    def const(self, values: Any, name: str) -> int:
        data = np.asarray(values, np.int32)
        return self.add(Tensor(name, data.shape, "int32", None, data))

    def reshape(self, x: int, y: int) -> None:
        shape = self.tensors[y].shape
        self.node(Reshape(tuple(shape)), [x, self.const(shape, "shape")], [y])

    def as_plain(self, old: int) -> int:
        """The new tensor with the shape of `old`; whole windows of time tensors."""
        if old < 0:
            return old
        if old not in self.plain:
            tensor = self.old.tensors[old]
            new = self.plain[old] = self.add(replace(tensor))
            if old in self.rows:
                if self.places[old].swapped:
                    order = self.const([0, 2, 1, 3], "order")
                    self.node(Transpose(), [self.rows[old], order], [new])
                else:
                    self.reshape(self.rows[old], new)
        return self.plain[old]

    def finish(self, old: int, place: Place, new: int) -> None:
        """`new` [1, T, ...] holds the values of `old`, in which time is at `place`."""
        wanted = place.rows(self.old.tensors[old].shape)
        self.is_rows.add(new)
        if wanted[1] == 1:  # no time left: later layers may take it as it is
            self.plain[old] = self.add(self.shaped(old, self.old.tensors[old].shape, "/last"))
            self.reshape(new, self.plain[old])
            return
        if self.tensors[new].shape != wanted:
            target = self.add_rows(old, place)
            self.reshape(new, target)
            return
        self.places[old], self.rows[old] = place, new

    # --- ops -------------------------------------------------------------------------------------

    def time_input(self, n: NodeView, i: int = 0) -> tuple[int, Place]:
        old = n.node.inputs[i]
        if old not in self.rows:
            raise Leaves
        return self.rows[old], self.places[old]

    def like(self, n: NodeView, op: Any, inputs: Sequence[int], place: Place) -> None:
        """Append `op` with the one output of `n`, in which time is at `place`."""
        if len(n.node.outputs) != 1:
            raise Leaves
        old = n.node.outputs[0]
        shape = op.infer([self.tensors[t] if t >= 0 else None for t in inputs])[0].shape
        self.finish_with(old, place, shape, lambda y: self.node(op, inputs, [y]))

    def finish_with(
        self, old: int, place: Place, shape: Sequence[int], emit: Callable[[int], None]
    ) -> None:
        wanted = place.rows(self.old.tensors[old].shape)
        if prod(shape) != prod(wanted) or shape[1] != wanted[1]:
            raise Leaves
        new = self.add(self.shaped(old, shape))
        emit(new)
        self.finish(old, place, new)

    def undo(self, tensors: int, nodes: int) -> None:
        """Forget what a rule that gave up has added."""
        del self.tensors[tensors:], self.nodes[nodes:], self.origin[nodes:]
        for known in (self.rows, self.plain):
            for old in [old for old, new in known.items() if new >= tensors]:
                del known[old]
        self.is_rows = {t for t in self.is_rows if t < tensors}
