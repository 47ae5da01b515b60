"""Does a model really differ from another? The answer on the same samples, in a sentence."""

from __future__ import annotations

import numpy as np

from thimble.evaluate.intervals import (
    Interval,
    auc_difference,
    bootstrap,
    mcnemar,
    share_difference,
)
from thimble.evaluate.quality import Quality
from thimble.report import EvaluateDifference

Array = np.ndarray

SIGNIFICANCE = 0.05


def differences(
    first: tuple[str, Quality], second: tuple[str, Quality], labels: Array
) -> list[EvaluateDifference]:
    """The second (name, quality) less the first, in every figure that both have."""
    names = (first[0], second[0])
    a, b = first[1], second[1]
    found = []
    if a.answers is not None and b.answers is not None:
        found.append(_accuracy(names, a.answers, b.answers, labels))
    if a.auc is not None and b.auc is not None and a.parts is not None and b.parts is not None:
        found.append(_auc(names, (a.auc, b.auc), b.parts - a.parts))
    if a.errors is not None and b.errors is not None:
        found.append(_mae(names, a.errors[:, 0], b.errors[:, 0]))
    return found


def _accuracy(
    names: tuple[str, str], first: Array, second: Array, labels: Array
) -> EvaluateDifference:
    only_first = int(((first == labels) & (second != labels)).sum())
    only_second = int(((first != labels) & (second == labels)).sum())
    count, others = len(labels), int((first != second).sum())
    p = mcnemar(only_first, only_second)
    difference = (only_second - only_first) / count
    interval = share_difference(only_first, only_second, count)
    differ = p < SIGNIFICANCE
    low, high = (100 * limit for limit in interval)
    sentence = (
        f"{_verdict(differ, *names, 'accuracy')}: {100 * difference:+.2f} points (95 %:"
        f" {low:+.2f} .. {high:+.2f}), p = {p:.2g}; of {count} samples {others} are answered"
        f" otherwise, {only_first} right by the first alone and {only_second} by the second alone"
    )
    if not others:
        sentence = f"{names[1]} answers each of {count} samples as {names[0]} does"
    return EvaluateDifference(
        *(*names, "accuracy", difference, interval, p, "McNemar's exact test", differ, sentence),
        other_answers=others,
        only_first=only_first,
        only_second=only_second,
    )


def _auc(names: tuple[str, str], aucs: tuple[float, float], parts: Array) -> EvaluateDifference:
    difference = aucs[1] - aucs[0]
    tested = auc_difference(difference, parts)
    interval, p = tested if tested is not None else (None, None)
    differ = p is not None and p < SIGNIFICANCE
    sentence = f"{_verdict(differ, *names, 'AUC')}: {_signed(difference, interval)}"
    sentence += f", p = {p:.2g}" if p is not None else "; every sample ranks alike"
    return EvaluateDifference(
        *(*names, "auc", difference, interval, p, "DeLong's test", differ, sentence)
    )


def _mae(names: tuple[str, str], first: Array, second: Array) -> EvaluateDifference:
    gaps = (second - first)[:, None]
    difference = float(gaps.mean())
    interval = bootstrap(gaps, lambda means: means[:, 0])
    differ = interval[0] > 0 or interval[1] < 0
    sentence = f"{_verdict(differ, *names, 'mean absolute error')}: {_signed(difference, interval)}"
    test = "paired bootstrap: the interval is without 0"
    return EvaluateDifference(*(*names, "mae", difference, interval, None, test, differ, sentence))


def _verdict(differ: bool, first: str, second: str, figure: str) -> str:
    claim = "really differs from" if differ else "cannot be told from"
    return f"{second} {claim} {first} in {figure}"


def _signed(difference: float, interval: Interval | None) -> str:
    text = f"{difference:+.4g}"
    return text if interval is None else f"{text} (95 %: {interval[0]:+.4g} .. {interval[1]:+.4g})"
