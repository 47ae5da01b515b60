"""SHAPE: y = the shape of x, int32 or int64 [rank], known at compile time: x is not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import arity, shapes_as_inferred
from thimble.ops.contract import Array, Limit, Op, QuantRule, TensorType


@dataclass(frozen=True)
class Shape(Op):
    name: ClassVar[str] = "SHAPE"
    options_table: ClassVar[str] = "ShapeOptions"
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)

    out_type: str = "float32"  # the schema's default, which no exporter means

    limits: ClassVar[Sequence[Limit]] = (
        arity(1),
        Limit(
            "the output must be int32 or int64, as out_type says",
            lambda n: n.y().dtype in ("int32", "int64") and n.op.out_type == n.y().dtype,
            lambda n: f"{n.y().dtype}, out_type {n.op.out_type}",
        ),
        shapes_as_inferred(),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType((len(x.shape),), self.out_type),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (np.array(x.shape, self.out_type),)

    def lower(self, n: Lowering) -> None:
        value = np.array(n.x().shape, n.y().dtype)
        n.call("thm_copy", x=n.const(value, "shape"), y=n.output(), bytes=n.y().bytes)
