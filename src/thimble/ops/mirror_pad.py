"""MIRROR_PAD: y = x with its own mirror image around it.

x [...], constant paddings [rank, 2]. REFLECT leaves out the element at the edge (3 2 1 2 3),
SYMMETRIC repeats it (2 1 1 2). Any dtype of fixed size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import strided_copy
from thimble.ops.block_copy import (
    arity,
    constant_ints,
    item_bytes,
    moves,
    rank,
    shapes_as_inferred,
)
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType
from thimble.ops.pad import PADDINGS, padded, paddings_of

MAX_PADDED = 3  # each padded dimension takes three copies for one


def _pads_fit(n: NodeView) -> bool:
    edge = n.op.edge
    pads = paddings_of(n.constant(1))
    return all(max(pair) <= max(size - edge, 0) for pair, size in zip(pads, n.x().shape))


@dataclass(frozen=True)
class MirrorPad(Op):
    name: ClassVar[str] = "MIRROR_PAD"
    options_table: ClassVar[str] = "MirrorPadOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same", activations=(0,))

    mode: str = "REFLECT"

    limits: ClassVar[Sequence[Limit]] = (
        arity(2),
        moves(0),
        rank(1),
        constant_ints(1, "the paddings"),
        *PADDINGS,
        shapes_as_inferred(),
        Limit(
            "mode must be REFLECT or SYMMETRIC",
            lambda n: n.op.mode in ("REFLECT", "SYMMETRIC"),
            lambda n: n.op.mode,
        ),
        Limit(
            "paddings must not be larger than what there is to mirror",
            _pads_fit,
            lambda n: f"{paddings_of(n.constant(1))} for {list(n.x().shape)}",
        ),
        Limit(
            f"at most {MAX_PADDED} dimensions can be padded",
            lambda n: sum(pair != (0, 0) for pair in paddings_of(n.constant(1))) <= MAX_PADDED,
            lambda n: str(paddings_of(n.constant(1))),
        ),
    )

    @property
    def edge(self) -> int:
        """Elements at the edge that are not repeated."""
        return 1 if self.mode == "REFLECT" else 0

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        return padded(inputs[0], inputs[1])

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        mode = "reflect" if self.mode == "REFLECT" else "symmetric"
        return (np.pad(x, paddings_of(inputs[1]), mode=mode),)  # type: ignore[call-overload]

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        pieces = []  # per dimension: (first of x, step, first of y, count)
        for size, (before, after) in zip(x.shape, paddings_of(n.constant(1))):
            left = (before - 1 + self.edge, -1, 0, before)
            right = (size - 1 - self.edge, -1, before + size, after)
            parts = [left, (0, 1, before, size), right]
            pieces.append([part for part in parts if part[3] or part[1] == 1])
        x_steps, y_steps = strided_copy.steps(x.shape), strided_copy.steps(y.shape)
        for choice in product(*pieces):
            dims = [
                strided_copy.Dim(count, step * x_step, y_step)
                for (_, step, _, count), x_step, y_step in zip(choice, x_steps, y_steps)
            ]
            x_start = sum(first * step for (first, _, _, _), step in zip(choice, x_steps))
            y_start = sum(first * step for (_, _, first, _), step in zip(choice, y_steps))
            strided_copy.copy(n, n.input(), n.output(), item_bytes(n), dims, x_start, y_start)
