"""SPLIT, SPLIT_V: y_i = the i-th part of x along an axis.

SPLIT: (axis, x [..., n, ...]) -> num_splits equal parts. SPLIT_V: (x, sizes, axis) -> parts of
the given sizes, of which one may be -1, "the rest". Any dtype of fixed size; the axis and the
sizes are constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import (
    arity,
    axis_in,
    constant_ints,
    ints,
    item_bytes,
    moves,
    part,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, Shape, TensorType


def parts_of(shape: Shape, axis: int, sizes: Sequence[int], dtype: str) -> tuple[TensorType, ...]:
    """The parts of a tensor of `shape` cut along `axis`."""
    return tuple(TensorType((*shape[:axis], s, *shape[axis + 1 :]), dtype) for s in sizes)


def lower_parts(n: Lowering, index: int, axis: int) -> None:
    """One copy from input `index` to each output, side by side along `axis`."""
    first = 0
    for i, y in enumerate(n.outputs):
        count = y.shape[axis]
        x, to = n.input(index), n.output(i)
        part(n, x, to, n.x(index).shape, axis, first, count, item_bytes(n, index), join=False)
        first += count


def _axis_limit(index: int, axis_index: int) -> Limit:
    return Limit(
        "the axis must be one of the input's",
        lambda n: axis_in(ints(n.constant(axis_index))[0], len(n.x(index).shape)),
        lambda n: f"{ints(n.constant(axis_index))[0]} of {len(n.x(index).shape)}",
    )


@dataclass(frozen=True)
class Split(Op):
    name: ClassVar[str] = "SPLIT"
    options_table: ClassVar[str] = "SplitOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(1,))

    num_splits: int = 0

    limits: ClassVar[Sequence[Limit]] = (
        arity(2, outputs=None),
        moves(1),
        constant_ints(0, "the axis", 1),
        rank(1, index=1),
        _axis_limit(1, 0),
        Limit(
            "num_splits must be the number of outputs, and divide the axis",
            lambda n: (
                n.op.num_splits == len(n.outputs)
                and n.x(1).shape[ints(n.constant(0))[0]] % n.op.num_splits == 0
            ),
            lambda n: f"{n.op.num_splits}, {len(n.outputs)} outputs, {list(n.x(1).shape)}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        axis_tensor, x = inputs[0], inputs[1]
        assert axis_tensor is not None
        assert x is not None
        axis = ints(axis_tensor.data)[0] % len(x.shape)
        size = x.shape[axis] // self.num_splits
        return parts_of(x.shape, axis, [size] * self.num_splits, x.dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        axis, x = inputs[0], inputs[1]
        assert x is not None
        return tuple(np.split(x, self.num_splits, ints(axis)[0]))

    def lower(self, n: Lowering) -> None:
        lower_parts(n, 1, ints(n.constant(0))[0] % len(n.x(1).shape))


def _sizes(sizes: Sequence[int], total: int) -> list[int]:
    """`sizes` with a -1 replaced by what the others leave of `total`."""
    rest = total - sum(s for s in sizes if s != -1)
    return [rest if s == -1 else s for s in sizes]


def _sizes_fit(n: NodeView) -> bool:
    given = ints(n.constant(1))
    total = n.x().shape[ints(n.constant(2))[0]]
    sizes = _sizes(given, total)
    return given.count(-1) <= 1 and min(sizes, default=0) >= 0 and sum(sizes) == total


@dataclass(frozen=True)
class SplitV(Op):
    name: ClassVar[str] = "SPLIT_V"
    options_table: ClassVar[str] = "SplitVOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    num_splits: int = 0

    limits: ClassVar[Sequence[Limit]] = (
        arity(3, outputs=None),
        moves(0),
        constant_ints(1, "the sizes"),
        constant_ints(2, "the axis", 1),
        rank(1),
        _axis_limit(0, 2),
        Limit(
            "there must be a size for each output, and the sizes must add up to the axis",
            lambda n: n.x(1).elements == len(n.outputs) and _sizes_fit(n),
            lambda n: f"{list(ints(n.constant(1)))} of {list(n.x().shape)}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, sizes, axis_tensor = inputs[0], inputs[1], inputs[2]
        assert x is not None
        assert sizes is not None
        assert axis_tensor is not None
        axis = ints(axis_tensor.data)[0] % len(x.shape)
        return parts_of(x.shape, axis, _sizes(ints(sizes.data), x.shape[axis]), x.dtype)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, sizes, axis = inputs[0], ints(inputs[1]), ints(inputs[2])[0]
        assert x is not None
        ends = list(accumulate(_sizes(sizes, x.shape[axis])))
        return tuple(np.split(x, ends[:-1], axis))

    def lower(self, n: Lowering) -> None:
        lower_parts(n, 0, ints(n.constant(2))[0] % len(n.x().shape))
