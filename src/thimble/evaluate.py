"""Accuracy, top-5, AUC and confusion on labelled data, with latency, CPU and memory of the run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thimble.errors import BadInput, Finding
from thimble.formats.convert import dequantize_array
from thimble.formats.data import Dataset, as_dataset, input_tensors
from thimble.graph import Model, Tensor
from thimble.report import EvaluateReport, Seconds
from thimble.runners import PEERS, check_runner, emulated_targets, make_runner, outputs_of

Array = np.ndarray
Progress = Callable[[int, int], None]

MAX_CONFUSION_CLASSES = 64
THRESHOLD = 0.5  # of a single sigmoid output


def evaluate(
    model: Model,
    data: Any,
    on: str = "host",
    *,
    samples: int | None = None,
    progress: Progress = lambda done, count: None,
) -> EvaluateReport:
    """How well `model` does on `data`, whose labels are in `y`. Raises BadInput or ToolMissing.

    One output per class: argmax against class numbers (or one-hot rows). One output: its real value
    against 0.5. An output of the input's size is a reconstruction: its mean squared error is the
    score of an anomaly, for the AUC.
    """
    check_runner(on)
    dataset = as_dataset(data, model).first(samples)
    labels = class_labels(dataset)
    scores: list[Array] = []
    times: list[float] = []
    cpu_before, started = _cpu_seconds(), time.perf_counter()
    with make_runner(on, model) as runner:
        runner.outputs(dataset.sample(0))  # warm up: compiling and loading are not latency
        cpu_before, started = _cpu_seconds(), time.perf_counter()
        start = time.perf_counter()
        for trace in outputs_of(runner, dataset):
            times.append(time.perf_counter() - start)
            scores.append(_real_outputs(model, next(iter(trace.outputs.values()))))
            progress(len(scores), len(dataset))
            start = time.perf_counter()
        wall, cpu = time.perf_counter() - started, _cpu_seconds() - cpu_before
    is_time = on not in emulated_targets()
    is_here = is_time and on not in PEERS
    notes = list(dataset.notes)
    accuracy, top5, auc, confusion = _quality(model, dataset, np.stack(scores), labels, notes)
    return EvaluateReport(
        samples=len(dataset),
        accuracy=accuracy,
        top5=top5,
        auc=auc,
        confusion=confusion,
        latency_seconds=Seconds(
            float(np.median(times)) if is_time else None,
            float(np.percentile(times, 95)) if is_time else None,
        ),
        cpu_percent=100 * cpu / wall if is_here and wall > 0 else None,
        peak_rss_bytes=_peak_rss_bytes(is_here),
        model=model.source,
        runner=on,
        notes=notes,
        provenance={
            "data": dataset.source,
            "latency_seconds": "wall clock of one call, conversion of arrays included"
            if is_time
            else "an emulator's time says nothing",
            "cpu_percent": "CPU time of this process over wall clock time",
            "peak_rss_bytes": "largest resident set so far of this process"
            if is_here
            else "largest resident set of a process it started",
        },
    )


def class_labels(dataset: Dataset) -> Array:
    """Labels [samples] as integers, one-hot rows resolved. Raises BadInput."""
    y = dataset.labels
    problem = ""
    if y is None:
        problem = "there are no labels"
    elif y.ndim > 1 and y.reshape(len(y), -1).shape[1] > 1:
        rows = y.reshape(len(y), -1)
        if not np.all((rows == 0) | (rows == 1)) or not np.all(rows.sum(1) == 1):
            problem = f"labels of shape {list(y.shape)} are no one-hot rows"
        else:
            return rows.argmax(1).astype(np.int64)
    elif y.dtype.kind not in "iub" and not (y.dtype.kind == "f" and np.array_equal(y, np.floor(y))):
        problem = f"labels are {y.dtype}, not class numbers"
    if problem:
        hint = "give an array `y` [samples] of class numbers beside the samples `x`"
        raise BadInput(Finding("labels", dataset.source, problem, hint))
    assert y is not None
    return y.reshape(-1).astype(np.int64)


def _output(model: Model) -> Tensor:
    return model.graph.tensors[model.graph.outputs[0]]


def _real_outputs(model: Model, array: Array) -> Array:
    """The first output as real values [elements]."""
    tensor = _output(model)
    quant = tensor.quant
    if tensor.dtype in ("int8", "int16", "uint8") and quant is not None and len(quant.scale) == 1:
        return dequantize_array(array, float(tensor.scale), tensor.zero_point).reshape(-1)
    return array.astype(np.float64).reshape(-1)


def _quality(
    model: Model, dataset: Dataset, scores: Array, labels: Array, notes: list[str]
) -> tuple[float | None, float | None, float | None, list[list[int]] | None]:
    """(accuracy, top-5, AUC, confusion); scores [samples, outputs] in real values."""
    count = scores.shape[1]
    inputs = input_tensors(model)
    is_binary = set(np.unique(labels)) <= {0, 1}
    if count > 1 and len(inputs) == 1 and count == inputs[0].elements and is_binary:
        x = dequantize_array(
            dataset.inputs[0].reshape(len(dataset), -1),
            float(inputs[0].scale) if inputs[0].dtype in ("int8", "int16") else 0.0,
            inputs[0].zero_point if inputs[0].dtype in ("int8", "int16") else 0,
        )
        notes.append("the output has the input's size: scored by mean squared reconstruction error")
        return None, None, auc_of(np.square(scores - x).mean(1), labels), None
    classes = max(count, 2)
    wrong = sorted(set(np.unique(labels)) - set(range(classes)))
    if wrong:
        message = f"labels {wrong[:5]} lie outside the model's {classes} classes"
        raise BadInput(Finding("labels", dataset.source, message, "classes count from 0"))
    predictions = scores.argmax(1) if count > 1 else (scores[:, 0] > THRESHOLD).astype(np.int64)
    accuracy = float((predictions == labels).mean())
    top5 = None
    if count > 5:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        top5 = float((best == labels[:, None]).any(1).mean())
    auc = None
    if is_binary and count <= 2:
        auc = auc_of(scores[:, -1], labels)
    confusion = None
    if classes <= MAX_CONFUSION_CLASSES:
        table = np.zeros((classes, classes), np.int64)
        np.add.at(table, (labels, predictions), 1)
        confusion = table.tolist()
    return accuracy, top5, auc, confusion


def auc_of(scores: Array, labels: Sequence[int] | Array) -> float | None:
    """Area under the ROC curve: P(score of a 1 > score of a 0), ties count half; None for one
    class.
    """
    labels = np.asarray(labels)
    ones, zeros = scores[labels == 1], np.sort(scores[labels == 0])
    if not len(ones) or not len(zeros):
        return None
    below = np.searchsorted(zeros, ones, "left")
    up_to = np.searchsorted(zeros, ones, "right")
    return float((below + up_to).sum() / (2 * len(ones) * len(zeros)))


def _cpu_seconds() -> float:
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def _peak_rss_bytes(is_here: bool) -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    import sys

    who = resource.RUSAGE_SELF if is_here else resource.RUSAGE_CHILDREN
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
