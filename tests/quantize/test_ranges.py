"""Scales, zero points and histograms: what must hold for any range, any weights, any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.quantize.observe import BINS, Histogram, Observed
from thimble.quantize.ranges import (
    LIMITS,
    activation_quant,
    quantize_activation,
    quantize_bias,
    quantize_weights,
    weight_scales,
)

ends = st.floats(-1e6, 1e6, width=32)
seeds = st.integers(0, 2**32 - 1)


@given(ends, ends, st.sampled_from(["int8", "int16"]))
def test_activation_params_cover_the_range_and_hold_zero(a: float, b: float, dtype: str) -> None:
    low, high = min(a, b), max(a, b)
    quant = activation_quant(low, high, dtype)
    scale, zero_point = float(quant.scale[0]), int(quant.zero_point[0])
    q_low, q_high = LIMITS[dtype]
    assert scale > 0
    assert q_low <= zero_point <= q_high
    if dtype == "int16":
        assert zero_point == 0
    # The nudged zero point may shift both ends by half a step; float32 rounds the scale.
    slack = scale * 0.501 + 1e-6 * max(abs(low), abs(high))
    assert (q_low - zero_point) * scale <= low + slack
    assert (q_high - zero_point) * scale >= high - slack
    assert quantize_activation(np.zeros(1), quant, dtype)[0] == zero_point


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 255.0, 1.0, -128),  # an image
        (0.0, 6.0, 6 / 255, -128),  # RELU6
        (2.0, 6.0, 6 / 255, -128),  # 0 is always in the range
        (-1.0, 1.0, 2 / 255, -1),  # -0.5, rounded away from zero
        (-6.0, -2.0, 6 / 255, 127),
        (0.0, 0.0, 1 / 128, 0),  # dead
    ],
)
def test_int8_params_of_known_ranges(
    low: float, high: float, scale: float, zero_point: int
) -> None:
    quant = activation_quant(low, high, "int8")
    assert quant.scale[0] == np.float32(scale)
    assert quant.zero_point[0] == zero_point


@settings(deadline=None)
@given(seeds, st.sampled_from([None, 0, 3]), st.floats(1e-12, 1e12))
def test_weights_are_within_half_a_step(seed: int, axis: int | None, size: float) -> None:
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=(3, 2, 2, 4)) * size).astype(np.float32)
    scales = weight_scales(weights, axis, 0.01, None, "int32")
    values, quant = quantize_weights(weights, axis, scales)
    assert len(scales) == (1 if axis is None else weights.shape[axis])
    assert values.min() >= -127
    assert np.abs(values).max() == 127
    shape = [-1 if d == (axis or 0) else 1 for d in range(4)]
    error = values * scales.astype(np.float64).reshape(shape) - weights
    assert np.abs(error / scales.reshape(shape)).max() <= 0.5 + 1e-4
    assert not quant.zero_point.any()


@settings(deadline=None)
@given(seeds, st.floats(1e-9, 1e3), st.floats(-12, 12))
def test_bias_never_overflows_and_keeps_its_value(
    seed: int, input_scale: float, magnitude: float
) -> None:
    """Tiny or zero weights under a large bias: the weight scale is widened until the bias fits."""
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=(5, 40)) * 10.0 ** rng.uniform(-9, 1, (5, 1))).astype(np.float32)
    weights[rng.random(5) < 0.3] = 0
    bias = (rng.normal(size=5) * 10.0**magnitude).astype(np.float32)
    scales = weight_scales(weights, 0, input_scale, bias, "int32")
    assert (scales > 0).all()
    values, quant = quantize_bias(bias, input_scale, scales, "int32")
    assert np.abs(values.astype(np.int64)).max() + 255 * 127 * 40 < 2**31
    error = np.abs(values * quant.scale.astype(np.float64) - bias)
    step = np.float64(input_scale) * scales
    assert (error <= step * 0.5 + np.abs(bias) * 1e-6).all()
    # A slice of zeros has no rounding of its own to hide that of its bias.
    dead = (np.abs(weights).max(axis=1) == 0) & (np.abs(bias) > 1e-12)
    assert (error[dead] <= np.abs(bias[dead]) * 1e-5).all()


@settings(max_examples=50, deadline=None)
@given(seeds, st.sampled_from([90.0, 99.0, 99.9]))
def test_percentile_is_numpys_within_two_bins(seed: int, percentile: float) -> None:
    rng = np.random.default_rng(seed)
    samples = [
        (rng.normal(size=500) * 10 ** rng.uniform(-2, 2)).astype(np.float32) for _ in range(8)
    ]
    histogram = Histogram()
    for sample in samples:
        histogram.add(sample)
    every = np.sort(np.concatenate(samples))
    width = 2 * histogram.limit / BINS
    low, high = histogram.between(percentile)
    count = int(np.ceil(len(every) * percentile / 100))
    assert abs(high - every[count - 1]) <= width
    assert abs(low - every[len(every) - count]) <= width


def test_histogram_counts_every_value_while_it_grows() -> None:
    histogram = Histogram()
    values = [np.zeros(5), np.array([1e-30, -1e-30]), np.array([3.0]), np.array([-1e20, 1e20])]
    for array in values:
        histogram.add(array.astype(np.float32))
    assert histogram.counts.sum() == 10
    assert histogram.limit >= 1e20


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_least_error_beats_the_extremes(seed: int) -> None:
    """Measured on the values themselves, not on the histogram."""
    rng = np.random.default_rng(seed)
    values = rng.standard_t(2.5, size=20000).astype(np.float32)
    seen = Observed(with_histogram=True)
    seen.add(values)

    def error(low: float, high: float) -> float:
        quant = activation_quant(low, high, "int8")
        q = quantize_activation(values, quant, "int8").astype(np.float64)
        return float((((q - quant.zero_point[0]) * quant.scale[0] - values) ** 2).mean())

    whole = error(*seen.range("minmax", 0, 255))
    assert error(*seen.range("mse", 0, 255)) <= whole * 1.01


def test_not_finite_is_noticed() -> None:
    seen = Observed(with_histogram=True)
    seen.add(np.array([1.0, np.nan], np.float32))
    assert not seen.is_finite
    other = Observed(with_histogram=False)
    other.add(np.array([-np.inf], np.float32))
    assert not other.is_finite
