"""SLICE: y = x[begin : begin + size] in every dimension; a size of -1 runs to the end.

x [...], constant begin and size of x's rank. Any dtype of fixed size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import strided_copy
from thimble.ops.block_copy import (
    arity,
    constant_ints,
    ints,
    item_bytes,
    moves,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, Shape, TensorType


def _counts(shape: Shape, begin: Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    return tuple(d - b if s == -1 else s for d, b, s in zip(shape, begin, size))


def _inside(n: NodeView) -> bool:
    shape, begin = n.x().shape, ints(n.constant(1))
    counts = _counts(shape, begin, ints(n.constant(2)))
    return all(b >= 0 and c >= 0 and b + c <= d for b, c, d in zip(begin, counts, shape))


@dataclass(frozen=True)
class Slice(Op):
    name: ClassVar[str] = "SLICE"
    options_table: ClassVar[str] = "SliceOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        arity(3),
        moves(0),
        rank(1),
        constant_ints(1, "begin"),
        constant_ints(2, "size"),
        Limit(
            "begin and size must have one element for each dimension",
            lambda n: n.x(1).elements == n.x(2).elements == len(n.x().shape),
            lambda n: f"{n.x(1).elements} and {n.x(2).elements} for {list(n.x().shape)}",
        ),
        Limit(
            "the slice must lie inside the input",
            _inside,
            lambda n: (
                f"begin {list(ints(n.constant(1)))}, size {list(ints(n.constant(2)))}"
                f" of {list(n.x().shape)}"
            ),
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, begin, size = inputs[:3]
        assert x is not None
        assert begin is not None
        assert size is not None
        return (TensorType(_counts(x.shape, ints(begin.data), ints(size.data)), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, begin, size = inputs[:3]
        assert x is not None
        begins = ints(begin)
        counts = _counts(x.shape, begins, ints(size))
        return (x[tuple(slice(b, b + c) for b, c in zip(begins, counts))],)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        x_steps = strided_copy.steps(x.shape)
        start = sum(b * step for b, step in zip(ints(n.constant(1)), x_steps))
        dims = strided_copy.into(y.shape, x_steps)
        rows = strided_copy.rows_of(x.shape, y.shape, dims, start)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims, start, rows=rows)
