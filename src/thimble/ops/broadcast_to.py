"""BROADCAST_TO: y = x repeated along dimensions of size 1 (and new leading ones) to a constant
shape.

x [...], shape [rank of y]. Any dtype of fixed size.
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
    MAX_RANK,
    arity,
    constant_ints,
    ints,
    item_bytes,
    moves,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType


def _broadcasts(n: NodeView) -> bool:
    shape, wanted = n.x().shape, ints(n.constant(1))
    pairs = zip(reversed(shape), reversed(wanted))
    return len(shape) <= len(wanted) <= MAX_RANK and all(a in (1, b) for a, b in pairs)


@dataclass(frozen=True)
class BroadcastTo(Op):
    name: ClassVar[str] = "BROADCAST_TO"
    options_table: ClassVar[str] = "BroadcastToOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        constant_ints(1, "the shape"),
        Limit(
            f"the input must broadcast to the shape, of rank {MAX_RANK} at most",
            _broadcasts,
            lambda n: f"{list(n.x().shape)} to {list(ints(n.constant(1)))}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, shape = inputs[0], inputs[1]
        assert x is not None
        assert shape is not None
        return (TensorType(ints(shape.data), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (np.broadcast_to(x, ints(inputs[1])).copy(),)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        x_shape = (1,) * (len(y.shape) - len(x.shape)) + tuple(x.shape)
        x_steps = [
            0 if size == 1 else step for size, step in zip(x_shape, strided_copy.steps(x_shape))
        ]
        dims = strided_copy.into(y.shape, x_steps)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims)
