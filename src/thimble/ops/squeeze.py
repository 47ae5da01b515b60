"""SQUEEZE: y = x without dimensions of size 1: those of squeeze_dims, or all where it is empty.

Any dtype; needs no code where input and output can share memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import MAX_RANK, arity, axis_in, moves, shapes_as_inferred
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, Shape, TensorType


def _dims_are_one(n: NodeView) -> bool:
    shape = n.x().shape
    return all(axis_in(d, len(shape)) and shape[d] == 1 for d in n.op.squeeze_dims or ())


@dataclass(frozen=True)
class Squeeze(Op):
    name: ClassVar[str] = "SQUEEZE"
    options_table: ClassVar[str] = "SqueezeOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")
    is_alias: ClassVar[bool] = True

    squeeze_dims: tuple[int, ...] = ()

    limits: ClassVar[Sequence[Limit]] = (
        arity(1),
        moves(),
        Limit(
            "squeeze_dims must name dimensions of size 1",
            _dims_are_one,
            lambda n: f"{list(n.op.squeeze_dims)} of {list(n.x().shape)[:MAX_RANK]}",
        ),
        shapes_as_inferred(),
    )

    def _target(self, shape: Shape) -> Shape:
        dims = {d % len(shape) for d in self.squeeze_dims or ()}
        if not dims:
            return tuple(size for size in shape if size != 1)
        return tuple(size for d, size in enumerate(shape) if d not in dims)

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(self._target(x.shape), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (x.reshape(self._target(x.shape)),)

    def lower(self, n: Lowering) -> None:
        if not n.is_aliased():
            n.call("thm_copy", x=n.input(), y=n.output(), bytes=n.y().bytes)
