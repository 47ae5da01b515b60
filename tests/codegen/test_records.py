"""Calls as records of a table under --optimize size: the same bytes from less code."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ModelBuilder

from thimble.build import prepare
from thimble.codegen.firmware import Firmware
from thimble.codegen.records import INTEGERS, LEAST_CALLS, least_type, words_of
from thimble.graph import Model
from thimble.ops.conv_2d import Conv2D
from thimble.program import KernelCall, signatures
from thimble.runners.host_library import HostLibrary
from thimble.runners.program import ProgramRunner


def chain(layers: int, height: int, width: int) -> Model:
    """3 x 3 and 1 x 1 convolutions in turns, each of other channels."""
    rng = np.random.default_rng(layers)
    b = ModelBuilder()
    x = b.input("x", (1, height, width, 3), "int8", 0.05, -3)
    depth = 3
    for i in range(layers):
        taps, outputs = (3, 1)[i % 2], 4 + i
        weights = rng.integers(-127, 128, (outputs, taps, taps, depth)).astype(np.int8)
        w = b.const(f"w{i}", weights, scale=[0.01] * outputs, axis=0)
        shape = (1, height, width, outputs)
        x = b.op(
            Conv2D(padding="SAME", stride_h=1, stride_w=1),
            [x, w, None],
            outputs=[(shape, "int8", 0.1, 4)],
        )
        depth = outputs
    return b.build(outputs=[x])


def source(firmware: Firmware) -> str:
    return firmware.files[firmware.source]


@pytest.mark.parametrize(
    ("layers", "height", "width"),
    [(3, 5, 4), (4, 6, 5), (9, 7, 3), (9, 40, 100), (6, 12, 300), (5, 130, 130)],
)
def test_tables_give_the_twins_bytes(layers: int, height: int, width: int) -> None:
    model = chain(layers, height, width)
    prepared = prepare(model, optimize="size")
    x = np.random.default_rng(1).integers(-128, 128, (1, height, width, 3)).astype(np.int8)
    want = ProgramRunner(prepared.program, prepared.memory).run([x])[0]
    assert HostLibrary(prepared.firmware).run([x])[0].tobytes() == want.tobytes()


def test_what_a_table_holds() -> None:
    text = source(prepare(chain(9, 40, 100), optimize="size").firmware)
    tables = re.findall(r"_record (\w+)_calls\[(\d+)\]", text)
    assert tables
    assert all(int(count) >= LEAST_CALLS for _, count in tables)
    by_table = re.findall(r"_layer_(\d+)\([^)]*\)\n\{\n    \(void\)io;\n    \w+_call_\w+\(", text)
    assert {"0", "8"} & set(by_table) == set()  # their tensors are not in the arena
    assert len(by_table) == sum(int(count) for _, count in tables)
    assert re.search(r"uint8_t \w+;", text)
    assert "_call_" not in source(prepare(chain(9, 40, 100), optimize="speed").firmware)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_the_least_type_holds_every_value(values: list[int]) -> None:
    name = least_type(values, "int32_t")
    fits = [n for n, low, high in INTEGERS if low <= min(values) and max(values) <= high]
    assert name == (fits[0] if fits else "int32_t")
    assert least_type(values, "float") == "float"


def test_fields_that_agree_share_a_member() -> None:
    params = signatures()["thm_conv_2d_s8"].params
    common = dict.fromkeys(params, 7)
    calls = [
        KernelCall("thm_conv_2d_s8", {**common, "in_h": n, "x_ring": n, "out_c": 300 * n}, {}, 0)
        for n in (1, 2, 250)
    ]
    words = words_of(calls)
    assert words.source == {"in_h": "in_h", "x_ring": "in_h", "out_c": "out_c"}
    assert words.types == {"out_c": "int32_t", "in_h": "uint8_t"}
    same = words_of(calls[:1] * 3)  # nothing differs: one member, since C has no empty structs
    assert len(same.types) == 1
