"""TRANSPOSE: y[i_perm[0], i_perm[1], ...] = x[i_0, i_1, ...].

x [...] of rank up to 6, constant perm. Any dtype of fixed size.
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
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType


@dataclass(frozen=True)
class Transpose(Op):
    name: ClassVar[str] = "TRANSPOSE"
    options_table: ClassVar[str] = "TransposeOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        rank(0),
        constant_ints(1, "perm"),
        Limit(
            "perm must name every dimension once",
            lambda n: sorted(ints(n.constant(1))) == list(range(len(n.x().shape))),
            lambda n: f"{list(ints(n.constant(1)))} for {list(n.x().shape)}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, perm = inputs[0], inputs[1]
        assert x is not None
        assert perm is not None
        return (TensorType(tuple(x.shape[d] for d in ints(perm.data)), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (x.transpose(ints(inputs[1])),)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        x_steps = strided_copy.steps(x.shape)
        dims = strided_copy.into(y.shape, [x_steps[d] for d in ints(n.constant(1))])
        rows = strided_copy.rows_of(x.shape, y.shape, dims, 0)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims, rows=rows)
