"""Run a model on any runner, over all samples of a data set."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thimble.formats.data import Dataset, as_dataset
from thimble.graph import Model
from thimble.report import RunReport
from thimble.runners import make_runner, outputs_of
from thimble.trace import Trace

Array = np.ndarray
Progress = Callable[[int, int], None]  # samples done, samples in all


def run(
    model: Model,
    data: Any = None,
    on: str = "host",
    *,
    trace: bool = False,
    progress: Progress = lambda done, count: None,
) -> Trace:
    """Outputs of every sample `[samples, ...]` by name; with `trace` every layer's outputs too.

    Stateful models keep their state from sample to sample. Raises BadInput or ToolMissing.
    """
    dataset = as_dataset(data, model)
    with make_runner(on, model) as runner:
        traces = []
        found = map(runner.trace, dataset) if trace else outputs_of(runner, dataset)
        for result in found:
            traces.append(result)
            progress(len(traces), len(dataset))
    return joined(traces, dataset)


def joined(traces: Sequence[Trace], dataset: Dataset) -> Trace:
    """One trace whose tensors have a samples axis; as it is where the data had none."""
    first = traces[0]
    if not dataset.has_samples and len(traces) == 1:
        return first

    def join(arrays: list[Array]) -> Array:
        if arrays[0].ndim and arrays[0].shape[0] == 1:  # the batch axis of one sample
            return np.concatenate(arrays)
        return np.stack(arrays)

    outputs = {name: join([t.outputs[name] for t in traces]) for name in first.outputs}
    tensors = {name: join([t.tensors[name] for t in traces]) for name in first.tensors}
    return Trace(outputs, tensors, first.layers, first.runner, first.meta)


def run_report(model: Model, trace: Trace, dataset: Dataset, runner: str) -> RunReport:
    """The report of `thimble run`."""
    shown = {**trace.tensors, **trace.outputs}
    return RunReport(
        outputs=dict(trace.outputs),
        sha256={
            name: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
            for name, array in trace.outputs.items()
        },
        model=model.source,
        runner=runner,
        samples=len(dataset),
        dtypes={name: str(array.dtype) for name, array in shown.items()},
        tensors=dict(trace.tensors),
        meta=dict(trace.meta),
        provenance={"input": "; ".join([dataset.source, *dataset.notes]), "outputs": "measured"},
    )


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """The content of a .npz file with `arrays`."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
