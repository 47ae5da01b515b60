"""Planning problems for the tests: with known optimum, drawn at random, and from a real network."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from thimble.plan import Block, lifetimes


def blocks_of(rows, align=1):
    """Blocks from (bytes, first, last) rows."""
    return [Block(f"b{i}", *row, align=align) for i, row in enumerate(rows)]


@st.composite
def problems(draw, most=14, steps=12, largest=70, aligns=(1, 4, 16)):
    """Up to `most` blocks over up to `steps` + 1 steps."""
    blocks = []
    for i in range(draw(st.integers(0, most))):
        first = draw(st.integers(0, steps))
        last = draw(st.integers(first, steps))
        size = draw(st.integers(0, largest))
        blocks.append(Block(f"b{i}", size, first, last, draw(st.sampled_from(aligns))))
    return blocks


def guillotine(count, steps, height, seed):
    """`count` blocks cut from a rectangle of `steps` x `height`: the optimum is `height` bytes.

    A piece is drawn by its area and cut across or along, until there are `count` pieces.
    """
    rng = random.Random(seed)
    pieces = [(0, steps, 0, height)]
    while len(pieces) < count:
        areas = [(right - left) * (top - base) for left, right, base, top in pieces]
        left, right, base, top = pieces.pop(rng.choices(range(len(pieces)), areas)[0])
        if rng.random() < 0.5 and right - left > 1:
            cut = rng.randrange(left + 1, right)
            pieces += [(left, cut, base, top), (cut, right, base, top)]
        elif top - base > 1:
            cut = rng.randrange(base + 1, top)
            pieces += [(left, right, base, cut), (left, right, cut, top)]
        else:
            pieces.append((left, right, base, top))
    rng.shuffle(pieces)
    return blocks_of([(top - base, left, right - 1) for left, right, base, top in pieces])


def pinwheels(count, steps, height, seed):
    """Like `guillotine`, but each piece falls into five that no straight cut can separate."""
    rng = random.Random(seed)
    pieces = [(0, steps, 0, height)]
    while len(pieces) < count:
        areas = [
            (right - left) * (top - base) if right - left >= 4 and top - base >= 4 else 0
            for left, right, base, top in pieces
        ]
        left, right, base, top = pieces.pop(rng.choices(range(len(pieces)), areas)[0])
        a, b = sorted(rng.sample(range(left + 1, right), 2))
        c, d = sorted(rng.sample(range(base + 1, top), 2))
        pieces += [(left, b, base, c), (b, right, base, d), (a, right, d, top), (left, a, c, top)]
        pieces.append((a, b, c, d))
    return blocks_of([(top - base, left, right - 1) for left, right, base, top in pieces])


def visual_wake_words():
    """Activations of MobileNetV1 0.25 at 96x96, int8, from the layer shapes; in file order."""
    side, channels = 96, 3
    sizes = [side * side * channels]

    def conv(out_channels, stride):
        nonlocal side, channels
        side, channels = -(-side // stride), out_channels
        sizes.append(side * side * channels)

    conv(8, 2)
    widths = [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    for width, stride in zip(widths, strides):
        conv(channels, stride)  # depthwise
        conv(width, 1)  # pointwise
    sizes += [256, 2, 2, 2]  # average pool, 1x1 conv, reshape, softmax
    steps = [([i], [i + 1]) for i in range(len(sizes) - 1)]
    lives = lifetimes(steps, len(sizes), live_in=[0], live_out=[len(sizes) - 1])
    return [Block(f"t{i}", size, *life) for i, (size, life) in enumerate(zip(sizes, lives))]
