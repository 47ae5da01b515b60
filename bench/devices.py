"""Writes docs/performance.md: instructions, RAM and code on emulated cores, beside TFLM + CMSIS-NN.

    python bench/devices.py ../shared/data/bench --baseline ../shared/baselines/tflm.json

Emulated figures are executed instructions of one warm inference, never cycles.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import depth

import thimble
from thimble.bench import BASELINE_TARGETS, bench, read_baseline
from thimble.build import prepare
from thimble.report.bench import BenchResult
from thimble.targets import load_target

MODELS = (
    "kws_ref_model",
    "vww_96_int8",
    "pretrainedResnet_quant",
    "ad01_int8",
    "str_ww_ref_model",
    "person_detect",
    "micro_speech_quantized",
)
CORES = ("cortex-m55", "cortex-m4", "cortex-m0")
COMPILERS = ("clang", "gcc")


def measure(path: Path, core: str, compiler: str, baseline: str | None, **options: Any) -> Any:
    """One model on one core."""
    model = thimble.load(str(path))
    report = bench([model], [core], compiler=compiler, baseline=baseline, **options)
    return report.results[0]


def row(cells: Sequence[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def number(value: float | None, digits: int = 0) -> str:
    """Thousands separated, or a dash."""
    return "-" if value is None else f"{value:,.{digits}f}"


def ratio(ours: int | None, theirs: int | None) -> str:
    """The peer's figure over ours."""
    return f"{theirs / ours:.2f}" if ours and theirs else "-"


def core_table(results: Mapping[str, Mapping[str, BenchResult]]) -> list[str]:
    """One row a model: both compilers, the peer, and the better one's ratio."""
    lines = [
        row(["model", "clang", "gcc", "TFLM + CMSIS-NN", "TFLM / ours", "code bytes", "TFLM's",
             "arena", "TFLM's", "stack"]),
        row(["---", *["---:"] * 9]),
    ]  # fmt: skip
    for name, by_compiler in results.items():
        counts = {c: r.instructions or 0 for c, r in by_compiler.items()}
        best = by_compiler[min(counts, key=lambda c: counts[c])]
        peer = best.baseline or {}
        lines.append(
            row(
                [
                    name,
                    number(counts.get("clang")),
                    number(counts.get("gcc")),
                    number(peer.get("instructions")),
                    ratio(best.instructions, peer.get("instructions")),
                    number(best.code_bytes),
                    number(peer.get("code_bytes")),
                    number(best.arena_bytes),
                    number(peer.get("arena_bytes")),
                    number(best.stack_bytes),
                ]
            )
        )
    return lines


def by_kind(path: Path, result: BenchResult) -> dict[str, depth.Total]:
    """Layer kind -> instructions, MACs and floor of a measured model."""
    prepared = prepare(thimble.load(str(path)), load_target(result.runner))
    macs = [layer.macs for layer in prepared.firmware.layers]
    return depth.ours(result.runner, prepared.model.graph, result.layers, macs)


def peer_by_kind(records: Sequence[Mapping[str, Any]], file: str, core: str) -> dict[str, Any]:
    """The same of the peer's measurement of the file."""
    for r in records:
        is_it = r.get("model_file") == file and r.get("target") == BASELINE_TARGETS[core]
        if is_it and r.get("config") == "default" and "ops" in r:
            return depth.theirs(r["ops"])
    return {}


def main() -> int:
    """Measure everything and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--baseline", help="JSON records of the peer")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/performance.md"))
    parser.add_argument("--cores", default=",".join(CORES))
    arguments = parser.parse_args()
    records = read_baseline(arguments.baseline) if arguments.baseline else []
    lines = [
        "# Instructions, RAM and code on emulated cores",
        "",
        "Made by `python bench/devices.py ../shared/data/bench --baseline"
        " ../shared/baselines/tflm.json`.",
        "Instructions are executed guest instructions of one warm inference, counted exactly by a",
        "QEMU plugin; they are not cycles. Both compilers' counts are given; code, arena and stack",
        "are those of the compiler with fewer instructions. The peer's figures are TFLM with",
        "CMSIS-NN compiled by gcc 12.2 at TFLM's default flags; its arena is the least that works.",
        "MACs are those left after shrinking; the peer's count is over the MACs that it does. The",
        "floor counts the instructions that multiply, load what is multiplied, requantize and",
        "store, in the best arrangement that we know of the core's registers (`bench/depth.py`).",
        "",
    ]
    for core in arguments.cores.split(","):
        results: dict[str, dict[str, BenchResult]] = {}
        kinds: list[tuple[str, Mapping[str, depth.Total], Mapping[str, depth.Total]]] = []
        for name in MODELS:
            path = arguments.models / f"{name}.tflite"
            results[name] = {
                compiler: measure(path, core, compiler, arguments.baseline)
                for compiler in COMPILERS
            }
            best = min(results[name].values(), key=lambda r: r.instructions or 0)
            peer = peer_by_kind(records, path.name, core)
            kinds.append((name, by_kind(path, best), peer))
            print(f"{core} {name}: {best.instructions:,}", file=sys.stderr)
        lines += [f"## {core}", "", *core_table(results), ""]
        lines += [
            "Instructions per multiply-accumulate by kind of layer, of the better compiler:",
            "",
        ]
        lines += [*depth.table(kinds), "", depth.BETWEEN[core], ""]
    arguments.output.write_text("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
