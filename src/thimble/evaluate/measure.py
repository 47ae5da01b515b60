"""Runs a model over its samples in chunks, and keeps what it gave and cost."""

from __future__ import annotations

import time
from collections.abc import Callable

from thimble.evaluate.progress_file import Record
from thimble.evaluate.usage import Usage
from thimble.formats.data import Dataset
from thimble.graph import Model
from thimble.runners import EMULATED_SAMPLES, emulated_targets, make_runner, outputs_of
from thimble.runners.peer import PeerRunner


def measure(
    model: Model,
    name: str,
    dataset: Dataset,
    record: Record,
    save: Callable[..., None],
    progress: Callable[[int], None],
) -> None:
    """Bring `record` to all samples of `dataset`, those it has already left out.

    `save` is called after every chunk, and with now=True at the end or when something stops us.
    Raises what the runner raises.
    """
    count = len(dataset)
    if len(record.outputs) >= count:
        progress(count)
        return
    is_emulated = name in emulated_targets()
    cpu_before, wall_before = record.cpu_seconds or 0.0, record.wall_seconds
    with make_runner(name, model) as runner:
        runner.outputs(dataset.sample(0))  # warm up: compiling and loading are not latency
        usage = Usage(runner.process_id() if isinstance(runner, PeerRunner) else None)
        try:
            while (done := len(record.outputs)) < count:
                chunk = range(done, min(done + EMULATED_SAMPLES, count))
                start = time.perf_counter()
                for trace in outputs_of(runner, (dataset.sample(i) for i in chunk)):
                    seconds = time.perf_counter() - start
                    record.outputs.append(next(iter(trace.outputs.values())))
                    record.seconds.append(seconds)
                    record.instructions.append(int(trace.meta.get("instructions") or 0))
                    progress(len(record.outputs))
                    start = time.perf_counter()
                cpu = usage.cpu_seconds()
                if cpu is not None and not is_emulated:
                    record.cpu_seconds = cpu_before + cpu
                record.wall_seconds = wall_before + usage.wall_seconds()
                if not is_emulated and (peak := usage.peak_rss_bytes()) is not None:
                    record.peak_rss_bytes = max(peak, record.peak_rss_bytes or 0)
                save()
        finally:
            save(now=True)
