"""DEPTH_TO_SPACE: y[n, h * b + i, w * b + j, c] = x[n, h, w, (i * b + j) * C + c].

SPACE_TO_DEPTH is the inverse. b is block_size, C the channels on the spatial side. Any dtype of
fixed size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import strided_copy
from thimble.ops.block_copy import arity, item_bytes, moves, rank, shapes_as_inferred
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType

BLOCK_IS_POSITIVE = Limit(
    "block_size must be at least 1",
    lambda n: n.op.block_size >= 1,
    lambda n: str(n.op.block_size),
)


@dataclass(frozen=True)
class DepthToSpace(Op):
    name: ClassVar[str] = "DEPTH_TO_SPACE"
    options_table: ClassVar[str] = "DepthToSpaceOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")

    block_size: int = 0

    limits: ClassVar[Sequence[Limit]] = (
        arity(1),
        moves(),
        rank(4, 4),
        BLOCK_IS_POSITIVE,
        Limit(
            "the channels must be a multiple of block_size^2",
            lambda n: n.x().shape[3] % n.op.block_size**2 == 0,
            lambda n: f"{n.x().shape[3]} channels, block_size {n.op.block_size}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        b = self.block_size
        n, h, w, depth = x.shape
        return (TensorType((n, h * b, w * b, depth // b**2), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        b = self.block_size
        n, h, w, depth = x.shape
        c = depth // b**2
        y = x.reshape(n, h, w, b, b, c).transpose(0, 1, 3, 2, 4, 5)
        return (y.reshape(n, h * b, w * b, c),)

    def lower(self, n: Lowering) -> None:
        b = self.block_size
        batch, h, w, depth = n.x().shape
        c = depth // b**2
        x_steps = [h * w * depth, w * depth, b * c, depth, c, 1]
        dims = strided_copy.into((batch, h, b, w, b, c), x_steps)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims)


@dataclass(frozen=True)
class SpaceToDepth(Op):
    name: ClassVar[str] = "SPACE_TO_DEPTH"
    options_table: ClassVar[str] = "SpaceToDepthOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")

    block_size: int = 0

    limits: ClassVar[Sequence[Limit]] = (
        arity(1),
        moves(),
        rank(4, 4),
        BLOCK_IS_POSITIVE,
        Limit(
            "height and width must be multiples of block_size",
            lambda n: all(size % n.op.block_size == 0 for size in n.x().shape[1:3]),
            lambda n: f"{list(n.x().shape)}, block_size {n.op.block_size}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        b = self.block_size
        n, h, w, c = x.shape
        return (TensorType((n, h // b, w // b, c * b**2), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        b = self.block_size
        n, h, w, c = x.shape
        y = x.reshape(n, h // b, b, w // b, b, c).transpose(0, 1, 3, 2, 4, 5)
        return (y.reshape(n, h // b, w // b, c * b**2),)

    def lower(self, n: Lowering) -> None:
        b = self.block_size
        batch, h, w, c = n.x().shape
        x_steps = [h * w * c, b * w * c, b * c, w * c, c, 1]
        dims = strided_copy.into((batch, h // b, w // b, b, b, c), x_steps)
        strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims)
