"""Which layer of one model is which layer of another: an alignment of two lists of layers.

Layers with the same op, output shapes and constants anchor it where they are unique. Between two
anchors the alignment with the largest sum of likenesses is found by dynamic programming. What is
left over, and alike, has moved.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from thimble.structure.facts import LayerFacts

MAX_CELLS = 90_000  # of the dynamic programme: 300 x 300 layers between two anchors

# Ops that converters write one for the other.
FAMILIES = (
    ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"),
    (
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "LSTM",
        "RNN",
        "WHILE",
    ),
    ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D", "MEAN", "REDUCE_MAX", "SUM"),
    ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU", "ELU", "HARD_SWISH"),
    ("PAD", "PADV2", "MIRROR_PAD"),
    ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
    ("SELECT", "SELECT_V2", "WHERE"),
    ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    ("ADD", "SUB"),
    ("MUL", "DIV"),
)
RECURRENT = frozenset(FAMILIES[1])
_FAMILY = {op: i for i, family in enumerate(FAMILIES) for op in family}

Span = tuple[int, int, int, int]  # first and end of the base's layers, and of the other's


@dataclass(frozen=True)
class Match:
    """Pairs (layer of the base, layer of the other) in ascending order; `moved` are out of it."""

    pairs: tuple[tuple[int, int], ...]
    moved: tuple[tuple[int, int], ...]
    removed: tuple[int, ...]
    added: tuple[int, ...]


def static(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with 1 for what is dynamic: what converters write into `shape` beside -1."""
    return tuple(1 if size < 0 else size for size in shape)


def key(layer: LayerFacts) -> tuple[object, ...]:
    """Layers of equal keys do the same: op, options, output shapes and constants are equal."""
    return (
        layer.op,
        tuple((t.dtype, static(t.shape)) for t in layer.outputs),
        tuple((k, t.data) for k, t in sorted(layer.constants.items())),
        repr(sorted(layer.options.items())),
    )


def likeness(a: LayerFacts, b: LayerFacts) -> float:
    """How likely `b` is what became of `a`; 0 where it cannot be."""
    same_name = bool(a.name) and a.name == b.name
    same_shape = [static(t.shape) for t in a.outputs] == [static(t.shape) for t in b.outputs]
    if a.op == b.op:
        score = 4.0
    elif _FAMILY.get(a.op, -1) == _FAMILY.get(b.op, -2):
        score = 2.0
    elif a.op in RECURRENT or b.op in RECURRENT:
        return 0.0  # a layer of many steps became many layers, none of which it is
    elif same_name or (same_shape and a.outputs):
        score = 0.5
    else:
        return 0.0
    weights = {t.data for t in a.constants.values()} & {t.data for t in b.constants.values()}
    return score + 3.0 * same_name + 2.0 * same_shape + 1.5 * min(len(weights), 2)


def match(a: Sequence[LayerFacts], b: Sequence[LayerFacts]) -> Match:
    """The alignment of the base's layers `a` with `b`."""
    keys_a, keys_b = _keys(a, b)
    first = 0
    while first < min(len(a), len(b)) and keys_a[first] == keys_b[first]:
        first += 1
    last = 0
    while last < min(len(a), len(b)) - first and keys_a[-1 - last] == keys_b[-1 - last]:
        last += 1
    end_a, end_b = len(a) - last, len(b) - last
    pairs = [(i, i) for i in range(first)]
    unique = _unique(keys_a, keys_b, (first, end_a, first, end_b))
    run = _longest_run(unique)
    moved = set(unique) - set(run)
    gone, come = {i for i, _ in moved}, {j for _, j in moved}
    here = first, first
    for anchor in [*run, (end_a, end_b)]:
        left = [i for i in range(here[0], anchor[0]) if i not in gone]
        right = [j for j in range(here[1], anchor[1]) if j not in come]
        pairs += _align(a, b, left, right)
        if anchor != (end_a, end_b):
            pairs.append(anchor)
        here = anchor[0] + 1, anchor[1] + 1
    pairs += [(end_a + i, end_b + i) for i in range(last)]
    return _moved(keys_a, keys_b, pairs)


def _keys(a: Sequence[LayerFacts], b: Sequence[LayerFacts]) -> tuple[list[object], list[object]]:
    """The keys of all layers; where several have one key, with the name if both models have it."""
    plain_a, plain_b = [key(layer) for layer in a], [key(layer) for layer in b]
    count_a, count_b = Counter(plain_a), Counter(plain_b)
    shared = {layer.name for layer in a} & {layer.name for layer in b}

    def refined(plain: tuple[object, ...], layer: LayerFacts) -> object:
        if count_a[plain] <= 1 and count_b[plain] <= 1:
            return plain
        return plain, layer.name if layer.name in shared else ""

    return (
        [refined(plain, layer) for plain, layer in zip(plain_a, a)],
        [refined(plain, layer) for plain, layer in zip(plain_b, b)],
    )


def _unique(
    keys_a: Sequence[object], keys_b: Sequence[object], span: Span
) -> list[tuple[int, int]]:
    """Layers whose key occurs once on each side, in the order of the base."""
    a0, a1, b0, b1 = span
    count_a, count_b = Counter(keys_a[a0:a1]), Counter(keys_b[b0:b1])
    where = {keys_b[j]: j for j in range(b0, b1) if count_b[keys_b[j]] == 1}
    return [
        (i, where[keys_a[i]])
        for i in range(a0, a1)
        if count_a[keys_a[i]] == 1 and keys_a[i] in where
    ]


def _longest_run(unique: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest ascending run: these anchor the alignment, the others have moved."""
    tails: list[int] = []  # index into `unique` of the last of the best run of each length
    ends: list[int] = []
    before: list[int] = []
    for n, (_, j) in enumerate(unique):
        length = bisect_left(ends, j)
        before.append(tails[length - 1] if length else -1)
        if length == len(ends):
            ends.append(j)
            tails.append(n)
        else:
            ends[length], tails[length] = j, n
    run = []
    n = tails[-1] if tails else -1
    while n >= 0:
        run.append(unique[n])
        n = before[n]
    return run[::-1]


def _align(
    a: Sequence[LayerFacts], b: Sequence[LayerFacts], left: Sequence[int], right: Sequence[int]
) -> list[tuple[int, int]]:
    """Pairs of `left` and `right` with the largest sum of likenesses, in order."""
    rows, columns = len(left), len(right)
    if rows == 0 or columns == 0:
        return []
    if rows * columns > MAX_CELLS:  # too many to weigh: by position, where the op is the same
        return [(i, j) for i, j in zip(left, right) if a[i].op == b[j].op]
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    score = [[likeness(a[i], b[j]) for j in right] for i in left]
    for i in range(rows - 1, -1, -1):
        below, row = best[i + 1], best[i]
        for j in range(columns - 1, -1, -1):
            together = below[j + 1] + score[i][j] if score[i][j] else 0.0
            row[j] = max(together, below[j], row[j + 1])
    pairs = []
    i = j = 0
    while i < rows and j < columns:
        if score[i][j] and best[i][j] == best[i + 1][j + 1] + score[i][j]:
            pairs.append((left[i], right[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _moved(
    keys_a: Sequence[object], keys_b: Sequence[object], pairs: Sequence[tuple[int, int]]
) -> Match:
    """The match with what was left over on both sides under one key as moved."""
    left_a, left_b = {i for i, _ in pairs}, {j for _, j in pairs}
    free: dict[object, list[int]] = {}
    for j in range(len(keys_b)):
        if j not in left_b:
            free.setdefault(keys_b[j], []).append(j)
    moved = []
    for i in range(len(keys_a)):
        if i not in left_a and free.get(keys_a[i]):
            moved.append((i, free[keys_a[i]].pop(0)))
    gone = left_a | {i for i, _ in moved}
    come = left_b | {j for _, j in moved}
    return Match(
        tuple(pairs),
        tuple(moved),
        tuple(i for i in range(len(keys_a)) if i not in gone),
        tuple(j for j in range(len(keys_b)) if j not in come),
    )
