"""Layers of several inputs, and the arithmetic of functional models (x + y, x * 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from thimble.formats.keras.builder import Builder, Call
from thimble.ops.add import Add, Sub
from thimble.ops.concatenation import Concatenation
from thimble.ops.contract import Op
from thimble.ops.div import Div
from thimble.ops.maximum import Maximum, Minimum
from thimble.ops.mul import Mul


def _chain(op: Op, name: str) -> Callable[[Builder, Call], int]:
    """((x0 op x1) op x2) ..., with broadcasting."""

    def merge(b: Builder, call: Call) -> int:
        if not call.inputs:
            raise ValueError("it has no inputs")
        y = call.x
        for x in call.inputs[1:]:
            y = b.add(op, [y, x], f"{call.scope}/{name}")
        return y

    return merge


def average(b: Builder, call: Call) -> int:
    """The mean of the inputs."""
    y = _chain(Add(), "add")(b, call)
    factor = b.const(f"{call.scope}/factor", np.float32(1 / len(call.inputs)))
    return b.add(Mul(), [y, factor], f"{call.scope}/truediv")


def concatenate(b: Builder, call: Call) -> int:
    """Concatenate along an axis that is not the batch."""
    rank, axis = len(b.shape(call.x)), int(call.get("axis", -1))
    axis += rank if axis < 0 else 0
    if not 1 <= axis < rank:
        raise ValueError(f"it joins along axis {axis} of {rank}")
    for x in call.inputs:
        sizes = [s for k, s in enumerate(b.shape(x)) if k != axis]
        if sizes != [s for k, s in enumerate(b.shape(call.x)) if k != axis]:
            raise ValueError(f"{list(b.shape(x))} does not fit {list(b.shape(call.x))}")
    return b.add(Concatenation(axis=axis), call.inputs, f"{call.scope}/concat")


LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {
    "Add": _chain(Add(), "add"),
    "Subtract": _chain(Sub(), "sub"),
    "Multiply": _chain(Mul(), "mul"),
    "Divide": _chain(Div(), "truediv"),
    "TrueDivide": _chain(Div(), "truediv"),
    "Maximum": _chain(Maximum(), "Maximum"),
    "Minimum": _chain(Minimum(), "Minimum"),
    "Average": average,
    "Concatenate": concatenate,
}
