"""The differences of one tensor between two runs, collected over samples."""

from __future__ import annotations

import numpy as np

from thimble.explain.values import quantization, real, same_grid
from thimble.graph import Tensor
from thimble.spread import PairSpread

Array = np.ndarray

# Float tensors count as equal within this part of their largest magnitude: the order of additions
# and libm differ between runners. Measured between the peers' own kernels: up to 2e-5
# (docs/numerics.md).
FLOAT_RTOL = 1e-4


class Pair:
    """The differences of one tensor, collected over samples."""

    def __init__(self, a: Tensor, b: Tensor):
        self.a, self.b = a, b
        self.exact = same_grid(a, b)
        self.scale = quantization(b)[0] or quantization(a)[0]
        self.max_abs = self.sum_abs = self.signal = self.noise = self.largest = 0.0
        self.count = self.mismatched = 0
        self.max_steps = 0.0
        self.introduced: float | None = None
        self.inherited: float | None = None
        self.spread = PairSpread(self.scale)

    @property
    def is_integer(self) -> bool:
        return self.exact and self.b.dtype != "float32" and not self.b.dtype.startswith("float")

    @property
    def max_lsb(self) -> float | None:
        """Steps of the quantized side, or of the integers themselves; None for floats."""
        if self.is_integer:
            return self.max_steps
        return self.max_abs / self.scale if self.scale else None

    def add(self, x: Array, y: Array, expected: Array | None) -> None:
        """One sample: A's values, B's values, and what A's layer makes of B's inputs (or None)."""
        real_x = real(x, self.a)
        real_y = real(y, self.b)
        self.spread.add(real_x, real_y)
        same = (real_x == real_y) | (np.isnan(real_x) & np.isnan(real_y))
        gap = np.where(same, 0.0, np.abs(real_x - real_y))
        gap = np.where(np.isnan(gap), np.inf, gap)
        self.max_abs = max(self.max_abs, float(gap.max(initial=0.0)))
        self.sum_abs += float(gap.sum())
        self.count += gap.size
        finite = np.isfinite(real_x)
        self.largest = max(self.largest, float(np.abs(real_x[finite]).max(initial=0.0)))
        self.signal += float(np.square(real_x[finite]).sum())
        self.noise += float(np.square(gap).sum())
        if self.is_integer:
            steps = np.abs(x.astype(np.int64) - y.astype(np.int64))
            self.max_steps = max(self.max_steps, float(steps.max(initial=0)))
            self.mismatched += int(np.count_nonzero(steps))
        elif self.scale:
            self.mismatched += int(np.count_nonzero(gap > 0.5000001 * self.scale))
        else:
            self.mismatched += int(np.count_nonzero(gap))
        if expected is not None:
            wanted = real(expected.reshape(x.shape), self.a)
            self.introduced = max(self.introduced or 0.0, _gap(wanted, real_y))
            self.inherited = max(self.inherited or 0.0, _gap(wanted, real_x))

    def agrees(self, tolerance_lsb: float) -> bool:
        """Whether no difference exceeds the tolerance (floats: FLOAT_RTOL of the largest
        magnitude).
        """
        if self.max_lsb is not None:
            return self.max_lsb <= tolerance_lsb
        return self.max_abs <= FLOAT_RTOL * self.largest


def _gap(x: Array, y: Array) -> float:
    difference = np.abs(x - y)
    return float(difference[np.isfinite(difference)].max(initial=0.0))
