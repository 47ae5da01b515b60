"""How the values of one tensor are spread in two runs: histograms over the same range."""

from __future__ import annotations

import numpy as np

from thimble.quantize.observe import BINS, Histogram
from thimble.report.compare import Spread

Array = np.ndarray
SHOWN_BINS = 64


class Values:
    """What is kept of the values of one side."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.low, self.high = np.inf, -np.inf

    def add(self, values: Array) -> None:
        """Count the finite ones of `values`."""
        finite = values[np.isfinite(values)]
        if finite.size:
            self.histogram.add(finite)
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))

    def counts(self, low: float, high: float, bins: int) -> list[int]:
        """How many values lie in each of `bins` equal parts of [low, high]."""
        h = self.histogram
        filled = np.flatnonzero(h.counts)
        centres = (filled - BINS + 0.5) * (h.limit / BINS)
        given = h.counts[filled]
        if h.limit == 0.0:
            centres, given = np.zeros(1), np.array([h.zeros])
        place = np.floor((centres - low) / (high - low) * bins).astype(np.int64)
        place = np.clip(place, 0, bins - 1)
        return np.bincount(place, given, bins).astype(np.int64).tolist()


class PairSpread:
    """The values of a tensor in A and in B, over all samples. `step`: of quantized ones, else 0."""

    def __init__(self, step: float):
        self.step = step
        self.a, self.b = Values(), Values()

    def add(self, a: Array, b: Array) -> None:
        """One sample's real values."""
        self.a.add(a)
        self.b.add(b)

    def result(self) -> Spread | None:
        """Both histograms; None where all values are the same one."""
        low, high = min(self.a.low, self.b.low), max(self.a.high, self.b.high)
        if not low < high or not np.isfinite(high - low):
            return None
        bins = SHOWN_BINS
        first, last = low, high
        steps = round((high - low) / self.step) + 1 if self.step else 0
        if 1 < steps < BINS:  # bins of whole steps: no comb of full and empty ones
            each = -(-steps // SHOWN_BINS)
            bins = -(-steps // each)
            first = low - self.step / 2
            last = first + bins * each * self.step
        a, b = (side.counts(first, last, bins) for side in (self.a, self.b))
        ends = (self.a.low, self.a.high), (self.b.low, self.b.high)
        return Spread(first, last, a, b, *ends)
