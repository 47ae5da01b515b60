"""Beam search: problems without slack and with known optimum, coarse and fine, cut and woven."""

from __future__ import annotations

import json
import random
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import guillotine, pinwheels, problems

from thimble.cli import execute
from thimble.plan import Block, check_plan, plan_blocks
from thimble.plan.beam import beam_offsets, can_beam
from thimble.plan.instance import parts
from thimble.plan.problem import Plan


def packed(blocks, target, width, seed=0):
    """Whether the beam packs every part in `target` granules; what it finds is checked."""
    found_all = True
    for part in parts(blocks):
        found = beam_offsets(part, target, width, monotonic() + 60, random.Random(seed))
        if found is None:
            found_all = False
            continue
        mine = [blocks[i] for i in part.ids]
        arena = target * part.granule
        plan = Plan(tuple(at * part.granule for at in found), arena, "beam", 0, False, 0.0)
        assert check_plan(plan, mine) == []
    return found_all


@settings(deadline=None, max_examples=60)
@given(st.integers(20, 60), st.integers(4, 30), st.integers(8, 2000), st.integers(0, 10**6))
def test_what_it_finds_is_sound(count, steps, height, seed):
    count = min(count, steps * height // 4)
    packed(guillotine(count, steps, height, seed), height, 20, seed)


@settings(deadline=None, max_examples=60)
@given(problems(most=14, aligns=(1,)), st.integers(0, 40), st.integers(0, 9))
def test_with_slack_it_is_sound(blocks, slack, seed):
    bound = max((part.bound() for part in parts(blocks)), default=0)
    packed(blocks, bound + slack, 8, seed)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("count", "steps", "height"), [(20, 10, 60), (60, 20, 100)])
def test_small_coarse_problems_are_solved(count, steps, height, seed):
    plan = plan_blocks(guillotine(count, steps, height, seed), time_limit_s=60)
    assert (plan.arena_bytes, plan.optimal) == (height, True)


@pytest.mark.parametrize(
    ("count", "steps", "height", "seed"),
    [
        (200, 40, 100, 1),
        (200, 40, 100, 2),
        (200, 40, 1000, 1),
        (200, 40, 1000, 3),
        (250, 60, 10**6, 1),
    ],
)
def test_large_problems_without_slack_are_solved(count, steps, height, seed):
    plan = plan_blocks(guillotine(count, steps, height, seed), time_limit_s=120)
    assert (plan.arena_bytes, plan.optimal) == (height, True)


def test_coarse_pinwheels_are_solved():
    plan = plan_blocks(pinwheels(80, 100, 300, seed=2), time_limit_s=120)
    assert (plan.arena_bytes, plan.optimal) == (300, True)


def test_it_leaves_alignment_and_fixed_places_to_others():
    blocks = [Block("a", 4, 0, 1, 4), Block("b", 2, 1, 2, 2)]
    assert not can_beam(parts(blocks)[0])
    assert not can_beam(parts([Block("a", 4, 0, 1, 4, offset=8)])[0])
    assert can_beam(parts([Block("a", 4, 0, 1, 4)])[0])


def test_the_gap_is_stated_on_the_command_line_when_the_time_is_over(tmp_path, capsys):
    # --time 0 leaves first fits only: either they reach the bound, or the gap is told.
    from models import ModelBuilder

    from thimble.ops.add import Add
    from thimble.ops.relu import Relu

    b = ModelBuilder()
    shape = (1, 8, 8, 4)
    tensor = [(shape, "int8", 0.1, -3)]
    x = b.input("x", shape, "int8", 0.1, -3)
    y = b.op(Add(), [b.op(Relu(), [x], tensor), x], tensor, version=2)
    path = str(tmp_path / "m.tflite")
    b.build([y]).save(path)
    assert execute(["plan", path, "--time", "0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    wanted = report["arena_bytes"] / report["bound_bytes"] - 1
    assert report["gap"] == pytest.approx(0 if report["optimal"] else wanted)
    assert execute(["build", path, "--target", "host", "--time", "0.5", "--json", "-q"]) == 0
    assert execute(["plan", path, "--time", "-1"]) == 2
