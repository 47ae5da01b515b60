"""Writes docs/memory.md: arena bytes of the open models, whole, streamed and with pushed input.

python bench/memory.py ../shared/data/bench --baseline ../shared/baselines/tflm.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import thimble
from thimble.bench import bench
from thimble.errors import UnsupportedModel
from thimble.report import BenchResult

MODELS = (
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "person_detect",
    "str_ww_ref_model",
    "micro_speech_quantized",
    "ad01_int8",
)
CORES = ("cortex-m4", "cortex-m55")

TECHNIQUES = """
## What lies where

* **In place**: the output of an element-wise call takes the memory of an operand that dies there.
* **Overlap**: a kernel that reads rows (or the patches of a position) before it writes frees its
  input as it goes, so the output may begin some bytes before the input and follow it through the
  same memory. How many, the call says (`lead`): exact for the geometry, rounded up to 4 bytes.
  3x3 and other depthwise layers of up to 50 columns, and convolutions that widen patches first
  (Cortex-M4, M0), or interleave rows (Cortex-M55), have one. It costs no instruction.
* **No copies**: pieces of a CONCATENATION are written where they end up, pieces of a SPLIT or a
  slice read where they are, where they lie one after the other in memory.
* **Streamed segments**: chains and diamonds run some rows at a time through rings. Depthwise rows
  take the place of the input row that they used last; all calls of a segment share one scratch
  memory. Segments are chosen for the least arena at which instructions grow by at most a tenth, as
  estimated; in what is free below it, more rows go at a time. `thimble build --stream auto` prints
  each segment with the bytes of its rows and its estimated instructions.

The shadow-memory runner (`runners/shadow.py`) executes a program with each byte of the arena tagged
with its tensor and row: no live byte is overwritten, no stale one read.
`THIMBLE_EXAMPLES=10000 pytest tests/test_streamed_programs.py` does so with as many random models,
whole, streamed and pushed, lowered for four cores.
"""


def cell(value: int | None) -> str:
    """Thousands separated, or a dash."""
    return "-" if value is None else f"{value:,}"


def measured(
    model: thimble.Model, core: str, baseline: str | None
) -> tuple[BenchResult, BenchResult, BenchResult | None]:
    """The whole program, the streamed one and the one with pushed rows, if it has any."""
    results: list[BenchResult | None] = []
    for options in ({}, {"stream": True}, {"stream_input": True}):
        try:
            report = bench([model], [core], compiler="gcc", baseline=baseline, **options)  # type: ignore[arg-type]
            results.append(report.results[0])
        except UnsupportedModel:
            results.append(None)
    whole, streamed, pushed = results
    assert whole is not None
    assert streamed is not None
    return whole, streamed, pushed


def growth(whole: BenchResult, other: BenchResult | None) -> str:
    """Instructions of `other` over those of `whole`."""
    if other is None or other.instructions is None or whole.instructions is None:
        return "-"
    return f"{other.instructions / whole.instructions - 1:+.1%}"


def main() -> int:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--baseline", help="JSON records of the peer")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/memory.md"))
    arguments = parser.parse_args()
    lines = [
        "# Arena bytes",
        "",
        "Made by `python bench/memory.py ../shared/data/bench --baseline"
        " ../shared/baselines/tflm.json`.",
        "Arena: all working memory but the stack, inputs and outputs included; with pushed input",
        "only the rows still needed. Same bits in every column. More instructions: executed on the",
        "emulated core, streamed over whole, both compiled by gcc.",
    ]
    for core in CORES:
        lines += [
            "",
            f"## {core}",
            "",
            "| model | TFLM's least arena | ours | `--stream` | more instructions |"
            " `--stream-input` | more instructions |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for name in MODELS:
            model = thimble.load(str(arguments.models / f"{name}.tflite"))
            whole, streamed, pushed = measured(model, core, arguments.baseline)
            peer = (whole.baseline or {}).get("arena_bytes")
            cells = [name, cell(peer), cell(whole.arena_bytes), cell(streamed.arena_bytes)]
            cells += [growth(whole, streamed), cell(pushed.arena_bytes if pushed else None)]
            cells += [growth(whole, pushed)]
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr)
    arguments.output.write_text("\n".join(lines) + "\n" + TECHNIQUES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
