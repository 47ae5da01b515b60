"""Cases of ops that move elements: what every dtype and runtime must copy unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from single_op import Case, Exempt, Operand, constant

from thimble.ops.contract import Op

Array = np.ndarray
SCALE, ZERO_POINT = 0.1, 7
NOT_IN_TFLM = {"tflm": Exempt("TFLM has no kernel for this")}


def tensor(shape: Sequence[int], dtype: str = "int8") -> Operand:
    """A run-time operand; int8 and uint8 carry a scale and a zero point, int16 a scale."""
    if dtype in ("int8", "uint8"):
        return Operand(tuple(shape), dtype, SCALE, ZERO_POINT)
    return Operand(tuple(shape), dtype, SCALE if dtype == "int16" else None)


def ints(values: Any, dtype: str = "int32") -> Operand:
    """A constant of integers."""
    return constant(values, dtype)


def case(
    name: str,
    op: Op,
    inputs: Sequence[Operand | Sequence[int]],
    outputs: Sequence[Sequence[int]],
    dtype: str = "int8",
    **more: Any,
) -> Case:
    """A case whose run-time operands and outputs, given by shape, all have `dtype`."""
    given = tuple(t if isinstance(t, Operand) else tensor(t, dtype) for t in inputs)
    made = tuple(tensor(shape, dtype) for shape in outputs)
    return Case(f"{name} {dtype}", op, given, made, **more)


def refuse(op: Op, inputs: Sequence[Any], outputs: Sequence[Any], dtype: str = "int8") -> Case:
    """A case that is expected to be refused."""
    given = tuple(t if isinstance(t, Operand) or t is None else tensor(t, dtype) for t in inputs)
    made = tuple(t if isinstance(t, Operand) else tensor(t, dtype) for t in outputs)
    return Case("refused", op, given, made)
