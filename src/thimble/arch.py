"""What lowering has to know of a core's arithmetic layer: how it wants its constants packed.

The layers themselves are `kernels/arch/<name>.h`. Every layer computes the same bits from any
packing, so a program lowered for one core also runs (slower) on another.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Instructions: of a multiplication in a convolution and a depthwise one; of a step beyond its
    rows, for each output of a convolution in it, for each channel of a depthwise one, and for each
    input that the step reads though the one before it did.
    """

    mac: float = 4.0
    depthwise_mac: float = 8.0
    step: int = 60
    step_output: float = 0.0
    step_channel: float = 0.0
    step_pixel: float = 0.0


@dataclass(frozen=True)
class Arch:
    """How constants are packed, and how much a tile takes at a time.

    `oc_block` outputs by `k_block` products are one block of packed weights; `positions` output
    positions are computed together. Where the rows of a filter are no multiple of `row_block`
    products, patches are gathered as a whole instead of being read row by row.
    paired: convolutions and fully connected layers take the form of `pairs.py` where that is exact.
    joint_weights: convolutions of at most so many weights store each in 16 bits, which halves the
    multiplications (kernels/arch/joint.h).
    planar: depthwise convolutions take channels apart, whatever the filter (`ops/planar.py`).
    shares: tiles do their work in functions that all layers share, so that folding gains little.
    columns: convolutions interleave the rows of their windows (`ops/columns.py`).
    blocked: depthwise convolutions take sixteen channels at a time (`ops/blocked.py`).
    lanes: sums of `oc_block` outputs share a vector (`ops/lanes.py`); x_offset is added to x.
    depthwise_lanes: channels of a block of depthwise weights; float_lanes: outputs of a block of
    float weights, 0 where those are not packed.
    costs: rough measurements, by which streaming weighs instructions.
    """

    name: str
    oc_block: int
    k_block: int
    positions: int
    row_block: int = 1
    paired: bool = False
    joint_weights: int = 0
    planar: bool = False
    columns: bool = False
    blocked: bool = False
    shares: bool = False
    lanes: bool = False
    x_offset: int = 0
    depthwise_lanes: int = 0
    float_lanes: int = 0
    costs: Costs = Costs()

    def patches(self, pitch: int) -> int:
        """How many patches of `pitch` bytes to gather at a time: some, in little memory."""
        return max(min(16, 768 // pitch // self.positions * self.positions), self.positions)


# Each costs a byte of flash more and saves about 1.5 instructions at every output position: layers
# of few weights have many positions.
JOINT_WEIGHTS = 2560

ARCHS = {
    "scalar": Arch("scalar", oc_block=2, k_block=1, positions=2),
    "dsp": Arch(
        "dsp",
        oc_block=2,
        k_block=1,
        positions=2,
        paired=True,
        planar=True,
        costs=Costs(1.1, 2.8, 100, 12.0, 65.0, 2.1),
    ),
    "thumb1": Arch(
        "thumb1",
        oc_block=2,
        k_block=1,
        positions=2,
        paired=True,
        joint_weights=JOINT_WEIGHTS,
        costs=Costs(3.0, 7.0, 150, 0.0, 150.0, 5.0),
    ),
    "mve": Arch(
        "mve",
        oc_block=4,
        k_block=16,
        positions=2,
        row_block=16,
        columns=True,
        blocked=True,
        shares=True,
        costs=Costs(0.17, 0.95, 150, 34.0, 6.0, 0.5),
    ),
    "avx2": Arch(
        "avx2", oc_block=8, k_block=2, positions=1, lanes=True, depthwise_lanes=16, float_lanes=8
    ),
    # For any engine: WebAssembly's vectors have 128 bits (two make a block).
    "simd128": Arch(
        "simd128", oc_block=8, k_block=2, positions=1, lanes=True, depthwise_lanes=16, float_lanes=4
    ),
    "avx512": Arch(
        "avx512",
        oc_block=16,
        k_block=4,
        positions=1,
        lanes=True,
        x_offset=128,
        depthwise_lanes=64,
        float_lanes=16,
    ),
}
