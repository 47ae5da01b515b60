"""Run the float graph on samples and observe the range of every float tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thimble.formats.data import Dataset
from thimble.graph import Model
from thimble.quantize.observe import Observed
from thimble.runners.reference import ReferenceRunner

Progress = Callable[[int, int], None]  # (samples done, samples in all)


def calibrate(
    model: Model,
    dataset: Dataset,
    *,
    with_histograms: bool = False,
    progress: Progress | None = None,
) -> dict[int, Observed]:
    """tensor index -> what was seen of it, for every float32 tensor that is no constant.

    Raises UnsupportedModel when a layer cannot run.
    """
    graph = model.graph
    observed = {
        t: Observed(with_histograms)
        for t, tensor in enumerate(graph.tensors)
        if tensor.dtype == "float32" and not tensor.is_constant
    }
    runner = ReferenceRunner(model)
    for i in range(len(dataset)):
        with np.errstate(
            all="ignore"
        ):  # what is not finite is reported by tensor, not by operation
            values = runner.evaluate(dataset.sample(i))
        for t, seen in observed.items():
            if t in values:
                seen.add(values[t])
        if progress is not None:
            progress(i + 1, len(dataset))
    return observed
