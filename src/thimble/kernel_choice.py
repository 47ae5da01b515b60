"""Which kernel every layer got, why, and what it is estimated to take."""

from __future__ import annotations

from thimble.codegen.firmware import Firmware
from thimble.codegen.variants import choose
from thimble.cost import estimate_layers
from thimble.program import Program
from thimble.report import BuildLayer


def layers(
    firmware: Firmware, program: Program, target: str | None, optimize: str
) -> list[BuildLayer]:
    """The layers of `firmware`, made of `program`, for the reports of a build.

    Nothing is estimated where no target is named.
    """
    estimates = estimate_layers(program, target) if target is not None else {}
    variants = choose(program, firmware.name, optimize)
    why: dict[int, str] = {}
    for i, call in enumerate(program.calls):
        parts = (call.why, variants[i].why)
        why.setdefault(call.layer, "; ".join(part for part in parts if part))
    return [
        BuildLayer(
            layer.index,
            layer.op,
            layer.name,
            layer.kernels[0] if layer.kernels else None,
            layer.specialised,
            layer.macs,
            layer.weights_bytes,
            layer.output_bytes,
            why.get(layer.index, "") if layer.kernels else "shares the memory of its input",
            estimates.get(layer.index) if layer.kernels or target is None else 0,
        )
        for layer in firmware.layers
    ]
