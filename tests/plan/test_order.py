"""Orders of steps: legal, never worse than the given one, the optimum by brute force."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.plan import Block, best_order, lifetimes, lower_bound_bytes


def peak_bytes(steps, sizes, live_in, live_out):
    """The peak from lifetimes and blocks: the planner's own bound, another way to count."""
    lives = lifetimes(steps, len(sizes), live_in, live_out)
    blocks = [Block("", size, *life, align=1) for size, life in zip(sizes, lives) if life]
    return lower_bound_bytes(blocks)


def is_legal(order, steps):
    """Every step reads from the same writers as before, and the last writers are the same."""

    def sources(sequence):
        writer = {}
        seen = {}
        for step in sequence:
            seen[step] = [writer.get(b) for b in sorted(steps[step][0])]
            writer.update(dict.fromkeys(steps[step][1], step))
        return seen, writer

    return sources(order) == sources(range(len(steps)))


@st.composite
def networks(draw, most=6, rewrites=True):
    """Steps that read earlier buffers and write a new one, or sometimes an old one again."""
    inputs = draw(st.integers(1, 2))
    buffers = inputs
    steps = []
    for _ in range(draw(st.integers(1, most))):
        reads = draw(st.sets(st.integers(0, buffers - 1), min_size=0, max_size=3))
        if rewrites and draw(st.integers(0, 5)) == 0:
            writes = {draw(st.integers(0, buffers - 1))}
        else:
            writes = {buffers}
            buffers += 1
        steps.append((sorted(reads), sorted(writes)))
    sizes = draw(st.lists(st.integers(0, 20), min_size=buffers, max_size=buffers))
    live_out = draw(st.sets(st.integers(0, buffers - 1), min_size=1, max_size=2))
    return steps, sizes, list(range(inputs)), sorted(live_out)


@settings(deadline=None, max_examples=200)
@given(networks())
def test_best_order_equals_brute_force(network):
    steps, sizes, live_in, live_out = network
    found = best_order(steps, sizes, live_in, live_out, time_limit_s=60.0)
    assert is_legal(found.order, steps)
    least = min(
        peak_bytes([steps[i] for i in order], sizes, live_in, live_out)
        for order in permutations(range(len(steps)))
        if is_legal(order, steps)
    )
    assert found.optimal
    assert found.peak_bytes == least
    assert least == peak_bytes([steps[i] for i in found.order], sizes, live_in, live_out)
    assert found.given_peak_bytes == peak_bytes(steps, sizes, live_in, live_out)


@settings(deadline=None, max_examples=50)
@given(networks(most=40))
def test_an_order_without_time_is_legal_and_not_worse_than_given(network):
    steps, sizes, live_in, live_out = network
    found = best_order(steps, sizes, live_in, live_out, time_limit_s=0.0)
    assert is_legal(found.order, steps)
    reordered = [steps[i] for i in found.order]
    assert found.peak_bytes == peak_bytes(reordered, sizes, live_in, live_out)
    assert found.peak_bytes <= found.given_peak_bytes


def branches(count):
    """Each branch widens its input a hundredfold and reduces it again; all widen first."""
    wide, narrow = range(1, count + 1), range(count + 1, 2 * count + 1)
    steps = [([0], [w]) for w in wide] + [([w], [n]) for w, n in zip(wide, narrow)]
    steps.append((list(narrow), [2 * count + 1]))
    return steps, [1] + [100] * count + [1] * count + [1], [0], [2 * count + 1]


def test_parallel_branches_run_one_after_the_other():
    network = branches(12)
    found = best_order(*network, time_limit_s=60.0)
    assert found.given_peak_bytes == 1201
    assert (found.peak_bytes, found.optimal) == (112, True)  # one wide, 11 narrow, the input


def test_a_long_chain_keeps_its_order():
    steps = [([i], [i + 1]) for i in range(300)]
    found = best_order(steps, [1 + i % 7 for i in range(301)], [0], [300], time_limit_s=60.0)
    assert found.order == tuple(range(300))
    assert found.optimal


def test_no_steps():
    assert best_order([], [4], [0], [0]).order == ()
