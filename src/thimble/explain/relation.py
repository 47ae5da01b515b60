"""How one array comes from another of the same size: scaled, permuted, one row zeroed, ...

`relate(a, b)` names the simplest change that makes `b` of `a`. It is asked of weights and biases
(what was done to the file) and of a layer's outputs (what a runner did), so that both are
explained in the same words. Values are real; `slack` is what rounding may have moved each element.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

Array = np.ndarray

FEW = 4  # elements: a change of that many is spoken of one by one
EXACT = 1e-9  # of the largest magnitude: float64 arithmetic on exact inputs
FIT = 0.02  # of the change: what a fit may leave unexplained


@dataclass(frozen=True)
class Relation:
    """`kind` names the change, `detail` says it with figures; `share` of the elements changed."""

    kind: str
    detail: str
    share: float


def differs(a: Array, b: Array, slack: Array | float = 0.0) -> Array:
    """Where `b` is further from `a` than rounding explains (a mask; NaN equals NaN).

    Without slack the numbers are stored ones, and any difference counts.
    """
    limit = np.asarray(slack) * 1.001
    if limit.any():
        limit = limit + EXACT * float(np.abs(a).max(initial=0.0))
    same = (np.abs(a - b) <= limit) | (a == b) | (np.isnan(a) & np.isnan(b))
    return np.asarray(~same)


def relate(a: Array, b: Array, axis: int = 0, slack: Array | float = 0.0) -> Relation | None:
    """What makes `b` of `a` (same shape, real values); None where they are equal within `slack`.

    `axis` is that of the channels. The kinds are those that the generators below yield, from the
    most particular to `differ`.
    """
    changed = differs(a, b, slack)
    if not changed.any():
        return None
    share = float(changed.mean())
    limit = np.broadcast_to(np.asarray(slack, np.float64), a.shape)
    for kind, detail in _candidates(a, b, axis, changed, limit):
        return Relation(kind, detail, share)
    return Relation("differ", _figures(a, b), share)


def _candidates(
    a: Array, b: Array, axis: int, changed: Array, slack: Array
) -> Iterator[tuple[str, str]]:
    def equal(c: Array) -> bool:
        return not differs(c, b, 2 * slack).any()

    if not np.isfinite(b).all():
        yield "not-finite", f"{int((~np.isfinite(b)).sum())} values are NaN or infinite"
    elif not b.any():
        yield "zeroed", "all values are zero"
    elif a.size > 1 and equal(-a):
        yield "negated", "every sign is flipped"
    else:
        low, high = float(b.min()), float(b.max())
        if high > low and changed.sum() > 1 and equal(np.clip(a, low, high)):
            yield "clipped", f"clipped to [{low:.4g}, {high:.4g}]"
        yield from _moved(a, b, axis, equal)
        yield from _in_rows(a, b, axis, changed, slack)
        if changed.sum() <= min(FEW, max(1, a.size // 8)):
            yield "elements", _elements(a, b, changed)
        if not b[changed].any():
            count = int(changed.sum())
            yield (
                "zeros",
                f"{count} of {int(np.count_nonzero(a))} values that are not zero became 0",
            )
        yield from _affine(a, b, axis, changed, slack)
        yield from _affine_within(a, b, low, high, equal)
        apart = a.size > 8 and abs(_correlation(a, b)) < 0.9 and slack.max() < 0.02 * a.std()
        if apart and _nearly(np.sort(a.reshape(-1)), np.sort(b.reshape(-1)), slack):
            yield "shuffled", "the same values stand in other places"
        steps = len(np.unique(b))
        if a.size > 32 and steps * 4 <= len(np.unique(a)) and _correlation(a, b) > 0.5:
            yield "coarse", f"only {steps} different values are left of {len(np.unique(a))}"
        correlation = _correlation(a, b)
        if correlation > 0.5:
            yield "noise", f"{_figures(a, b)}, correlation {correlation:.3f}"


def _moved(a: Array, b: Array, axis: int, equal: object) -> Iterator[tuple[str, str]]:
    """Permutations of axes, mirrored axes, permuted and rolled slices."""
    assert callable(equal)
    for channel in dict.fromkeys((axis % max(a.ndim, 1), a.ndim - 1, 0)):
        if a.ndim and 1 < a.shape[channel] <= 4096:
            order = _permutation(a, b, channel)
            if order is not None and equal(np.take(a, order, channel)):
                moved = [i for i, o in enumerate(order) if i != o]
                if moved:
                    yield _say_permutation(order, moved, channel, axis % a.ndim)
    for x, y in combinations(range(a.ndim), 2):
        if a.shape[x] > 1 and a.shape[y] > 1:
            swapped = a.swapaxes(x, y)
            if swapped.shape == b.shape and equal(swapped):
                yield "transposed", f"axes {x} and {y} are swapped"
            elif swapped.size == b.size and equal(np.ascontiguousarray(swapped).reshape(b.shape)):
                yield "transposed", f"stored with axes {x} and {y} swapped"
    for x in range(a.ndim):
        if a.shape[x] > 1:
            if equal(np.flip(a, x)):
                yield "mirrored", f"mirrored along axis {x}"
            for by in (1, -1):
                if a.shape[x] > 2 and equal(np.roll(a, by, x)):
                    yield "shifted", f"shifted by {by} along axis {x}"
    for by in (1, -1):
        if a.size > 3 and equal(np.roll(a, by)):
            yield "shifted", f"shifted by {by} in memory"
    spatial = [x for x in range(a.ndim) if a.shape[x] > 1 and x not in (axis % a.ndim, a.ndim - 1)]
    if len(spatial) == 2 and equal(np.flip(a, tuple(spatial))):
        yield "mirrored", f"turned by 180 degrees in axes {spatial}"


def _permutation(a: Array, b: Array, axis: int) -> list[int] | None:
    """order with b = a[order] along `axis`, each slice to its nearest; None where it is none."""
    x = np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1)
    y = np.moveaxis(b, axis, 0).reshape(a.shape[axis], -1)
    order = np.arange(len(x))
    changed = np.flatnonzero((x != y).any(1))
    free = list(changed)
    for row in changed:
        if not free:
            return None
        gaps = np.square(x[free] - y[row]).sum(1)
        order[row] = free.pop(int(gaps.argmin()))
    return [int(o) for o in order]


def _say_permutation(order: list[int], moved: list[int], axis: int, own: int) -> tuple[str, str]:
    what = "channels" if axis == own else f"slices of axis {axis}"
    kind = "permuted" if axis == own else "permuted-inputs"
    if order == list(range(len(order)))[::-1]:
        return kind, f"{what} are in reverse order"
    if len(moved) == 2:
        return kind, f"{what} {moved[0]} and {moved[1]} are swapped"
    return kind, f"{len(moved)} of {len(order)} {what} are in other places"


def _in_rows(
    a: Array, b: Array, axis: int, changed: Array, slack: Array
) -> Iterator[tuple[str, str]]:
    """A change confined to few slices along the channels' axis (or another one)."""
    for x in dict.fromkeys((axis % max(a.ndim, 1), a.ndim - 1, 0)):
        if a.ndim < 2 or a.shape[x] < 2:
            continue
        rows = np.flatnonzero(np.moveaxis(changed, x, 0).reshape(a.shape[x], -1).any(1))
        if not len(rows) or len(rows) > max(1, a.shape[x] // 4):
            continue
        old, new = np.take(a, rows, x), np.take(b, rows, x)
        inner = None
        if old.size > 1 and np.take(changed, rows, x).sum() > FEW:
            inner = _whole(old, new, np.take(slack, rows, x), x)
        elif len(rows) == 1 and old.size > 1 and not new.any():
            inner = "zero"
        if inner is None and np.take(changed, rows, x).sum() <= FEW:
            continue
        listed = ", ".join(map(str, rows[:4])) + (", ..." if len(rows) > 4 else "")
        where = f"{'channel' if x == axis % a.ndim else f'index of axis {x}:'} {listed}"
        yield "rows", f"{where} {'is' if len(rows) == 1 else 'are'} {inner or 'changed'}"
        return


def _whole(old: Array, new: Array, slack: Array, axis: int) -> str | None:
    if not new.any():
        return "zero"
    if not differs(-old, new, 2 * slack).any():
        return "negated"
    for k in range(old.ndim):
        if old.shape[k] > 1 and not differs(np.flip(old, k), new, 2 * slack).any():
            return "in reverse order"
    flat = np.moveaxis(old, axis, 0).reshape(old.shape[axis], -1)
    back = flat[:, ::-1].reshape(np.moveaxis(old, axis, 0).shape)
    if not differs(np.moveaxis(back, 0, axis), new, 2 * slack).any():
        return "in reverse order"
    gain = _gain(old, new)
    if gain is not None and _fits(gain * old, old, new, slack):
        return f"scaled by {gain:.4g}"
    offset = float((new - old).mean())
    return f"offset by {offset:.4g}" if _fits(old + offset, old, new, slack) else None


def _gain(a: Array, b: Array) -> float | None:
    power = float((a * a).sum())
    return float((a * b).sum()) / power if power else None


def _fits(guess: Array, a: Array, b: Array, slack: Array) -> bool:
    """Whether `guess` explains all but FIT of the change from a to b (or all but the slack)."""
    left, change = np.abs(guess - b), np.abs(b - a)
    return bool(
        np.linalg.norm(left) <= FIT * np.linalg.norm(change)
        or not differs(guess, b, 2 * slack).any()
    )


def _affine(
    a: Array, b: Array, axis: int, changed: Array, slack: Array
) -> Iterator[tuple[str, str]]:
    gain = _gain(a, b)
    if a.size > 1 and gain is not None and _fits(gain * a, a, b, slack):
        yield "scaled", f"scaled by {gain:.4g}"
        return
    offset = float((b - a).mean())
    if offset and _fits(a + offset, a, b, slack):
        yield "offset", f"offset by {offset:.4g}"
        return
    if a.ndim > 1 and a.shape[axis] > 1:
        x = np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1)
        y = np.moveaxis(b, axis, 0).reshape(a.shape[axis], -1)
        power = (x * x).sum(1)
        gains = np.where(power > 0, (x * y).sum(1) / np.where(power > 0, power, 1), 1.0)
        if x.shape[1] > 1 and _fits((gains[:, None] * x), x, y, np.zeros(1)):
            yield (
                "scaled-channels",
                f"each channel scaled by its own factor, {gains.min():.4g} to {gains.max():.4g}",
            )
            return
    if a.size > 3 and float(a.std()) and float(b.std()):
        slope, base = np.polyfit(a.reshape(-1), b.reshape(-1), 1)
        if _fits(slope * a + base, a, b, slack):
            yield "affine", f"scaled by {slope:.4g} and offset by {base:.4g}"


def _affine_within(
    a: Array, b: Array, low: float, high: float, equal: object
) -> Iterator[tuple[str, str]]:
    """Offset or scaled, and clipped to a range (that of int8, or of an activation)."""
    assert callable(equal)
    inside = (b > low) & (b < high)
    if inside.sum() < 4 or inside.all():
        return
    offset = float(np.median((b - a)[inside]))
    if offset and equal(np.clip(a + offset, low, high)):
        yield "offset", f"offset by {offset:.4g} and clipped to [{low:.4g}, {high:.4g}]"
    large = inside & (np.abs(a) > np.abs(a).max() / 8)
    if large.sum() >= 4:
        gain = float(np.median(b[large] / a[large]))
        if gain != 1 and equal(np.clip(gain * a, low, high)):
            yield "scaled", f"scaled by {gain:.4g} and clipped to [{low:.4g}, {high:.4g}]"


def _nearly(x: Array, y: Array, slack: Array) -> bool:
    return not differs(x, y, float(slack.max(initial=0.0)) * 2).any()


def _correlation(a: Array, b: Array) -> float:
    x, y = a.reshape(-1) - a.mean(), b.reshape(-1) - b.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.dot(x, y)) / size if size else 0.0


def _elements(a: Array, b: Array, changed: Array) -> str:
    places = np.argwhere(changed)
    return "; ".join(
        f"[{', '.join(map(str, p))}] {a[tuple(p)]:.4g} -> {b[tuple(p)]:.4g}" for p in places[:FEW]
    )


def _figures(a: Array, b: Array) -> str:
    gap = np.abs(a - b)
    return f"up to {float(gap.max()):.4g}, {100 * float((gap > 0).mean()):.3g} % of the elements"
