"""Run a model on any runner, over all samples of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thimble.formats.data import Dataset, as_dataset
from thimble.graph import Model
from thimble.runners import make_runner
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
        for i, sample in enumerate(dataset):
            traces.append(runner.trace(sample) if trace else runner.outputs(sample))
            progress(i + 1, len(dataset))
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
