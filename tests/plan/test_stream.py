"""Interleaving rows of tasks through rings: every order replays, no ring is too high."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.geometry import axis
from thimble.plan.stream import Interleaving, Task, Turn, Use, check, interleave, overlaid


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[Task], dict[int, int]]:
    """Tasks 0..n-1 in a chain with skips: task i writes buffer i, the last is not internal."""
    rows = draw(st.integers(1, 40))
    heights = [rows]
    tasks = [Task(rows, 0, ())]
    for _ in range(draw(st.integers(1, 6))):
        filter_h, stride, dilation = (draw(st.integers(1, n)) for n in (4, 3, 3))
        padding = draw(st.sampled_from(["SAME", "VALID"]))
        found = axis(heights[-1], filter_h, stride, dilation, padding)
        out = found.out
        if out < 1:
            continue
        uses = [Use(len(tasks) - 1, stride, found.pad, found.extent)]
        skip = draw(st.integers(0, len(tasks) - 1))
        if heights[skip] == out and skip != len(tasks) - 1:
            uses.append(Use(skip, 1, 0, 1))
        tasks.append(Task(out, len(tasks), tuple(uses)))
        heights.append(out)
    read = {use.buffer for task in tasks for use in task.uses}
    internal = {i: heights[i] for i in range(len(tasks) - 1) if i in read}
    return tasks, internal


SIZES = st.integers(1, 5)


@settings(max_examples=400, deadline=None)
@given(chains(), SIZES, SIZES)
def test_every_interleaving_replays(
    case: tuple[list[Task], dict[int, int]], rows: int, most: int
) -> None:
    tasks, internal = case
    found = interleave(tasks, internal, rows, most)
    assert check(tasks, internal, found) == []
    assert all(1 <= found.rings[b] <= internal[b] for b in internal)
    inputs = [(i, use.buffer) for i, task in enumerate(tasks) for use in task.uses]
    shared = overlaid(tasks, internal, found, inputs)
    assert check(tasks, internal, shared) == []


@settings(max_examples=200, deadline=None)
@given(chains(), SIZES, SIZES)
def test_a_ring_one_row_lower_does_not_hold(
    case: tuple[list[Task], dict[int, int]], rows: int, most: int
) -> None:
    """The check would notice: with one row less some reader finds the wrong row."""
    tasks, internal = case
    found = interleave(tasks, internal, rows, most)
    for buffer, height in found.rings.items():
        if height > 1 and rows == most == 1:
            lower = Interleaving(found.turns, {**found.rings, buffer: height - 1})
            assert check(tasks, internal, lower)


def test_an_output_row_takes_the_place_of_the_oldest_input_row() -> None:
    tasks = [
        Task(9, 0, ()),
        Task(9, 1, (Use(0, 1, 1, 3),)),
        Task(9, 2, (Use(1, 1, 0, 1),)),
        Task(9, 3, (Use(2, 1, 1, 3),)),
    ]
    found = interleave(tasks, {0: 9, 1: 9, 2: 9})
    shared = overlaid(tasks, {0: 9, 1: 9, 2: 9}, found, [(1, 0)])
    assert shared.rings[1] == shared.rings[0] == 3
    assert {y: (place.over, place.shift) for y, place in shared.places.items()} == {1: (0, 2)}


def test_an_input_that_is_read_again_keeps_its_rows() -> None:
    tasks = [
        Task(8, 0, ()),
        Task(8, 1, (Use(0, 1, 1, 3),)),
        Task(8, 2, (Use(0, 1, 1, 3), Use(1, 1, 0, 1))),
    ]
    internal = {0: 8, 1: 8}
    assert not overlaid(tasks, internal, interleave(tasks, internal), [(1, 0)]).places


def test_a_3x3_after_a_3x3_keeps_three_rows() -> None:
    tasks = [Task(10, 0, ()), Task(10, 1, (Use(0, 1, 1, 3),)), Task(10, 2, (Use(1, 1, 1, 3),))]
    assert dict(interleave(tasks, {0: 10, 1: 10}).rings) == {0: 3, 1: 3}


def test_a_residual_keeps_the_skip_as_long_as_it_is_needed() -> None:
    two_convolutions = (Use(1, 1, 1, 3),)
    tasks = [
        Task(8, 0, ()),
        Task(8, 1, (Use(0, 1, 1, 3),)),
        Task(8, 2, two_convolutions),
        Task(8, 3, (Use(0, 1, 0, 1), Use(2, 1, 0, 1))),
    ]
    rings = interleave(tasks, {0: 8, 1: 8, 2: 8}).rings
    assert rings[2] == 1
    assert rings[0] == 3


def test_check_names_what_is_missing() -> None:
    tasks = [Task(4, 0, ()), Task(4, 1, (Use(0, 1, 0, 1),))]
    wrong = check(tasks, {0: 4}, Interleaving((Turn(0, 0, 2), Turn(1, 0, 2)), {0: 1}))
    assert any("holds row 1, not 0" in text for text in wrong)
    assert any("ends after 2 of 4" in text for text in wrong)
