"""How long `thimble check` and `thimble lock` take, process start-up included, over folders.

    python bench/check.py ../shared/data/models ../shared/data/bench

Wall time of one process each; the largest and the median, and the five slowest models.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(*arguments: str) -> float:
    """Wall time of one `thimble` process; findings are no failure, errors of ours are."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "thimble", *arguments], capture_output=True, text=True
    )
    elapsed = time.perf_counter() - start
    if done.returncode not in (0, 1) or "internal error" in done.stderr:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    return elapsed


def main() -> None:
    """Measure every model of the folders named on the command line."""
    models = sorted(path for folder in sys.argv[1:] for path in Path(folder).glob("*.tflite"))
    with tempfile.TemporaryDirectory() as scratch:
        lock = str(Path(scratch) / "model.lock")
        for verb, arguments in (
            ("check", []),
            ("lock", ["-q", "-o", lock]),
        ):
            times = [(seconds(verb, str(model), *arguments), model.name) for model in models]
            times.sort(reverse=True)
            median = statistics.median(t for t, _ in times)
            print(f"{verb}: {len(times)} models, median {median:.2f} s, most {times[0][0]:.2f} s")
            for t, name in times[:5]:
                print(f"  {t:.2f} s  {name}")


if __name__ == "__main__":
    main()
