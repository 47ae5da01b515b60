"""Lifetimes: the first and last step that touches a buffer."""

from __future__ import annotations

from thimble.plan import lifetimes


def test_a_chain_overlaps_only_in_the_step_that_reads_and_writes():
    steps = [([0], [1]), ([1], [2]), ([2], [3])]
    assert lifetimes(steps, 4, [0], [3]) == [(0, 0), (0, 1), (1, 2), (2, 2)]


def test_a_late_input_is_live_from_the_start():
    assert lifetimes([([0], [1]), ([1, 2], [3])], 4, [0, 2], [3])[2] == (0, 1)


def test_an_early_output_is_live_to_the_end():
    assert lifetimes([([0], [1]), ([0], [2])], 3, [0], [1, 2])[1] == (0, 1)


def test_an_input_that_nobody_reads_occupies_the_first_step():
    assert lifetimes([([0], [1])], 3, [0, 2], [1])[2] == (0, 0)


def test_a_written_but_unread_buffer_lives_in_its_step():
    assert lifetimes([([0], [1, 2]), ([1], [3])], 4, [0], [3])[2] == (0, 0)


def test_an_unused_buffer_has_no_lifetime():
    assert lifetimes([([0], [1])], 3, [0], [1]) == [(0, 0), (0, 0), None]


def test_no_steps():
    assert lifetimes([], 2, [0], [0]) == [(0, 0), None]
