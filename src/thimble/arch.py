"""What lowering has to know of a core's arithmetic layer: how it wants its constants packed.

The layers themselves are `kernels/arch/<name>.h`. Every layer computes the same bits from any packing, so a
program lowered for one core also runs (slower) on another.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """`oc_block` outputs by `k_block` products is one block of packed weights; `positions` is the number of
    output positions that a tile computes at a time (scratch for gathered patches is sized by it)."""

    name: str
    oc_block: int
    k_block: int
    positions: int


ARCHS = {
    "scalar": Arch("scalar", oc_block=2, k_block=1, positions=2),
}
