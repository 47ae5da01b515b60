"""TILE: y = x repeated multiples[d] times along each dimension d.

x [...], constant multiples [rank]. Any dtype of fixed size. Not in TFLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

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
class Tile(Op):
    name: ClassVar[str] = "TILE"
    options_table: ClassVar[str] = "TileOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        rank(0),
        constant_ints(1, "the multiples"),
        Limit(
            "there must be a multiple for each dimension, none negative",
            lambda n: (
                n.x(1).elements == len(n.x().shape) and min(ints(n.constant(1)), default=0) >= 0
            ),
            lambda n: f"{list(ints(n.constant(1)))} for {list(n.x().shape)}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, multiples = inputs[0], inputs[1]
        assert x is not None
        assert multiples is not None
        shape = tuple(size * m for size, m in zip(x.shape, ints(multiples.data)))
        return (TensorType(shape, x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (np.tile(x, ints(inputs[1])),)

    def lower(self, n: Lowering) -> None:
        x = n.x()
        y_shape: list[int] = []
        x_steps: list[int] = []
        for size, multiple, step in zip(x.shape, ints(n.constant(1)), strided_copy.steps(x.shape)):
            y_shape += [multiple, size]
            x_steps += [0, step]
        dims = strided_copy.into(tuple(y_shape), x_steps)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims)
