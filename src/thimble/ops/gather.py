"""GATHER: y[b, o, i, k] = x[b, o, index[b, i], k]: the chosen elements of one axis.

The b are the batch_dims leading dimensions that x and index have in common. x [B..., O..., size,
K...], index [B..., I...] int32 (or constant int64) -> y [B..., O..., I..., K...]. Any dtype of
fixed size.

Exception: an index outside the axis is clamped to it (LiteRT stops, TFLM reads other memory).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import (
    MAX_RANK,
    arity,
    axis_in,
    item_bytes,
    moves,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType


def _batch_dims_fit(n: NodeView) -> bool:
    x, index, op = n.x().shape, n.x(1).shape, n.op
    return (
        axis_in(op.axis, len(x))
        and -len(index) <= op.batch_dims <= len(index)
        and op.batches(n.x(1)) <= op.axis % len(x)
        and x[: op.batches(n.x(1))] == index[: op.batches(n.x(1))]
    )


@dataclass(frozen=True)
class Gather(Op):
    name: ClassVar[str] = "GATHER"
    options_table: ClassVar[str] = "GatherOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    axis: int = 0
    batch_dims: int = 0

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        rank(1),
        rank(0, MAX_RANK, index=1),
        Limit(
            "indices must be int32, or constant int64",
            lambda n: n.x(1).dtype == "int32" or (n.x(1).dtype == "int64" and n.x(1).is_constant),
            lambda n: n.x(1).dtype,
        ),
        Limit(
            "axis and batch_dims must be dimensions, and the batches those of both inputs",
            _batch_dims_fit,
            lambda n: (
                f"axis {n.op.axis}, batch_dims {n.op.batch_dims} of {list(n.x().shape)}"
                f" and {list(n.x(1).shape)}"
            ),
        ),
        shapes_as_inferred(),
        Limit(
            "there must be something to gather from",
            lambda n: n.y().elements == 0 or n.x().elements > 0,
        ),
    )

    def batches(self, index: Tensor) -> int:
        """batch_dims, counted from the left."""
        return self.batch_dims + (len(index.shape) if self.batch_dims < 0 else 0)

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, index = inputs[0], inputs[1]
        assert x is not None
        assert index is not None
        axis = self.axis % len(x.shape)
        chosen = index.shape[self.batches(index) :]
        return (TensorType((*x.shape[:axis], *chosen, *x.shape[axis + 1 :]), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, index = inputs[0], inputs[1]
        assert x is not None
        assert index is not None
        axis = self.axis % x.ndim
        batch = self.batch_dims + (index.ndim if self.batch_dims < 0 else 0)
        index = np.clip(index, 0, x.shape[axis] - 1)
        flat_x = x.reshape(-1, *x.shape[batch:])
        flat_index = index.reshape(-1, *index.shape[batch:])
        parts = [np.take(a, i, axis - batch) for a, i in zip(flat_x, flat_index)]
        shape = (*x.shape[:axis], *index.shape[batch:], *x.shape[axis + 1 :])
        return (np.stack(parts).reshape(shape) if parts else np.zeros(shape, x.dtype),)

    def lower(self, n: Lowering) -> None:
        x, index = n.x(), n.x(1)
        if n.y().elements == 0:
            return
        axis, batch = self.axis % len(x.shape), self.batches(index)
        values = index.data
        if values is not None:
            inside = np.clip(values, 0, x.shape[axis] - 1).astype(np.int32)
            at = n.const(inside, "indices")
        else:
            at = n.input(1)
        n.call(
            "thm_gather",
            x=n.input(),
            index=at,
            y=n.output(),
            groups=prod(x.shape[:batch]),
            outer=prod(x.shape[batch:axis]),
            size=x.shape[axis],
            count=prod(index.shape[batch:]),
            inner=prod(x.shape[axis + 1 :]) * item_bytes(n),
        )


def thm_gather(p: Any, y_first: int, y_count: int, x: Array, index: Array, y: Array) -> None:
    """Twin of the kernel of the same name, on bytes."""
    cells = p.groups * p.outer * p.size * p.inner
    source = x[:cells].reshape(p.groups, p.outer, p.size, p.inner)
    at = np.clip(index[: p.groups * p.count], 0, p.size - 1).reshape(p.groups, p.count)
    gathered = [part[:, chosen] for part, chosen in zip(source, at)]
    flat = np.concatenate([g.reshape(-1) for g in gathered])
    y[: flat.size] = flat
