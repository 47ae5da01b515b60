"""Element-wise calls in place and joins without copies: the same bits, never a larger arena."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import ModelBuilder, op, random_inputs

from thimble.codegen.c import emit
from thimble.graph import Model
from thimble.inplace import kernels_in_place, pairs, without_copies
from thimble.lower import lower
from thimble.memory import Memory, place, place_without_copies
from thimble.ops.add import Add
from thimble.ops.concatenation import Concatenation
from thimble.ops.mul import Mul
from thimble.ops.relu import Relu
from thimble.program import Program, signatures
from thimble.runners.host_library import HostLibrary
from thimble.runners.reference import ReferenceRunner
from thimble.runners.shadow import ShadowRunner

QUANT = ("int8", 0.1, -3)


def check(model: Model, program: Program, memory: Memory, host: bool = False) -> None:
    """The twins (watched by the shadow) and, if asked, the C give what the reference gives."""
    sample = random_inputs(model.graph, 0)
    wanted = ReferenceRunner(model).trace(sample)
    shadow = ShadowRunner(program, memory)
    runners = [shadow, HostLibrary(emit(program, memory))] if host else [shadow]
    for runner in runners:
        found = runner.trace(sample)
        assert list(found.tensors) == list(wanted.tensors)
        for name, values in wanted.tensors.items():
            np.testing.assert_array_equal(found.tensors[name], values, err_msg=name)
    assert not shadow.findings, shadow.findings[0]


def chain(length: int) -> Model:
    """x -> RELU -> RELU ..."""
    b = ModelBuilder()
    t = b.input("x", (1, 4, 4, 4), *QUANT)
    for _ in range(length):
        t = b.op(Relu(), [t], [((1, 4, 4, 4), *QUANT)])
    return b.build([t])


def joined(rows: Sequence[int], axis: int) -> Model:
    """RELUs of parts of x (a SPLIT), joined again by CONCATENATION, and a RELU."""
    b = ModelBuilder()
    shapes = [(1, n, 4, 4) if axis == 1 else (1, 4, 4, n) for n in rows]
    pieces = []
    for k, shape in enumerate(shapes):
        x = b.input(f"x{k}", shape, *QUANT)
        pieces.append(b.op(Relu(), [x], [(shape, *QUANT)]))
    n = sum(rows)
    whole = (1, n, 4, 4) if axis == 1 else (1, 4, 4, n)
    y = b.op(Concatenation(axis=axis), pieces, [(whole, *QUANT)])
    return b.build([b.op(Relu(), [y], [(whole, *QUANT)])])


def test_a_chain_of_elementwise_layers_needs_one_tensor() -> None:
    model = chain(5)
    program = lower(model)
    memory = place(program)
    assert memory.arena_bytes == 64
    assert place(program, "greedy").arena_bytes == 128
    check(model, program, memory, host=True)


def test_what_is_read_later_is_not_overwritten() -> None:
    b = ModelBuilder()
    tensor = [((1, 64), *QUANT)]
    x = b.input("x", (1, 64), *QUANT)
    y = b.op(Relu(), [x], tensor)
    z = b.op(Relu(), [y], tensor)
    model = b.build([b.op(Add(), [z, y], tensor, version=2)])
    program = lower(model)
    memory = place(program)
    assert memory.arena_bytes == 128
    check(model, program, memory, host=True)


def test_a_smaller_operand_does_not_become_the_output() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 8), *QUANT)
    w = b.input("w", (8, 8), *QUANT)
    y = b.op(Relu(), [x], [((1, 8), *QUANT)])
    model = b.build([b.op(Mul(), [y, w], [((8, 8), *QUANT)], version=2)])
    program = lower(model)
    assert {program.buffers[i].bytes for i in pairs(program)[-1].operands} == {64}
    check(model, program, place(program), host=True)


def test_rows_are_joined_without_copies_and_channels_are_copied() -> None:
    model = joined([2, 3, 1], 1)
    program, memory = place_without_copies(lower(model))
    assert "thm_copy_blocks" not in {call.kernel for call in program.calls}
    assert memory.arena_bytes <= place(lower(model)).arena_bytes
    check(model, program, memory, host=True)
    model = joined([2, 3, 1], 3)
    program, memory = place_without_copies(lower(model))
    assert [call.kernel for call in program.calls].count("thm_copy_blocks") == 3
    check(model, program, memory, host=True)


def test_splits_are_read_where_they_are() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 6, 4, 4), *QUANT)
    y = b.op(Relu(), [x], [((1, 6, 4, 4), *QUANT)])
    axis = b.const("axis", np.array(1, np.int32))
    part = ((1, 2, 4, 4), *QUANT)
    pieces = b.op(op("SPLIT", "SplitOptions", num_splits=3), [axis, y], [part] * 3)
    total = b.op(Add(), [pieces[0], pieces[1]], [part], version=2)
    model = b.build([b.op(Add(), [total, pieces[2]], [part], version=2)])
    program, memory = place_without_copies(lower(model))
    assert "thm_copy_blocks" not in {call.kernel for call in program.calls}
    check(model, program, memory, host=True)


def test_every_kernel_in_place_says_so_and_has_one_output() -> None:
    names = kernels_in_place()
    assert {"thm_add_affine_s8", "thm_mul_s8", "thm_lookup_s8", "thm_relu_f32"} <= names
    assert not names & {"thm_conv_2d_s8", "thm_softmax_s8", "thm_copy_blocks"}
    for name in names:
        assert sum(b.is_output for b in signatures()[name].buffers) == 1


@st.composite
def graphs(draw: st.DrawFn) -> Model:
    """Layers that read any earlier tensors: element-wise ones, joins along rows or channels."""
    b = ModelBuilder()
    known = [(b.input("x", (1, 4, 2, 4), *QUANT), (1, 4, 2, 4))]
    for _ in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(["relu", "add", "mul", "join", "join"]))
        t, shape = draw(st.sampled_from(known))
        others = [u for u, s in known if s == shape]
        if kind == "relu":
            made = b.op(Relu(), [t], [(shape, *QUANT)])
        elif kind == "join":
            axis = draw(st.sampled_from([1, 3]))
            pieces = [t, *(draw(st.sampled_from(others)) for _ in range(draw(st.integers(0, 2))))]
            size = [*shape]
            size[axis] *= len(pieces)
            if size[1] * size[3] > 400:
                continue
            shape = (size[0], size[1], size[2], size[3])
            made = b.op(Concatenation(axis=axis), pieces, [(shape, *QUANT)])
        else:
            other = draw(st.sampled_from(others))
            layer = Add() if kind == "add" else Mul()
            made = b.op(layer, [t, other], [(shape, *QUANT)], version=2)
        known.append((made, shape))
    ends = draw(st.lists(st.sampled_from(known[1:] or known), min_size=1, max_size=2))
    return b.build(list(dict.fromkeys([known[-1][0], *(t for t, _ in ends)])))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_random_graphs_keep_their_bits(model: Model) -> None:
    program = lower(model)
    check(model, program, place(program))
    direct = without_copies(program)
    check(model, direct, place(direct))
    best, memory = place_without_copies(program)
    assert memory.arena_bytes <= place(program).arena_bytes
    assert best in (program, direct) or len(best.calls) <= len(program.calls)


@pytest.mark.parametrize("seed", range(3))
def test_in_place_on_all_lengths(seed: int) -> None:
    """Vector loops end in the middle of a vector: each length gives the same bits in place."""
    for length in (1, 3, 15, 16, 17, 31, 33, 70 + seed):
        b = ModelBuilder()
        tensor = [((1, length), *QUANT)]
        x, z = (b.input(name, (1, length), *QUANT) for name in "xz")
        y = b.op(Relu(), [x], tensor)
        w = b.op(Add(), [z, y], tensor, version=2)
        model = b.build([b.op(Mul(), [w, w], tensor, version=2)])
        program = lower(model)
        memory = place(program)
        assert memory.in_place
        check(model, program, memory, host=True)
