"""Instructions of a kernel call on a core, estimated: a weighted sum of what the call has to do.

The weights of each core and kernel are fitted by `bench/costs.py` to instructions that were counted
on the emulated core (`targets/costs.json`, which says how far the fit is off). They are for the
compiler that the target prefers and for code of the layer's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from thimble.program import KernelCall, Program

TABLE = Path(__file__).parent / "targets" / "costs.json"
# Kernels of fewer fitted layers have weights that say little.
FEWEST_LAYERS = 3


def work(program: Program, call: KernelCall) -> tuple[float, ...]:
    """What the call has to do, by the kind of its kernel.

    A matrix product (CONV_2D, FULLY_CONNECTED): products with the padding of the packed weights,
    outputs, elements of patches, positions, 1. Windows on each channel (DEPTHWISE_CONV_2D, pools):
    products, outputs, elements of the input, rows times channels, 1. All others: bytes written,
    bytes read, 1.
    """
    p = {name: int(value) for name, value in call.params.items()}
    rows = call.rows * call.batches
    if call.kernel.startswith("thm_conv_2d"):
        products = p["filter_h"] * p["filter_w"] * p.get("depth", p["in_c"])
        return _matrix(p, rows * p["out_w"], products)
    if call.kernel.startswith("thm_fully_connected") and "depth" in p:
        return _matrix(p, rows, p["depth"])
    if call.kernel.startswith("thm_depthwise") or "_pool_2d_" in call.kernel:
        channels = p.get("channels", p.get("out_c", p.get("in_c", 1)))
        outputs = rows * p["out_w"] * channels
        taps = p.get("filter_h", 3) * p.get("filter_w", 2 * p["words"] if "words" in p else 3)
        block = 16 if "blocked" in call.kernel else 1
        padded = rows * p["out_w"] * -(-channels // block) * block * taps
        return padded, outputs, p["in_h"] * p["in_w"] * channels, rows * channels, 1
    reads = writes = 0
    for buffer in call.signature.buffers:
        arg = call.args[buffer.name]
        if arg is not None:
            size = arg.bytes or program.buffers[arg.buffer].bytes - arg.offset
            writes += size if buffer.is_output else 0
            reads += 0 if buffer.is_output else size
    return writes * call.batches, reads * call.batches, 1


def _matrix(p: Mapping[str, int], positions: int, products: int) -> tuple[float, ...]:
    outputs = p.get("outputs", p.get("out_c", 1))
    block, k = p.get("oc_block", p.get("lanes", 4)), p.get("k_block", 1)
    padded = -(-outputs // block) * block * -(-products // k) * k
    return positions * padded, positions * outputs, positions * products, positions, 1


@cache
def _table() -> Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]:
    with open(TABLE, encoding="utf-8") as file:
        return json.load(file)["cores"]


def estimate(program: Program, call: KernelCall, target: str) -> int | None:
    """Instructions of `call` on `target`; None where none were counted for its kernel."""
    fitted = _table().get(target, {}).get(call.kernel)
    if fitted is None or fitted["layers"][0] < FEWEST_LAYERS:
        return None
    return round(sum(w * x for w, x in zip(fitted["weights"], work(program, call))))


def estimate_layers(program: Program, target: str) -> dict[int, int | None]:
    """Layer index -> the sum over its calls; None where one of them is not known."""
    sums: dict[int, int | None] = {}
    for call in program.calls:
        before, of_call = sums.get(call.layer, 0), estimate(program, call, target)
        sums[call.layer] = None if before is None or of_call is None else before + of_call
    return sums
