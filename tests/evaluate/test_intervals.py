"""Intervals and tests: by their definitions, known values, and how often they hold the truth."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thimble.evaluate.intervals import (
    Z,
    auc_difference,
    auc_interval,
    auc_parts,
    bootstrap,
    mcnemar,
    share_difference,
    wilson,
)


@pytest.mark.parametrize(  # SciPy 1.16, binomtest(k, n).proportion_ci(method="wilson")
    ("right", "count", "interval"),
    [
        (0, 10, (0.0, 0.27753279986288926)),
        (10, 10, (0.7224672001371109, 1.0)),
        (3, 7, (0.1582198552514697, 0.7495416354723432)),
        (496, 540, (0.8923805626229835, 0.9387440099319484)),
    ],
)
def test_wilson(right: int, count: int, interval: tuple[float, float]) -> None:
    assert wilson(right, count) == pytest.approx(interval, abs=1e-12)


@given(st.integers(1, 400), st.data())
def test_wilson_s_limits_are_those_shares_that_the_score_test_just_keeps(
    count: int, data: st.DataObject
) -> None:
    right = data.draw(st.integers(0, count))
    for limit in wilson(right, count):
        if 0 < limit < 1:
            distance = abs(right / count - limit)
            assert distance == pytest.approx(Z * math.sqrt(limit * (1 - limit) / count))


def test_wilson_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for share in (0.5, 0.9, 0.97):
        held = [
            low <= share <= high
            for low, high in (wilson(int(k), 120) for k in rng.binomial(120, share, 2000))
        ]
        assert 0.93 < np.mean(held) < 0.975


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_by_definition(only_first: int, only_second: int) -> None:
    tosses = only_first + only_second
    tail = sum(Fraction(math.comb(tosses, i)) for i in range(min(only_first, only_second) + 1))
    assert mcnemar(only_first, only_second) == pytest.approx(
        float(min(Fraction(1), 2 * tail / 2**tosses))
    )


@pytest.mark.parametrize(  # SciPy 1.16, binomtest(b, b + c).pvalue
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (1, 5, 0.21875), (700, 800, 0.010559255466711506), (5000, 5200, 0.0487879631)],
)
def test_mcnemar_of_many(only_first: int, only_second: int, p: float) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(p)
    assert mcnemar(only_second, only_first) == pytest.approx(p)


def delong(scores: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(AUC, structural components of the ones, of the zeros), pair by pair."""
    ones, zeros = scores[labels == 1], scores[labels == 0]
    pairs = np.array([[(a > b) + 0.5 * (a == b) for b in zeros] for a in ones])
    return float(pairs.mean()), pairs.mean(1), pairs.mean(0)


@pytest.mark.parametrize("seed", range(5))
def test_delong_pair_by_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(40) < 13).astype(int)
    first = np.round(labels + rng.normal(0, 1, 40), 1)
    second = np.round(first + rng.normal(0, 0.5, 40), 1)
    found = [auc_parts(s, labels == 1) for s in (first, second)]
    wanted = [delong(s, labels) for s in (first, second)]
    assert found[0] is not None
    assert found[1] is not None
    for mine, theirs in zip(found, wanted):
        assert mine[0] == pytest.approx(theirs[0])
        variance = np.var(theirs[1], ddof=1) / 13 + np.var(theirs[2], ddof=1) / 27
        assert np.square(mine[1]).sum() == pytest.approx(variance)
    covariance = sum(np.cov(wanted[0][i], wanted[1][i])[0, 1] / n for i, n in ((1, 13), (2, 27)))
    assert (found[0][1] * found[1][1]).sum() == pytest.approx(covariance)


def test_auc_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    shift = 1.2
    truth = 0.5 * (1 + math.erf(shift / 2))  # P(N(shift, 1) > N(0, 1))
    labels = np.arange(150) < 60
    held = rejected = 0
    for _ in range(600):
        signal = rng.normal(0, 1, 150) + shift * labels
        found = auc_parts(signal, labels)
        assert found is not None
        interval = auc_interval(*found)
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
        a, b = (auc_parts(signal + rng.normal(0, 0.7, 150), labels) for _ in range(2))
        assert a is not None
        assert b is not None
        tested = auc_difference(b[0] - a[0], b[1] - a[1])
        assert tested is not None
        rejected += tested[1] < 0.05
    assert 0.92 < held / 600 < 0.98
    assert 0.02 < rejected / 600 < 0.08


def test_no_bound_without_variance() -> None:
    labels = np.array([False, False, True, True])
    found = auc_parts(np.array([0.1, 0.2, 0.3, 0.4]), labels)
    assert found is not None
    assert found[0] == 1
    assert auc_interval(*found) is None
    lonely = auc_parts(np.array([0.1, 0.5, 0.3]), np.array([False, False, True]))
    assert lonely is not None
    assert lonely[0] == 0.5
    assert auc_interval(*lonely) is None


def test_the_paired_bootstrap_is_that_of_the_samples() -> None:
    rng = np.random.default_rng(2)
    gains = rng.permutation(np.repeat([-1, 0, 1], [6, 180, 14]))
    drawn = [rng.choice(gains, len(gains)).mean() for _ in range(4000)]
    low, high = share_difference(6, 14, 200)
    assert low == pytest.approx(np.percentile(drawn, 2.5), abs=0.006)
    assert high == pytest.approx(np.percentile(drawn, 97.5), abs=0.006)
    assert share_difference(6, 14, 200) == (low, high)  # seeded


def test_bootstrap_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(3).normal(5, 2, (400, 1))
    low, high = bootstrap(values, lambda means: means[:, 0])
    half = Z * values.std(ddof=1) / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
