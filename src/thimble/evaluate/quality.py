"""Figures of quality from a model's outputs and the labels, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.evaluate.intervals import Interval, auc_interval, auc_parts, bootstrap, wilson
from thimble.evaluate.labels import Wanted
from thimble.report import ClassFigures, TopK

Array = np.ndarray

MAX_CONFUSION_CLASSES = 64
THRESHOLD = 0.5  # of a single sigmoid output


@dataclass(frozen=True, eq=False)
class Quality:
    """Figures, and of every sample what comparing two models needs [samples]: the class answered,
    the part of the AUC's error, the errors [samples, (mean absolute, mean square)].
    """

    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    top5: float | None = None
    top_k: TopK | None = None
    auc: float | None = None
    auc_interval: Interval | None = None
    confusion: list[list[int]] | None = None
    per_class: Sequence[ClassFigures] = ()
    mae: float | None = None
    mae_interval: Interval | None = None
    rmse: float | None = None
    rmse_interval: Interval | None = None
    answers: Array | None = None
    parts: Array | None = None
    errors: Array | None = None
    notes: tuple[str, ...] = ()


def quality(
    wanted: Wanted, outputs: Array, inputs: Array, classes: Sequence[str], top_k: int
) -> Quality:
    """Figures of `outputs` [samples, n] in real values; `inputs` [samples, n] likewise (anomalies
    only).
    """
    if wanted.task == "values":
        return _of_values(outputs, wanted.labels)
    if wanted.task == "anomaly":
        scores = np.square(outputs - inputs).mean(1)
        note = "the output has the input's size: scored by mean squared reconstruction error"
        return _with_auc(Quality(notes=(note,)), [(scores, wanted.labels == 1)])[0]
    return _of_classes(outputs, wanted.labels, classes, top_k)


def _of_values(outputs: Array, labels: Array) -> Quality:
    gap = outputs - labels
    errors = np.stack([np.abs(gap).mean(1), np.square(gap).mean(1)], 1)
    mae, mse = errors.mean(0)
    return Quality(
        mae=float(mae),
        mae_interval=bootstrap(errors, lambda means: means[:, 0]),
        rmse=float(np.sqrt(mse)),
        rmse_interval=bootstrap(errors, lambda means: np.sqrt(means[:, 1])),
        errors=errors,
    )


def _of_classes(outputs: Array, labels: Array, names: Sequence[str], top_k: int) -> Quality:
    samples, count = outputs.shape
    classes = max(count, 2)
    answers = outputs.argmax(1) if count > 1 else (outputs[:, 0] > THRESHOLD).astype(np.int64)
    right = int((answers == labels).sum())
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, answers), 1)
    if count <= 2:
        rankings = [(outputs[:, -1], labels == 1)]
    else:
        rankings = [(outputs[:, c], labels == c) for c in range(count)]
    found, aucs = _with_auc(Quality(), rankings)
    by_class = [aucs[0], aucs[0]] if count <= 2 else aucs
    ranked = np.argsort(-outputs, axis=1, kind="stable") if count > 2 else None
    notes = (
        () if top_k < count or count <= 5 else (f"top {top_k} of {count} classes is always right",)
    )
    return Quality(
        accuracy=right / samples,
        accuracy_interval=wilson(right, samples),
        top5=_top(ranked, labels, 5),
        top_k=_top_k(ranked, labels, top_k),
        auc=found.auc,
        auc_interval=found.auc_interval,
        confusion=table.tolist() if classes <= MAX_CONFUSION_CLASSES else None,
        per_class=_per_class(table, by_class, names),
        answers=answers,
        parts=found.parts,
        notes=notes,
    )


def _top(ranked: Array | None, labels: Array, k: int) -> float | None:
    if ranked is None or k >= ranked.shape[1]:
        return None
    return float((ranked[:, :k] == labels[:, None]).any(1).mean())


def _top_k(ranked: Array | None, labels: Array, k: int) -> TopK | None:
    share = _top(ranked, labels, k)
    if share is None:
        return None
    return TopK(k, share, wilson(round(share * len(labels)), len(labels)))


def _with_auc(
    start: Quality, rankings: Sequence[tuple[Array, Array]]
) -> tuple[Quality, list[float | None]]:
    """(`start` with the mean AUC of `rankings` (scores, is it one), the AUC of each)."""
    parts = [auc_parts(scores, is_one) for scores, is_one in rankings]
    known = [p for p in parts if p is not None]
    if not known:
        return start, [None] * len(parts)
    auc = float(np.mean([a for a, _ in known]))
    mean_parts = np.mean([p for _, p in known], axis=0)
    found = Quality(
        auc=auc, auc_interval=auc_interval(auc, mean_parts), parts=mean_parts, notes=start.notes
    )
    return found, [None if p is None else p[0] for p in parts]


def _per_class(
    table: Array, aucs: Sequence[float | None], names: Sequence[str]
) -> list[ClassFigures]:
    """Precision = right / answered so, recall = right / labelled so, F1 their harmonic mean; None
    where nothing was answered or labelled so.
    """
    rows = []
    for i, auc in enumerate(aucs):
        right, labelled, answered = (
            int(x) for x in (table[i, i], table[i].sum(), table[:, i].sum())
        )
        if labelled or answered:
            rows.append(
                ClassFigures(
                    label=i,
                    name=names[i] if i < len(names) else "",
                    samples=labelled,
                    precision=right / answered if answered else None,
                    recall=right / labelled if labelled else None,
                    f1=2 * right / (labelled + answered),
                    auc=auc,
                )
            )
    return rows
