"""RESHAPE: y = x with another shape.

Any dtype. The new shape is the constant second input, or the option; one -1 stands for "the rest".
Needs no code where input and output can share memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType


@dataclass(frozen=True)
class Reshape(Op):
    name: ClassVar[str] = "RESHAPE"
    options_table: ClassVar[str] = "ReshapeOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))
    is_alias: ClassVar[bool] = True

    new_shape: tuple[int, ...] | None = None

    limits: ClassVar[Sequence[Limit]] = (
        Limit(
            "input and output must have the same number of elements",
            lambda n: n.x().elements == n.y().elements,
            lambda n: f"{list(n.x().shape)} -> {list(n.y().shape)}",
        ),
        Limit(
            "input and output must have the same dtype",
            lambda n: n.x().dtype == n.y().dtype,
            lambda n: f"{n.x().dtype} -> {n.y().dtype}",
        ),
    )

    def _target(self, shape_input: Array | None, elements: int) -> tuple[int, ...]:
        wanted: Sequence[int] = (
            [int(v) for v in shape_input.reshape(-1)]
            if shape_input is not None
            else list(self.new_shape or ())
        )
        known = prod(d for d in wanted if d != -1)
        return tuple(elements // max(known, 1) if d == -1 else int(d) for d in wanted)

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        given = inputs[1].data if len(inputs) > 1 and inputs[1] is not None else None
        return (TensorType(self._target(given, x.elements), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        given = inputs[1] if len(inputs) > 1 else None
        return (x.reshape(self._target(given, x.size)),)

    def lower(self, n: Lowering) -> None:
        if not n.is_aliased():
            n.call("thm_copy", x=n.input(), y=n.output(), bytes=n.y().bytes)


def thm_copy(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    y[: p.bytes] = x[: p.bytes].copy()
