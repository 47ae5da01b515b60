"""What calibration remembers of a tensor: its extremes and, for percentiles, a histogram."""

from __future__ import annotations

import numpy as np

Array = np.ndarray

BINS = 4096  # on each side of zero; the finest percentile is one bin, 1/4096 of the largest value


# Infinities become the largest float32 in layers that clamp: what comes near it counts as infinite.
LARGEST = 2.0**100


class Histogram:
    """Counts of values in 2 * BINS equal bins over [-limit, limit); limit doubles when it must."""

    def __init__(self) -> None:
        self.counts = np.zeros(2 * BINS, np.int64)
        self.limit = 0.0  # a power of two once there is a value other than 0
        self.zeros = 0  # values seen before there was a limit

    def _grow(self, largest: float) -> None:
        wanted = 2.0 ** np.ceil(np.log2(max(largest, 2.0**-120) * (1 + 1e-6)))
        if self.limit == 0.0:
            self.limit = wanted
            self.counts[BINS] += self.zeros
            self.zeros = 0
        while self.limit < wanted:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros(2 * BINS, np.int64)
            self.counts[BINS // 2 : BINS // 2 + BINS] = merged
            self.limit *= 2

    def add(self, values: Array) -> None:
        """Count finite `values` of any shape."""
        largest = float(np.abs(values).max(initial=0))
        if largest == 0 and self.limit == 0:
            self.zeros += values.size
            return
        self._grow(largest)
        bins = np.floor(values.reshape(-1).astype(np.float64) * (BINS / self.limit)).astype(
            np.int64
        )
        self.counts += np.bincount(bins + BINS, minlength=2 * BINS)

    def between(self, percentile: float) -> tuple[float, float]:
        """(low, high): `percentile` % of the values are at most high, as many at least low."""
        total = int(self.counts.sum())
        if self.limit == 0.0 or total == 0:
            return 0.0, 0.0
        wanted = total * percentile / 100
        high = int(np.searchsorted(np.cumsum(self.counts), wanted))
        low = int(np.searchsorted(np.cumsum(self.counts[::-1]), wanted))
        width = self.limit / BINS
        return (BINS - 1 - low) * width, (high + 1 - BINS) * width

    def least_error(self, low: float, high: float, steps: int) -> tuple[float, float]:
        """The range within [low, high] whose `steps` equal steps have the least mean square error.

        Rounding costs scale^2 / 12 a value (0 costs nothing), clamping the square of the distance.
        Each end in turn is tried at 1 %, 2 %, ... of its extent.
        """
        width = self.limit / BINS
        filled = np.flatnonzero(self.counts)
        centres = (filled - BINS + 0.5) * width
        counts = self.counts[filled].astype(np.float64)
        is_zero = np.abs(centres) < width

        def error(low: float, high: float) -> float:
            beyond = np.maximum(centres - high, 0) + np.maximum(low - centres, 0)
            rounded = counts[(beyond == 0) & ~is_zero].sum()
            scale = (high - low) / steps
            return float((counts * beyond**2).sum() + rounded * scale**2 / 12)

        low, high = min(low, 0.0), max(high, 0.0)
        parts = np.arange(100, 0, -1) / 100
        for _ in range(2):
            high = min((high * float(part) for part in parts), key=lambda h: error(low, h))
            low = min((low * float(part) for part in parts), key=lambda v: error(v, high))
        return low, high


class Observed:
    """Extremes of one tensor over all samples; `is_finite` is False after a NaN or infinity."""

    def __init__(self, with_histogram: bool) -> None:
        self.low = np.inf
        self.high = -np.inf
        self.is_finite = True
        self.histogram = Histogram() if with_histogram else None

    def add(self, values: Array) -> None:
        """Take in one sample's values."""
        if values.size == 0 or not self.is_finite:
            return
        low, high = float(values.min()), float(values.max())  # NaN anywhere makes both NaN
        if not (-LARGEST < low <= high < LARGEST):
            self.is_finite = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.histogram is not None:
            self.histogram.add(values)

    def range(self, method: str, percentile: float, steps: int) -> tuple[float, float]:
        """(low, high) to be covered by quantized values `steps` apart; (0, 0) if nothing was seen.

        method: "minmax", or with a histogram "percentile" or "mse".
        """
        if self.low > self.high:
            return 0.0, 0.0
        if method == "minmax" or self.histogram is None:
            return self.low, self.high
        if method == "percentile":
            low, high = self.histogram.between(percentile)
            return max(low, self.low), min(high, self.high)
        return self.histogram.least_error(self.low, self.high, steps)
