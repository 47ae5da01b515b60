"""Instructions per multiply-accumulate (MAC) by kind of layer: ours, a peer's, and a floor.

The floor of a layer counts the instructions that multiply, that load what is multiplied, and that
requantize and store, in the best arrangement of them that we know for the core's registers. Loops,
addresses, borders, copies and everything that is done once a layer are left out: no program with
this arrangement takes fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

FIRST_CHANNELS = 4  # a convolution of at most so many input channels is a first one
KINDS = (
    "first convolution",
    "1x1 convolution",
    "other convolution",
    "depthwise",
    "fully connected",
)


@dataclass(frozen=True)
class Shape:
    """What a floor depends on: products of an output; outputs of a position; positions."""

    kind: str
    products: int
    outputs: int
    positions: int


def shape(op: str, channels: int, weights: Sequence[int], output: Sequence[int]) -> Shape | None:
    """Of a layer with weights OHWI (1HWC where it is depthwise) or [O, I]; None for other ops.

    A depthwise layer of one input channel is a convolution.
    """
    positions = prod(output[:-1])
    if op == "FULLY_CONNECTED":
        outputs = weights[0]
        return Shape(KINDS[4], weights[1], outputs, prod(output) // outputs)
    if op == "DEPTHWISE_CONV_2D" and channels == 1 < output[-1]:
        return Shape(KINDS[0], weights[1] * weights[2], output[-1], positions)
    if op == "DEPTHWISE_CONV_2D":
        return Shape(KINDS[3], weights[1] * weights[2], output[-1], positions)
    if op != "CONV_2D":
        return None
    taps = weights[1] * weights[2]
    kind = KINDS[0] if weights[3] <= FIRST_CHANNELS else KINDS[1 if taps == 1 else 2]
    return Shape(kind, taps * weights[3], weights[0], positions)


def _m55(s: Shape) -> float:
    """Helium. VMLADAVA adds 16 products to one of eight core registers: four outputs at two
    positions take 8 of them, 4 loads of weights and 2 of inputs for each 16 products, then 4 VMOV,
    2 VQRDMULH, 2 VRSHL, 3 to narrow, an offset and a store; four outputs at one position 9 and 8.

    Depthwise: two taps of 16 channels are 4 loads, 4 VMULL, 2 VADD, and 8 to widen their sums;
    requantization of 16 channels reads biases, multipliers and shifts in 12 loads.
    """
    if s.kind == "depthwise":
        lanes = s.outputs if 16 % s.outputs == 0 else ceil(s.outputs / 16) * 16
        taps = 4 * s.products + 2 * (s.products // 2) + 8 * ceil(s.products / 2)
        return s.positions * lanes / 16 * (taps + 12 + 8 + 9)
    chunks = ceil(s.products / 16)
    if s.positions == 1:
        return s.outputs / 4 * (9 * chunks + 8)
    return s.positions * s.outputs / 8 * (14 * chunks + 13)


def _m4(s: Shape) -> float:
    """DSP extension. SMLAD adds two products. Four outputs at two positions take 8 of them, 2
    SXTB16 of weights and 2 LDRD for 16 products; a widened input a quarter of LDR, 2 SXTB16 and
    STRD; an output 4 to requantize, one to store, and a record of 2 for two of them.

    Depthwise: two outputs of nine taps are 12 SMLAD and 3 LDRD; each input is taken apart once,
    in 14 for 8.
    """
    total = s.positions * s.outputs
    if s.kind == "depthwise":
        return total * (15 / 18 * s.products + 5 + 14 / 8)
    each = 12 / 16 if s.positions > 1 else 14 / 16
    requantize = 6 if s.positions > 1 else 7
    return total * (each * s.products + requantize) + s.positions * s.products


def _m0(s: Shape) -> float:
    """Scalar. One MULS can serve two outputs whose weights share a word: 15 for 8 products where
    that is exact. Without a long multiplication an output takes 30 to requantize and store.

    Depthwise: MULS, ADDS and half a load for a tap.
    """
    total = s.positions * s.outputs
    return total * ((2.5 if s.kind == "depthwise" else 15 / 8) * s.products + 30)


FLOORS: Mapping[str, Callable[[Shape], float]] = {
    "cortex-m55": _m55,
    "cortex-m4": _m4,
    "cortex-m0": _m0,
}

BETWEEN = {
    "cortex-m55": """\
What stands between: for each pair of positions and four outputs, LDM of the biases, LDM or LDRD of
addresses and the loop are 4 to 8 instructions; for each four outputs and batch of pairs, constants
are 40 more. Rows of k x k convolutions are interleaved first (5 instructions for 16 bytes and row
of the filter). Where a result may be negative, four instructions for eight outputs round halves
away from zero. Depthwise: weights of every other tap are read twice for want of a ninth vector
register, rows are copied with their padding, and few channels leave lanes empty.""",
    "cortex-m4": """\
What stands between: loading and storing the loop's state (13 registers hold eight sums and what is
multiplied), rows of patches that are widened again for each row of outputs, remainders of four
outputs, and gathered borders.""",
    "cortex-m0": """\
What stands between: only r0 to r7 take part in arithmetic, so that sums are moved to and from high
registers; bytes are widened one by one; joint multiplication is exact only for small sums. The peer
was measured as a whole on this core.""",
}


@dataclass(frozen=True)
class Total:
    """Instructions, MACs and floor of all layers of a kind."""

    instructions: int = 0
    macs: int = 0
    floor: float = 0.0

    def plus(self, instructions: int, macs: int, floor: float) -> Total:
        """With one layer more."""
        return Total(self.instructions + instructions, self.macs + macs, self.floor + floor)


def ours(core: str, graph: Any, layers: Sequence[Any], macs: Sequence[int]) -> dict[str, Total]:
    """Kind -> total of measured layers of a graph after its passes; macs of each layer."""
    totals: dict[str, Total] = {}
    for layer, count in zip(layers, macs, strict=True):
        node = graph.nodes[layer.index] if layer.index < len(graph.nodes) else None
        if node is None or len(node.inputs) < 2:
            continue
        x, weights, output = (graph.tensors[t].shape for t in (*node.inputs[:2], node.outputs[0]))
        found = shape(layer.op, x[-1] if x else 1, weights, output)
        if found is not None:
            total = totals.get(found.kind, Total())
            floor = FLOORS[core](found)
            totals[found.kind] = total.plus(layer.instructions or 0, count, floor)
    return totals


def theirs(operators: Sequence[Mapping[str, Any]]) -> dict[str, Total]:
    """The same of the operators of a baseline record."""
    totals: dict[str, Total] = {}
    for operator in operators:
        if operator.get("weights") and operator.get("output"):
            shapes = operator["input"][-1], operator["weights"], operator["output"]
            found = shape(operator["op"], *shapes)
            if found is not None:
                total = totals.get(found.kind, Total())
                totals[found.kind] = total.plus(operator["instructions"], operator["macs"], 0.0)
    return totals


def table(rows: Sequence[tuple[str, Mapping[str, Total], Mapping[str, Total]]]) -> list[str]:
    """A Markdown row for each model and kind: (model, ours, the peer's)."""
    lines = [
        "| model | kind of layer | MACs | TFLM / MAC | ours / MAC | floor / MAC | ours / floor |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for model, mine, peer in rows:
        for kind in KINDS:
            if kind not in mine or not mine[kind].macs:
                continue
            m = mine[kind]
            p = peer.get(kind, Total())
            lines.append(
                f"| {model} | {kind} | {m.macs:,} |"
                f" {f'{p.instructions / p.macs:.3f}' if p.macs else '-'} |"
                f" {m.instructions / m.macs:.3f} | {m.floor / m.macs:.3f} |"
                f" {m.instructions / m.floor:.2f} |"
            )
    return lines
