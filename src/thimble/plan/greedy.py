"""The planner of TensorFlow Lite Micro (GreedyMemoryPlanner), rule for rule, to compare with.

Sizes are rounded up to 16 bytes; blocks are placed largest first, each into the first gap, by
offset, among the placed blocks that live at the same time. Equal sizes are placed in *descending*
index: TFLM fills its list from the back before a stable sort. That order is what costs it 33 % on
some models.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from thimble.plan.problem import Block, round_up

TFLM_ALIGN = 16


def greedy_offsets(blocks: Sequence[Block], align: int = TFLM_ALIGN) -> list[int]:
    """offset[i] of each block as TFLM places it. Prescribed offsets are placed first, as TFLM does.

    The index of a block matters (see above): give the blocks in the order of the tensors in the
    file, scratch buffers after them. Multiples of `align`; a larger alignment of a block is
    honoured too.
    """
    offsets = [0] * len(blocks)
    sizes = [round_up(block.bytes, align) for block in blocks]
    free = [i for i, block in enumerate(blocks) if block.offset is None]
    placed: list[tuple[int, int, int]] = []  # (offset, order of placing, block), by offset
    for i, block in enumerate(blocks):
        if block.offset is not None:
            offsets[i] = block.offset
            insort(placed, (block.offset, len(placed), i))
    for i in sorted(free, key=lambda i: (-sizes[i], -i)):
        offset = 0
        for other_offset, _, j in placed:
            if blocks[j].first > blocks[i].last or blocks[i].first > blocks[j].last:
                continue
            if other_offset - offset >= sizes[i]:
                break
            offset = max(offset, round_up(other_offset + sizes[j], max(align, blocks[i].align)))
        offsets[i] = offset
        insort(placed, (offset, len(placed), i))
    return offsets
