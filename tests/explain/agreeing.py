"""Models that two runners compute alike must get no cause: the explanation raises no false alarm.

python tests/explain/agreeing.py ../shared/data [--a tflm] [--b reference] [--only NAME]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from open_models import EXCEPTIONS, model_files

from thimble.compare import compare
from thimble.errors import ThimbleError
from thimble.report import CompareReport

SAMPLES = 2


def explain_pair(path: Path, a: str, b: str) -> CompareReport | None:
    """The explained comparison of one file on two runners; None where one of them refuses it."""
    try:
        return compare((str(path), a), (str(path), b), samples=SAMPLES, explain=True)
    except ThimbleError:
        return None


def false_alarms(report: CompareReport) -> list[str]:
    """The causes of a report on runs that agree; empty is right."""
    return [f"{c.rule} at {c.index} {c.op}: {c.message}" for c in report.causes]


def main() -> int:
    """Print every false alarm, and the counts; exit status 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--a", default="tflm")
    parser.add_argument("--b", default="reference")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    agree = alarms = refused = differ = 0
    for path in model_files(arguments.data):
        if arguments.only not in path.stem or path.stem in EXCEPTIONS:
            continue
        started = time.perf_counter()
        report = explain_pair(path, arguments.a, arguments.b)
        seconds = time.perf_counter() - started
        if report is None:
            refused += 1
            continue
        agree += report.equal
        differ += not report.equal
        found = false_alarms(report) if report.equal else []
        alarms += bool(found)
        for line in found[:3]:
            print(f"FALSE ALARM {path.stem}: {line} ({seconds:.1f} s)")
        if not report.equal:
            first = report.causes[0] if report.causes else None
            said = f"{first.rule} at {first.index} {first.op}" if first else "no cause"
            print(f"differs {path.stem}: {said} ({len(report.causes)})")
    print(f"{agree} agree, {alarms} with a false alarm; {differ} differ; {refused} refused")
    return int(alarms > 0)


if __name__ == "__main__":
    sys.exit(main())
