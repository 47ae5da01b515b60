"""What calibration remembers of a tensor: its extremes and, for percentiles, a histogram."""

from __future__ import annotations

import numpy as np

Array = np.ndarray

BINS = 4096  # on each side of zero; the finest percentile is one bin, 1/4096 of the largest value


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
        return (2 * BINS - 1 - low - BINS) * width, (high + 1 - BINS) * width


class Observed:
    """Extremes of one tensor over all samples; `is_finite` turns False at a NaN or infinity."""

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
        if not (np.isfinite(low) and np.isfinite(high)):
            self.is_finite = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.histogram is not None:
            self.histogram.add(values)

    def range(self, percentile: float | None) -> tuple[float, float]:
        """(low, high) to be covered by the quantized values; (0, 0) when nothing was seen."""
        if self.low > self.high:
            return 0.0, 0.0
        if percentile is None or self.histogram is None:
            return self.low, self.high
        low, high = self.histogram.between(percentile)
        return max(low, self.low), min(high, self.high)
