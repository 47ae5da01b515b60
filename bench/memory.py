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

MODELS = (
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "person_detect",
    "str_ww_ref_model",
    "micro_speech_quantized",
    "ad01_int8",
)


def cell(value: int | None) -> str:
    """Thousands separated, or a dash."""
    return "-" if value is None else f"{value:,}"


def main() -> int:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--baseline", help="JSON records of the peer")
    parser.add_argument("--core", default="cortex-m4")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/memory.md"))
    arguments = parser.parse_args()
    lines = [
        f"# Arena bytes on {arguments.core}",
        "",
        "Made by `python bench/memory.py ../shared/data/bench --baseline"
        " ../shared/baselines/tflm.json`.",
        "Arena: all working memory but the stack, inputs and outputs included; with pushed input",
        "only the rows still needed. Same bits in every column. More instructions: executed on the",
        "emulated core, streamed over whole.",
        "",
        "| model | TFLM's least arena | ours | `--stream` | more instructions |"
        " `--stream-input` | more instructions |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in MODELS:
        model = thimble.load(str(arguments.models / f"{name}.tflite"))
        results = []
        for options in ({}, {"stream": True}, {"stream_input": True}):
            try:
                report = bench(
                    [model],
                    [arguments.core],
                    compiler="gcc",
                    baseline=arguments.baseline,
                    **options,  # type: ignore[arg-type]
                )
                results.append(report.results[0])
            except UnsupportedModel:
                results.append(None)
        whole, streamed, pushed = results
        more = [
            f"{r.instructions / whole.instructions - 1:+.1%}" if r else "-"
            for r in (streamed, pushed)
        ]
        peer = (whole.baseline or {}).get("arena_bytes")
        cells = [name, cell(peer), cell(whole.arena_bytes), cell(streamed.arena_bytes), more[0]]
        cells += [cell(pushed.arena_bytes if pushed else None), more[1]]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr)
    arguments.output.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
