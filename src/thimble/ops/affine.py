"""Functions of two int8 operands as y = clamp((x1 * a + x2 * b + c) >> shift), where that is
proved to be the same by trying all 65,536 pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ops.contract import Array

X = np.arange(-128, 128, dtype=np.int64)
SHIFTS = range(26, 9, -1)  # the more, the finer a and b; fewer where the sum would leave 32 bits


@dataclass(frozen=True)
class Affine:
    """Factors of x1 and x2, a constant that holds zero points and rounding, and a right shift."""

    x1_factor: int
    x2_factor: int
    constant: int
    shift: int


def fit(y: Array, slopes: tuple[float, float], low: int, high: int) -> Affine | None:
    """The function whose clamped results are y [256, 256], over x1 and x2 from -128 on, or None.

    y lies in [low, high] and rises by about `slopes` with x1 and x2 where it is not clamped.
    """
    y = y.astype(np.int64)
    for shift in SHIFTS:
        for a in _near(slopes[0] * 2.0**shift):
            for b in _near(slopes[1] * 2.0**shift):
                products = X[:, None] * a + X[None, :] * b
                # y <= (products + c) / 2^shift < y + 1, one side only where y is clamped.
                least = (y << shift) - products
                most = least + (1 << shift) - 1
                first = int(np.max(least, where=y > low, initial=-(2**62)))
                last = int(np.min(most, where=y < high, initial=2**62))
                if first > last:
                    continue
                if first == -(2**62) or last == 2**62:
                    return None  # all results are clamped
                c = (first + last) // 2
                reach = max(abs(int(products.min())), abs(int(products.max())), 128 * abs(a))
                if reach + abs(c) < 2**31:
                    return Affine(a, b, c, shift)
    return None


def _near(value: float) -> list[int]:
    """The integers next to a value, nearest first."""
    if abs(value) >= 2.0**31:
        return []
    return sorted({round(value) + d for d in (-1, 0, 1)}, key=lambda n: abs(n - value))
