"""Writes docs/performance_host.md: time of an inference on this machine, beside LiteRT and TFLM.

    python bench/host.py ../shared/data/bench

One thread. All columns of a model take turns in one process, so that a busy machine slows all of
them; a ratio is the median of the ratios of single turns.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import thimble
from thimble.build import prepare
from thimble.formats.data import random_dataset
from thimble.host import host_layers, this_machine
from thimble.runners.repeat_unit import Repeater
from thimble.targets import load_target
from thimble.toolchain import compiler

INT8 = ("kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8", "str_ww_ref_model")
FLOAT = ("pretrainedResnet", "vww_96_float", "ad01_fp32")
SMALLEST = "hello_world_int8"
TURNS = 31
TURN_SECONDS = 0.005
Timer = Callable[[int], float]  # how often -> seconds of one inference


@dataclass(frozen=True)
class Row:
    """Seconds of each turn by column; whether our outputs are TFLM's bytes."""

    model: str
    turns: dict[str, np.ndarray]
    equal: bool | None

    def least_us(self, column: str) -> float:
        """Of the fastest turn: the least disturbed by what else the machine does."""
        return float(self.turns[column].min()) * 1e6

    def ratio(self, column: str, to: str) -> float:
        """Median over the turns of time of `column` by that of `to` in the same turn."""
        return float(np.median(self.turns[column] / self.turns[to]))


def python_timer(invoke: Callable[[], Any]) -> Timer:
    """Times a loop of calls from Python."""

    def timer(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            invoke()
        return (time.perf_counter() - start) / count

    return timer


def litert(content: bytes, sample: Sequence[np.ndarray]) -> Timer:
    """LiteRT with its default kernels (XNNPACK), one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), sample, strict=True):
        interpreter.set_tensor(detail["index"], array)
    return python_timer(interpreter.invoke)


def tflm(content: bytes, sample: Sequence[np.ndarray]) -> tuple[Timer, Callable[[int], Any]]:
    """TFLM's wheel, and its outputs. Raises RuntimeError for a model that it cannot run."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=64 << 20)

    def invoke() -> None:  # its inputs share memory with what it computes, so they are set anew
        for i, array in enumerate(sample):
            interpreter.set_input(array, i)
        interpreter.invoke()

    return python_timer(invoke), interpreter.get_output


def measure(path: Path, layers: Sequence[str]) -> Row:
    """All columns of one model, in turns."""
    model = thimble.load(str(path))
    sample = random_dataset(model).sample(0)
    content = path.read_bytes()
    ours = {
        layer: Repeater(
            prepare(model, replace(this_machine(), arch=layer), "auto").firmware, sample, layer
        )
        for layer in layers
    }
    timers: dict[str, Timer] = {layer: repeater.seconds for layer, repeater in ours.items()}
    timers["litert"] = litert(content, sample)
    timers["tflm"], outputs = tflm(content, sample)
    counts = {}
    for name, timer in timers.items():
        timer(1)
        counts[name] = max(1, int(TURN_SECONDS / timer(3)))
    turns: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(TURNS):
        for name, timer in timers.items():
            turns[name].append(timer(counts[name]))
    equal = all(
        array.tobytes() == np.asarray(outputs(i)).tobytes()
        for repeater in ours.values()
        for i, array in enumerate(repeater.outputs())
    )
    return Row(path.stem, {name: np.array(values) for name, values in turns.items()}, equal)


def table(rows: Sequence[Row], layers: Sequence[str], call_seconds: float) -> list[str]:
    """One row a model: times, and ratios of the fastest layer; means with and without the call."""
    best = layers[0]
    names = ["model", *(f"Thimble, {layer}" for layer in layers), "LiteRT", "TFLM"]
    names += [f"{best} / LiteRT", f"TFLM / {best}", "bytes are TFLM's"]
    lines = [f"| {' | '.join(names)} |", "|---|" + "---:|" * (len(names) - 1)]
    for row in rows:
        cells = [row.model]
        cells += [f"{row.least_us(name):,.2f}" for name in (*layers, "litert", "tflm")]
        cells += [f"{row.ratio(best, 'litert'):.2f}", f"{row.ratio('tflm', best):.0f}"]
        cells += ["yes" if row.equal else "no"]
        lines.append(f"| {' | '.join(cells)} |")
    ratios = np.array([row.ratio(best, "litert") for row in rows])
    bare = np.array(
        [np.median(row.turns[best] / (row.turns["litert"] - call_seconds)) for row in rows]
    )
    means = [float(np.exp(np.log(values).mean())) for values in (ratios, bare)]
    return [
        *lines,
        "",
        f"Geometric mean of {best} / LiteRT: {means[0]:.2f}; {means[1]:.2f} with"
        f" {call_seconds * 1e6:.2f} us taken off all of LiteRT's times.",
    ]


def processor() -> str:
    """The model name that Linux gives."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def main() -> int:
    """Measure everything and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/performance_host.md"))
    parser.add_argument("--layers", default=",".join(host_layers()))
    arguments = parser.parse_args()
    layers = arguments.layers.split(",")
    rows = {}
    for name in (SMALLEST, *INT8, *FLOAT):
        rows[name] = row = measure(arguments.models / f"{name}.tflite", layers)
        print(
            f"{name}: {row.least_us(layers[0]):.2f} us, LiteRT {row.least_us('litert'):.2f} us,"
            f" ratio {row.ratio(layers[0], 'litert'):.2f},"
            f" TFLM / ours {row.ratio('tflm', layers[0]):.0f}",
            file=sys.stderr,
        )
    small = rows[SMALLEST]
    call = float(small.turns["litert"].min())
    versions = {
        name: importlib.metadata.version(name) for name in ("ai-edge-litert", "tflite-micro")
    }
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        "# Time of an inference on the host",
        "",
        "Made by `python bench/host.py ../shared/data/bench`"
        f" on {datetime.date.today().isoformat()}: {processor()}, {platform.system()},",
        f"{compiler(load_target('host')).name}; {listed}.",
        "",
        f"Microseconds, one thread, the fastest of {TURNS} turns. In each turn every column runs",
        f"for about {TURN_SECONDS * 1e3:.0f} ms, one after the other, so that a busy machine slows"
        " all of them; ratios are medians",
        "of the ratios of single turns, not of the fastest ones. Thimble is timed by a loop in C",
        "round NAME_run; LiteRT (default kernels, XNNPACK, `num_threads=1`) and TFLM (the wheel's",
        "reference kernels) by a loop of `invoke()` in Python. What that call costs is within",
        f"LiteRT's {small.least_us('litert'):.2f} us for {SMALLEST}, which Thimble runs in"
        f" {small.least_us(layers[0]):.2f} us.",
        "",
        "Layers: avx512 is AVX-512 with VNNI, avx2 is AVX2, scalar is plain C. All give the same"
        " bytes.",
        "",
        "## int8",
        "",
        *table([rows[name] for name in INT8], layers, call),
        "",
        "## float32",
        "",
        "Sums are added in the order of TFLM's reference kernels, product and sum rounded apart (no"
        " fused",
        "multiply-add), so that the outputs are the same bits on every core.",
        "",
        *table([rows[name] for name in FLOAT], layers, call),
        "",
    ]
    arguments.output.write_text("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
