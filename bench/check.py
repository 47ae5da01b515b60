"""How long `thimble check` and `thimble lock` take, process start-up included, over folders.

    python bench/check.py ../shared/data/models ../shared/data/bench

Wall and processor time of one process each: the largest, the median, the slowest models.
Where other work has the processors, processor time is what to look at.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(*arguments: str) -> tuple[float, float]:
    """(processor time, wall time) of one `thimble` process; findings are no failure, errors of
    ours are.
    """
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "thimble", *arguments], capture_output=True, text=True
    )
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1) or "internal error" in done.stderr:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, elapsed


def main() -> None:
    """Measure every model of the folders named on the command line."""
    models = sorted(path for folder in sys.argv[1:] for path in Path(folder).glob("*.tflite"))
    with tempfile.TemporaryDirectory() as scratch:
        lock = str(Path(scratch) / "model.lock")
        for verb, arguments in (
            ("check", []),
            ("lock", ["-q", "-o", lock]),
        ):
            times = [(*seconds(verb, str(model), *arguments), model.name) for model in models]
            times.sort(reverse=True)
            for what, index in (("processor", 0), ("wall", 1)):
                found = [row[index] for row in times]
                median, most = statistics.median(found), max(found)
                print(
                    f"{verb}: {len(times)} models, {what}: median {median:.2f} s, most {most:.2f} s"
                )
            for used, elapsed, name in times[:5]:
                print(f"  {used:.2f} s ({elapsed:.2f} s wall)  {name}")


if __name__ == "__main__":
    main()
