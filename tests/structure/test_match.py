"""Layers are found again after insertions, removals and renamings, whatever their order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.structure.facts import LayerFacts, TensorFacts
from thimble.structure.match import match

OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "RESHAPE", "SOFTMAX")


def layer(index: int, op: str, digest: int | None, size: int) -> LayerFacts:
    """A layer that is told by op, weights and output size."""
    constants = {} if digest is None else {1: TensorFacts("w", "int8", (4,), data=f"{digest:x}")}
    output = TensorFacts("", "int8", (1, size))
    return LayerFacts(index, op, 1, f"n{index}", {}, ("input 0",), constants, (output,))


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[LayerFacts], list[LayerFacts], dict[int, int]]:
    """A network with unique weights, an edit of it, and which layer is which."""
    count = draw(st.integers(1, 12))
    base = [layer(i, draw(st.sampled_from(OPS)), i, draw(st.integers(1, 3))) for i in range(count)]
    new: list[LayerFacts] = []
    became: dict[int, int] = {}
    for i in range(count):
        if draw(st.booleans()) and draw(st.booleans()):
            new.append(layer(len(new), draw(st.sampled_from(OPS)), 1000 + i, 7))
        if draw(st.integers(0, 3)):
            became[i] = len(new)
            new.append(layer(len(new), base[i].op, i, base[i].outputs[0].shape[1]))
    return base, new, became


@given(networks())
@settings(max_examples=150, deadline=None)
def test_what_kept_its_weights_is_found(
    case: tuple[list[LayerFacts], list[LayerFacts], dict[int, int]],
) -> None:
    base, new, became = case
    found = dict(match(base, new).pairs)
    assert {i: found.get(i) for i in became} == became


@given(networks())
@settings(max_examples=100, deadline=None)
def test_every_layer_is_told_once(
    case: tuple[list[LayerFacts], list[LayerFacts], dict[int, int]],
) -> None:
    base, new, _ = case
    found = match(base, new)
    both = [*found.pairs, *found.moved]
    assert sorted([*(i for i, _ in both), *found.removed]) == list(range(len(base)))
    assert sorted([*(j for _, j in both), *found.added]) == list(range(len(new)))
    assert list(found.pairs) == sorted(found.pairs)
    assert all(x[1] < y[1] for x, y in zip(found.pairs, found.pairs[1:]))


@given(st.permutations(range(6)))
@settings(max_examples=60, deadline=None)
def test_permuted_layers_have_moved_or_kept_their_order(order: list[int]) -> None:
    base = [layer(i, "CONV_2D", i, 1) for i in range(6)]
    new = [layer(j, "CONV_2D", i, 1) for j, i in enumerate(order)]
    found = match(base, new)
    assert not found.removed
    assert not found.added
    assert {*found.pairs, *found.moved} == {(i, j) for j, i in enumerate(order)}


def test_many_alike_layers_are_matched_in_order() -> None:
    base = [layer(i, "ADD", None, 1) for i in range(700)]
    assert match(base, base).pairs == tuple((i, i) for i in range(700))
    assert match(base, base[:650]).removed == tuple(range(650, 700))
    changed = [layer(i, "ADD", i, 1) for i in range(700)]
    assert match(base, changed).pairs == tuple((i, i) for i in range(700))
