"""CSV in and out."""

from __future__ import annotations

import pytest
from hypothesis import given
from problems import problems

from thimble.errors import BadInput
from thimble.plan import Block, plan_blocks
from thimble.plan.csvfile import read_blocks, write_blocks


@given(problems())
def test_a_problem_survives_the_round_trip(blocks):
    assert read_blocks(write_blocks(blocks)) == blocks


def test_lifetimes_are_half_open_and_other_columns_are_ignored():
    text = "id, lower, upper, size, gaps\nb1, 0, 3, 4,\nb2, 3, 9, 8, 4-5\n"
    assert read_blocks(text) == [Block("b1", 4, 0, 2, align=1), Block("b2", 8, 3, 8, align=1)]


def test_a_written_plan_prescribes_its_own_offsets():
    blocks = [Block("a", 8, 0, 1), Block("b", 4, 1, 2)]
    plan = plan_blocks(blocks)
    again = plan_blocks(read_blocks(write_blocks(blocks, plan)))
    assert again.offsets == plan.offsets


def test_every_bad_line_is_named():
    with pytest.raises(BadInput) as caught:
        read_blocks("id,lower,upper,size\na,0,1,x\nb,0,1,4\nc,0\n", "p.csv")
    assert [f.where for f in caught.value.findings] == ["p.csv, line 2", "p.csv, line 4"]


@pytest.mark.parametrize("text", ["", "id,size\n", "nonsense"])
def test_a_missing_column_is_named(text):
    with pytest.raises(BadInput, match="lower, upper"):
        read_blocks(text)
