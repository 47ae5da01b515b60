"""Layers run in the order that needs least memory, with the same bits."""

from __future__ import annotations

import numpy as np
from models import ModelBuilder, op, random_inputs

from thimble.build import prepare
from thimble.graph import Model
from thimble.lower import lower
from thimble.memory import place_without_copies
from thimble.node_order import in_least_order
from thimble.passes import run_passes
from thimble.runners.program import ProgramRunner
from thimble.runners.reference import ReferenceRunner


def wide_branches(count: int) -> Model:
    """Branches that grow 16-fold and shrink again, each stage of all of them side by side."""
    rng = np.random.default_rng(0)
    builder = ModelBuilder()
    x = builder.input("x", (1, 8))

    def dense(inputs: int, depth: int, outputs: int) -> int:
        w = builder.const(
            f"w{len(builder.tensors)}", rng.normal(size=(outputs, depth)).astype(np.float32)
        )
        return builder.op(op("FULLY_CONNECTED"), [inputs, w, None], [((1, outputs), "float32")])

    wide = [dense(x, 8, 128) for _ in range(count)]
    narrow = [dense(t, 128, 8) for t in wide]
    total = narrow[0]
    for t in narrow[1:]:
        total = builder.op(op("ADD"), [total, t], [((1, 8), "float32")])
    return builder.build([total])


def test_branches_run_one_after_the_other() -> None:
    model = wide_branches(4)
    lowered = lower(run_passes(model), "m", "scalar")
    given = place_without_copies(lowered)[1].arena_bytes
    prepared = prepare(model)
    assert prepared.memory.arena_bytes < given / 2
    inputs = random_inputs(model.graph)
    found = ProgramRunner(prepared.program, prepared.memory).run(inputs)
    for y, wanted in zip(found, ReferenceRunner(model).run(inputs), strict=True):
        assert y.tobytes() == wanted.tobytes()
    assert in_least_order(prepared.model, prepared.program) is None


def test_a_chain_stays_as_it_is() -> None:
    model = run_passes(wide_branches(1))
    assert in_least_order(model, lower(model, "m", "scalar")) is None
