"""How sure a figure is: confidence intervals, and tests of two models on the same samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

Array = np.ndarray
Interval = tuple[float, float]

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
RESAMPLES = 2000
SEED = 1  # of every bootstrap, so that a report repeats


def wilson(successes: int, count: int) -> Interval:
    """Score interval of a share: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    share = successes / count
    square = Z * Z / count
    middle = share + square / 2
    half = math.sqrt(square * (share * (1 - share) + square / 4))
    low = 0.0 if successes == 0 else (middle - half) / (1 + square)
    high = 1.0 if successes == count else (middle + half) / (1 + square)
    return low, high


def auc_of(scores: Array, labels: Array) -> float | None:
    """Area under the ROC curve: P(score of a 1 > score of a 0), ties count half; None for one
    class.
    """
    found = auc_parts(np.asarray(scores), np.asarray(labels) == 1)
    return None if found is None else found[0]


def auc_parts(scores: Array, is_one: Array) -> tuple[float, Array] | None:
    """(AUC, each sample's part of its error [samples]), None where a class is missing.

    The sum of the parts' squares is DeLong's variance, the sum of the products of two models' parts
    their covariance (E. DeLong et al., Comparing the areas under two or more correlated receiver
    operating characteristic curves, 1988). Parts are NaN where a class has one sample only.
    """
    ones, zeros = scores[is_one], scores[~is_one]
    if not len(ones) or not len(zeros):
        return None
    above = _share_below(zeros, ones)  # of the zeros, for each 1
    below = 1 - _share_below(ones, zeros)  # of the ones above it, for each 0
    auc = float(above.mean())
    parts = np.full(len(scores), np.nan)
    if len(ones) > 1 and len(zeros) > 1:
        parts[is_one] = (above - auc) / math.sqrt(len(ones) * (len(ones) - 1))
        parts[~is_one] = (below - auc) / math.sqrt(len(zeros) * (len(zeros) - 1))
    return auc, parts


def _share_below(others: Array, values: Array) -> Array:
    """For each of `values` the share of `others` below it, ties counting half."""
    ordered = np.sort(others)
    left = np.searchsorted(ordered, values, "left")
    right = np.searchsorted(ordered, values, "right")
    return (left + right) / (2 * len(ordered))


def auc_interval(auc: float, parts: Array) -> Interval | None:
    """DeLong's interval of an AUC on the logit scale, which keeps it within 0 and 1.

    None where the variance is 0 (all samples ranked right, say): the data then set no bound.
    """
    variance = float(np.square(parts).sum())
    if not variance > 0 or not 0 < auc < 1:
        return None
    middle = math.log(auc / (1 - auc))
    half = Z * math.sqrt(variance) / (auc * (1 - auc))
    return 1 / (1 + math.exp(half - middle)), 1 / (1 + math.exp(-half - middle))


def auc_difference(difference: float, parts: Array) -> tuple[Interval, float] | None:
    """(interval, two-sided p) of the difference of two AUCs whose parts differ by `parts`."""
    variance = float(np.square(parts).sum())
    if not variance > 0:
        return None
    half = Z * math.sqrt(variance)
    p = math.erfc(abs(difference) / math.sqrt(2 * variance))
    return (difference - half, difference + half), p


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test: the samples that only one of two models gets right are
    fair coin tosses when both are equally good. Q. McNemar, 1947.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    term = total = 1  # binomial coefficients (tosses over i) and their sum
    for i in range(fewer):
        term = term * (tosses - i) // (i + 1)
        total += term
    return min(1.0, 2 * total / 2**tosses)


def share_difference(only_first: int, only_second: int, count: int) -> Interval:
    """Paired bootstrap of (second right - first right) / count.

    Drawing `count` samples anew draws how many of them only one model gets right: a multinomial.
    """
    shares = np.array([only_first, only_second, count - only_first - only_second]) / count
    draws = np.random.default_rng(SEED).multinomial(count, shares, RESAMPLES)
    return _percentiles((draws[:, 1] - draws[:, 0]) / count)


def bootstrap(samples: Array, figure: Callable[[Array], Array]) -> Interval:
    """Percentile interval of `figure`, which makes numbers of means [resamples, columns] of
    `samples` [samples, columns] drawn anew. B. Efron, Bootstrap methods, 1979.
    """
    rng = np.random.default_rng(SEED)
    count = len(samples)
    means = [samples[rng.integers(0, count, count)].mean(0) for _ in range(RESAMPLES)]
    return _percentiles(figure(np.stack(means)))


def _percentiles(values: Array) -> Interval:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
