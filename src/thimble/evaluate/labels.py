"""What the labels ask of a model: a class, an anomaly's score, or values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.errors import BadInput, Finding
from thimble.formats.data import Dataset, input_tensors
from thimble.graph import Model

Array = np.ndarray

TASKS = ("classes", "anomaly", "values")


@dataclass(frozen=True, eq=False)
class Wanted:
    """`task` and the labels for it: class numbers or 0 and 1 [samples], values [samples, n]."""

    task: str
    labels: Array


def wanted(model: Model, dataset: Dataset, task: str = "auto") -> Wanted:
    """What `dataset` asks of `model`. Raises BadInput.

    auto: an output of the input's size with labels 0 and 1 is a reconstruction, whose error tells
    anomalies; class numbers (or one-hot rows) are classes; labels with fractions, or as many as
    the model has outputs, are values.
    """
    y = dataset.labels
    if y is None or len(y) != len(dataset):
        message = "there are no labels" if y is None else f"there are {len(y)} labels"
        raise BadInput(_finding(dataset, message))
    if y.dtype.kind not in "iubf":
        raise BadInput(_finding(dataset, f"labels are {y.dtype}, not numbers"))
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise BadInput(_finding(dataset, "labels hold NaN or infinite values"))
    outputs = model.graph.tensors[model.graph.outputs[0]].elements
    if task == "auto":
        task = _task(model, y.reshape(len(y), -1), outputs)
    if task == "values":
        return Wanted(task, _values(dataset, y, outputs))
    labels = class_labels(dataset)
    classes = 2 if task == "anomaly" else max(outputs, 2)
    wrong = sorted({int(x) for x in labels} - set(range(classes)))
    if wrong:
        message = f"labels {wrong[:5]} lie outside the model's {classes} classes"
        hint = "classes count from 0; use --task values where labels are no classes"
        raise BadInput(Finding("labels", dataset.source, message, hint))
    if task == "anomaly" and [t.elements for t in input_tensors(model)] != [outputs]:
        message = f"the output has {outputs} values: it is no reconstruction of the input"
        raise BadInput(Finding("labels", dataset.source, message, "use --task classes"))
    return Wanted(task, labels)


def class_labels(dataset: Dataset) -> Array:
    """Labels [samples] as integers, one-hot rows resolved. Raises BadInput."""
    y = dataset.labels
    assert y is not None
    rows = y.reshape(len(y), -1)
    if rows.shape[1] > 1:
        if not _are_one_hot(rows):
            raise BadInput(
                _finding(dataset, f"labels of shape {list(y.shape)} are no one-hot rows")
            )
        return rows.argmax(1).astype(np.int64)
    if not np.array_equal(rows, np.floor(rows)):
        raise BadInput(_finding(dataset, f"labels are {y.dtype} with fractions, no class numbers"))
    return rows[:, 0].astype(np.int64)


def _task(model: Model, rows: Array, outputs: int) -> str:
    inputs = input_tensors(model)
    is_binary = bool(np.isin(rows, (0, 1)).all())
    if rows.shape[1] > 1:
        return "classes" if _are_one_hot(rows) else "values"
    if outputs > 1 and is_binary and [t.elements for t in inputs] == [outputs]:
        return "anomaly"
    if not np.array_equal(rows, np.floor(rows)):
        return "values"
    return "values" if outputs == 1 and rows.dtype.kind == "f" and not is_binary else "classes"


def _are_one_hot(rows: Array) -> bool:
    return bool(np.isin(rows, (0, 1)).all() and np.all(rows.sum(1) == 1))


def _values(dataset: Dataset, y: Array, outputs: int) -> Array:
    rows = y.reshape(len(y), -1)
    if rows.shape[1] != outputs:
        message = f"labels of shape {list(y.shape)} do not match the model's {outputs} outputs"
        raise BadInput(_finding(dataset, message))
    return rows.astype(np.float64)


def _finding(dataset: Dataset, message: str) -> Finding:
    hint = "give an array `y` [samples] of class numbers, or [samples, outputs] of values, beside x"
    return Finding("labels", dataset.source, message, hint)
