"""Quality, latency, CPU and memory of models on labelled data, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from thimble.errors import BadInput, Finding
from thimble.evaluate.intervals import auc_of
from thimble.evaluate.labels import TASKS, Wanted, wanted
from thimble.evaluate.measure import measure
from thimble.evaluate.paired import differences
from thimble.evaluate.progress_file import Identity, ProgressFile, Record, identity_of
from thimble.evaluate.quality import Quality, quality
from thimble.formats import load_model
from thimble.formats.convert import dequantize_array
from thimble.formats.data import Dataset, as_dataset
from thimble.graph import Model, Tensor
from thimble.report import EvaluateReport, EvaluateResult, Latency
from thimble.runners import PEERS, check_runner, emulated_targets, split_runner

__all__ = ["TASKS", "auc_of", "candidates", "evaluate"]

Array = np.ndarray
Progress = Callable[[int, int], None]

TOP_K = 5


@dataclass(frozen=True, eq=False)
class Candidate:
    """One model on one runner, and the samples in its dtype."""

    model: Model
    runner: str
    dataset: Dataset

    @property
    def name(self) -> str:
        return f"{self.model.source}@{self.runner}"


def candidates(models: Any, on: str | Sequence[str]) -> list[tuple[Model, str]]:
    """Every model on every runner of `on`, a model given as "PATH@RUNNER" on that one alone.

    Raises BadInput for unknown runners.
    """
    runners = [on] if isinstance(on, str) else list(on)
    several = models if isinstance(models, (list, tuple)) else [models]
    found: list[tuple[Model, str]] = []
    for given in several:
        named = None
        if isinstance(given, str):
            given, named = split_runner(given)
        for runner in [named] if named else runners:
            check_runner(runner)
            found.append((load_model(given), runner))
    if not found:
        hint = "name a model and a runner"
        raise BadInput(Finding("candidates", "evaluate", "there is nothing to evaluate", hint))
    return found


def evaluate(
    models: Any,
    data: Any,
    on: str | Sequence[str] = "host",
    *,
    samples: int | None = None,
    task: str = "auto",
    pixels: str = "auto",
    top_k: int = TOP_K,
    resume: str | None = None,
    progress: Progress = lambda done, count: None,
) -> EvaluateReport:
    """How well `models` (one or a list, see `candidates`) do on `data`, whose labels are in `y`.

    The labels say what is asked (`labels.wanted`). Of several models or runners each is compared
    with the first, sample by sample. `resume` names a file that keeps what is done, from which a
    later call goes on. Raises BadInput or ToolMissing.
    """
    pairs = candidates(models, on)
    datasets: dict[int, Dataset] = {}
    for model, _ in pairs:
        if id(model) not in datasets:
            datasets[id(model)] = as_dataset(data, model, pixels)
    all_of = [Candidate(model, runner, datasets[id(model)]) for model, runner in pairs]

    def identities() -> list[Identity]:
        return [identity_of(c.model, c.runner, c.dataset) for c in all_of]

    file = ProgressFile(resume, identities, len(all_of))
    cut = [Candidate(c.model, c.runner, c.dataset.first(samples)) for c in all_of]
    asked = [wanted(c.model, c.dataset, task) for c in cut]
    if len({w.task for w in asked}) > 1:
        tasks = ", ".join(f"{c.name}: {w.task}" for c, w in zip(cut, asked))
        message = f"the models are of different kinds ({tasks})"
        raise BadInput(Finding("labels", cut[0].dataset.source, message, "choose one with --task"))
    total = sum(len(c.dataset) for c in cut)
    results, qualities = [], []
    before = 0

    def tick(done: int) -> None:
        progress(before + done, total)

    for candidate, want, record in zip(cut, asked, file.records):
        measure(candidate.model, candidate.runner, candidate.dataset, record, file.saved, tick)
        before += len(candidate.dataset)
        outputs = _real(_output(candidate.model), np.stack(record.outputs[: len(want.labels)]))
        inputs = _inputs(candidate) if want.task == "anomaly" else outputs
        found = quality(want, outputs, inputs, candidate.dataset.classes, top_k)
        qualities.append(found)
        results.append(_result(candidate, want, record, found))
    compared = [
        difference
        for candidate, found in zip(cut[1:], qualities[1:])
        for difference in differences(
            (cut[0].name, qualities[0]), (candidate.name, found), asked[0].labels
        )
    ]
    first = {f.name: getattr(results[0], f.name) for f in fields(results[0])}
    return EvaluateReport(**first, results=results, differences=compared)


def _result(candidate: Candidate, want: Wanted, record: Record, found: Quality) -> EvaluateResult:
    runner, count = candidate.runner, len(want.labels)
    is_emulated = runner in emulated_targets()
    seconds = np.array(record.seconds[:count])
    percentiles = (
        [None] * 3 if is_emulated else [float(x) for x in np.percentile(seconds, (50, 95, 99))]
    )
    cpu = record.cpu_seconds
    return EvaluateResult(
        samples=count,
        accuracy=found.accuracy,
        top5=found.top5,
        auc=found.auc,
        confusion=found.confusion,
        latency_seconds=Latency(*percentiles),
        cpu_percent=None
        if cpu is None or not record.wall_seconds
        else 100 * cpu / record.wall_seconds,
        peak_rss_bytes=record.peak_rss_bytes,
        model=candidate.model.source,
        runner=runner,
        task=want.task,
        accuracy_interval=found.accuracy_interval,
        top_k=found.top_k,
        auc_interval=found.auc_interval,
        per_class=found.per_class,
        mae=found.mae,
        mae_interval=found.mae_interval,
        rmse=found.rmse,
        rmse_interval=found.rmse_interval,
        instructions=int(np.median(record.instructions[:count])) if is_emulated else None,
        notes=[*candidate.dataset.notes, *found.notes],
        provenance=_provenance(candidate, found),
    )


def _provenance(candidate: Candidate, found: Quality) -> dict[str, str]:
    told = {"data": candidate.dataset.source}
    if found.accuracy is not None:
        told["accuracy_interval"] = "Wilson's score interval, 95 %"
    if found.auc is not None:
        told["auc"] = "of several classes the mean of one against the rest"
        told["auc_interval"] = "DeLong's variance, on the logit scale, 95 %"
    if found.mae is not None:
        told["mae_interval"] = told["rmse_interval"] = "percentile bootstrap, 95 %"
    if candidate.runner in emulated_targets():
        told["latency_seconds"] = "an emulator's time says nothing"
        told["instructions"] = "executed guest instructions of one warm run, median of the samples"
        return told
    process = "the peer's process" if candidate.runner in PEERS else "this process"
    told["latency_seconds"] = "wall clock of one call, conversion of arrays included; warmed up"
    told["cpu_percent"] = f"CPU time of {process} over wall clock time"
    told["peak_rss_bytes"] = f"largest resident set of {process}"
    return told


def _output(model: Model) -> Tensor:
    return model.graph.tensors[model.graph.outputs[0]]


def _inputs(candidate: Candidate) -> Array:
    """The first input of every sample as real values [samples, elements]."""
    tensor = candidate.model.graph.tensors[candidate.model.graph.inputs[0]]
    return _real(tensor, candidate.dataset.inputs[0])


def _real(tensor: Tensor, arrays: Array) -> Array:
    """Values of `tensor` for every sample as float64 [samples, elements]."""
    rows = arrays.reshape(len(arrays), -1)
    quant = tensor.quant
    if tensor.dtype in ("int8", "int16", "uint8") and quant is not None and len(quant.scale) == 1:
        return dequantize_array(rows, float(tensor.scale), tensor.zero_point)
    return rows.astype(np.float64)
