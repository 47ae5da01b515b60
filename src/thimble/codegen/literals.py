"""Numbers as C text, exact: floats in hexadecimal, integers with the suffix their type needs."""

from __future__ import annotations

import math

import numpy as np

_MIN = {"int32_t": "INT32_MIN", "int64_t": "INT64_MIN"}


def word_literal(value: int | float, c_type: str) -> str:
    """One number of type `c_type` ("float", "int32_t", "int64_t", ...)."""
    if c_type == "float":
        number = float(np.float32(value))
        if math.isnan(number):
            return '__builtin_nanf("")'
        if math.isinf(number):
            return f"{'-' if number < 0 else ''}__builtin_inff()"
        return f"{number.hex()}f"
    integer = int(value)
    if c_type in _MIN and integer == -(2 ** (31 if c_type == "int32_t" else 63)):
        return _MIN[c_type]
    return f"INT64_C({integer})" if c_type == "int64_t" else str(integer)


def array_literal(data: np.ndarray, c_type: str) -> str:
    """The elements of a flat array, wrapped at about 100 columns."""
    flat = data.reshape(-1)
    if flat.size == 0:
        return "    0"
    if c_type in ("float", "int64_t", "int32_t"):
        words = [word_literal(value, c_type) for value in flat.tolist()]
    else:
        words = [str(int(value)) for value in flat.tolist()]
    per_line = max(1, 96 // (max(map(len, words)) + 2))
    lines = (", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line))
    return "    " + ",\n    ".join(lines)
