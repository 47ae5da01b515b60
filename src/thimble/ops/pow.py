"""POW: y = x1 ^ x2, float32. x1, x2 broadcast to y, rank 6 at most. TFLM has no POW, LiteRT has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import broadcast
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType, types


@dataclass(frozen=True)
class Pow(Op):
    name: ClassVar[str] = "POW"
    options_table: ClassVar[str] = "PowOptions"
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)

    limits: ClassVar[Sequence[Limit]] = (
        broadcast.arity(2),
        types("float32 float32 -> float32"),
        broadcast.shapes_broadcast(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return broadcast.infer_broadcast(inputs, "float32")

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        a, b = inputs
        assert a is not None
        assert b is not None
        with np.errstate(all="ignore"):
            return (np.power(a, b),)

    def lower(self, n: Lowering) -> None:
        broadcast.call(n, "thm_pow_f32", {})


def thm_pow_f32(
    p: Any, y_first: int, y_count: int, x1: Array, x2: Array, walk: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name, but for the last bits of pow."""
    for a, b, out in broadcast.bands(p, y_first, y_count, {"x1": x1, "x2": x2}, walk, y):
        with np.errstate(all="ignore"):
            out[:] = np.power(a, b)
