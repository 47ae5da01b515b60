"""Trained models of other people, run by every runner of ours and by the peers.

`check(path, inputs)` says what differs. As a program it writes docs/conformance.md for all of them:

    python tests/open_models.py ../shared/data -o docs/conformance.md
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from peers import PeerFailed, isolated

from thimble.codegen.c import emit
from thimble.errors import ThimbleError
from thimble.formats.tflite import dumps, loads
from thimble.graph import Graph, Model
from thimble.lower import lower, unsupported
from thimble.memory import place
from thimble.passes import run_passes
from thimble.runners.host_library import HostLibrary
from thimble.runners.program import ProgramRunner
from thimble.runners.reference import ReferenceRunner

Array = np.ndarray
FLOAT_RTOL = 1e-5  # of the largest value of the output
PEERS = {"tflm": ("tflm", {}), "litert-ref": ("litert", {"resolver": "ref"})}

# Models that a peer computes otherwise, by stem, and why we are right. They are compared with what
# LiteRT's reference makes of the folded float model that our passes write.
HYBRID = "hybrid: LiteRT quantizes the float activations at run time, we keep them in float"
EXCEPTIONS = {
    "DTLN__model_quant_1__5008c2": HYBRID,
    "examples__mobilenet_v2_035_96_embedder_with_metadata__0e504d": HYBRID,
    "tiny__kws_ref_model_float32__e5004c": HYBRID,
    "tiny__model_ToyCar_quant__195e33": HYBRID,
    "ai-edge-quantizer__mnist_quantized__90b631": "TFLM's DEQUANTIZE uses the first of several"
    " scales for all channels",
}


@dataclass
class Outcome:
    """What one model did. `worst` maps (runner, peer) to the largest difference."""

    name: str
    refused: list[str] = field(default_factory=list)  # findings, where it is not supported
    peers: list[str] = field(default_factory=list)  # peers that run it
    worst: dict[tuple[str, str], float] = field(default_factory=dict)
    is_float: bool = False
    arena_bytes: int = 0
    seconds: float = 0.0


def random_inputs(graph: Graph, seed: int) -> list[Array]:
    """Inputs over the whole range of their dtype; floats in [-1, 1], indices small."""
    rng = np.random.default_rng(seed)
    values = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if tensor.dtype == "float32":
            values.append(rng.uniform(-1, 1, tensor.shape).astype(np.float32))
        elif tensor.dtype == "bool":
            values.append(rng.integers(0, 2, tensor.shape).astype(bool))
        elif tensor.dtype in ("int32", "int64"):
            values.append(rng.integers(0, 10, tensor.shape).astype(tensor.dtype))
        else:
            info = np.iinfo(tensor.dtype)
            values.append(rng.integers(info.min, info.max + 1, tensor.shape).astype(tensor.dtype))
    return values


def difference(found: list[Array], wanted: list[Array]) -> float:
    """Largest difference: LSB for integers, relative to the largest value for floats."""
    worst = 0.0
    for ours, theirs in zip(found, wanted, strict=True):
        ours, theirs = np.asarray(ours).reshape(-1), np.asarray(theirs).reshape(-1)
        if theirs.size == 0 or ours.tobytes() == theirs.tobytes():
            continue
        if theirs.dtype.kind != "f":
            lsb = np.abs(ours.astype(np.int64) - theirs.astype(np.int64)).max()
            worst = max(worst, float(lsb))
            continue
        if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
            return float("inf")
        gap = np.nanmax(np.abs(ours.astype(np.float64) - theirs), initial=0.0)
        size = np.nanmax(np.abs(theirs), initial=0.0)
        worst = max(worst, float(gap / max(float(size), 1e-30)))
    return worst


def supported(model: Model) -> tuple[Model, list[str]]:
    """The model after our passes, and why it is refused (empty: it is not)."""
    try:
        ready = run_passes(model)
    except ThimbleError as error:
        return model, [finding.message for finding in error.findings]
    return ready, [f"{f.where}: {f.message}" for f in unsupported(ready)]


def check(path: Path, inputs: int = 10, slow_inputs: int = 1) -> Outcome:
    """Compare every runner with every peer on `inputs` seeded samples.

    `slow_inputs` of them go through the NumPy runners as well.
    """
    started = time.perf_counter()
    outcome = Outcome(path.stem)
    data = path.read_bytes()
    try:
        model = loads(data, path.name)
    except ThimbleError as error:
        outcome.refused = [finding.message for finding in error.findings]
        return outcome
    ready, outcome.refused = supported(model)
    if outcome.refused:
        return outcome
    graph = model.graph
    outcome.is_float = any(graph.tensors[t].dtype == "float32" for t in graph.outputs)
    samples = [random_inputs(graph, seed) for seed in range(inputs)]
    program = lower(ready, "model")
    memory = place(program)
    outcome.arena_bytes = memory.arena_bytes
    host = HostLibrary(emit(program, memory))
    ours = {
        "host": [host.run(sample) for sample in samples],
        "program": [ProgramRunner(program, memory).run(s) for s in samples[:slow_inputs]],
    }
    if not unsupported(model):
        reference = ReferenceRunner(model)
        ours["reference"] = [reference.run(sample) for sample in samples[:slow_inputs]]
    judged = dumps(ready) if path.stem in EXCEPTIONS else data
    for peer, (name, options) in PEERS.items():
        try:
            theirs = [isolated(name, judged, sample, 120.0, **options) for sample in samples]
        except PeerFailed:
            continue
        outcome.peers.append(peer)
        for runner, found in ours.items():
            gaps = [difference(a, b) for a, b in zip(found, theirs)]
            outcome.worst[runner, peer] = max(gaps, default=0.0)
    outcome.seconds = time.perf_counter() - started
    return outcome


def judge(outcome: Outcome) -> str:
    """Empty where the model agrees with the peer that counts: TFLM, else LiteRT's reference."""
    if not outcome.peers:
        return ""
    peer = outcome.peers[0]
    allowed = FLOAT_RTOL if outcome.is_float else 0.0
    wrong = {
        runner: gap
        for (runner, against), gap in outcome.worst.items()
        if against == peer and gap > allowed
    }
    return f"differs from {peer} (allowed {allowed}): {wrong}" if wrong else ""


def model_files(data: Path) -> list[Path]:
    """The open models, by name."""
    return sorted([*data.glob("models/*.tflite"), *data.glob("models_unit/*.tflite")])


def table(outcomes: list[Outcome]) -> str:
    """docs/conformance.md."""
    ran = [o for o in outcomes if not o.refused and o.peers]
    agree = [o for o in ran if not judge(o)]
    lines = [
        "# Open models: our outputs beside TFLM's and LiteRT's",
        "",
        "Made by `python tests/open_models.py ../shared/data -o docs/conformance.md`.",
        "Largest difference over the samples: LSB for integer outputs, relative to the output's",
        "largest value for float outputs. The peer that counts is TFLM where it runs the model,",
        "else LiteRT with BUILTIN_REF kernels.",
        "",
        f"{len(outcomes)} models: {len(ran)} compared, {len(agree)} agree; "
        f"{sum(bool(o.refused) for o in outcomes)} refused with findings.",
        "",
        "| model | TFLM: host | program | reference | LiteRT ref: host | arena bytes |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for o in ran:
        cells = [
            _cell(o.worst.get(key))
            for key in (
                ("host", "tflm"),
                ("program", "tflm"),
                ("reference", "tflm"),
                ("host", "litert-ref"),
            )
        ]
        lines.append(f"| {o.name} | {' | '.join(cells)} | {o.arena_bytes:,} |")
    lines += ["", "## Exceptions", "", "Compared as the float model that our passes write.", ""]
    for o in ran:
        if o.name in EXCEPTIONS:
            lines.append(f"- `{o.name}`: {EXCEPTIONS[o.name]}")
    lines += ["", "## Refused", ""]
    for o in outcomes:
        if o.refused:
            more = f" (and {len(o.refused) - 1} more)" if len(o.refused) > 1 else ""
            lines.append(f"- `{o.name}`: {o.refused[0]}{more}")
    return "\n".join(lines) + "\n"


def _cell(gap: float | None) -> str:
    return "-" if gap is None else "0" if gap == 0 else f"{gap:.2g}"


def main() -> int:
    """Write the table; exit status 1 if a model differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--inputs", type=int, default=10)
    parser.add_argument("--slow-inputs", type=int, default=10)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    outcomes = []
    for path in model_files(arguments.data):
        if arguments.only in path.stem:
            outcome = check(path, arguments.inputs, arguments.slow_inputs)
            outcomes.append(outcome)
            verdict = "refused" if outcome.refused else judge(outcome) or "agrees"
            print(f"{outcome.seconds:6.1f} s  {outcome.name}: {verdict}", file=sys.stderr)
    text = table(outcomes)
    if arguments.output:
        arguments.output.write_text(text)
    else:
        print(text)
    return int(any(judge(outcome) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
