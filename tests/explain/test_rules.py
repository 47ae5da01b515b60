"""Every rule finds what it is named for; each case is the comparison that must name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explain.damage import Site
from explain.faults import FILE_FAULTS
from explain.faulty import INPUT_FAULTS, RUNNER_FAULTS, Corrupt, FaultyRunner
from explain.nets import float_net, int8_net, samples
from models import ModelBuilder, op

from thimble.compare import compare
from thimble.explain import RULES
from thimble.explain.document import markdown
from thimble.explain.functions import Functions
from thimble.explain.rounding import accumulators, requantized
from thimble.graph import Model, Quant
from thimble.report import CompareReport

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Case:
    """`report()` must name `rule` first, at layer `index` (None: wherever)."""

    rule: str
    report: Callable[[], CompareReport]
    index: int | None = None

    def __str__(self) -> str:
        return self.rule


def _index(model: Model, name: str) -> int:
    return next(i for i in range(len(model.graph.nodes)) if model.graph.layer_name(i) == name)


def _node_changed(model: Model, name: str, **changes: Any) -> Model:
    site = Site(model, _index(model, name), np.random.default_rng(0))
    return model.with_graph(site.with_node(**changes))


def _constant_changed(model: Model, name: str, change: Callable[[Array], Array]) -> Model:
    t = next(i for i, t in enumerate(model.graph.tensors) if t.name == name)
    data = model.graph.tensors[t].data
    assert data is not None
    site = Site(model, 0, np.random.default_rng(0))
    return model.with_graph(site.with_tensor(t, data=change(data).astype(data.dtype)))


def _against(model: Model, other: Model) -> CompareReport:
    return compare(model, other, samples(), explain=True)


def _swapped_operands() -> CompareReport:
    model = float_net()
    node = model.graph.nodes[_index(model, "difference")]
    return _against(model, _node_changed(model, "difference", inputs=node.inputs[::-1]))


def _without(model: Model, name: str) -> Model:
    """The model without a layer of one input: its readers read what it read."""
    graph = model.graph
    k = _index(model, name)
    gone = graph.nodes[k]
    nodes = tuple(
        replace(n, inputs=tuple(gone.inputs[0] if t == gone.outputs[0] else t for t in n.inputs))
        for n in graph.nodes
        if n is not gone
    )
    return model.with_graph(graph.with_(nodes=nodes))


def _option(name: str, **changes: Any) -> CompareReport:
    model = float_net()
    node = model.graph.nodes[_index(model, name)]
    return _against(model, _node_changed(model, name, op=replace(node.op, **changes)))


def _runner(model: Model, index: int, corrupt: Corrupt) -> CompareReport:
    return compare(model, (model, FaultyRunner(model, index, corrupt, 0)), samples(), explain=True)


def _rounded(name: str) -> CompareReport:
    """A 1x1 convolution whose factors are powers of two, so that halves are frequent."""
    rng = np.random.default_rng(4)
    b = ModelBuilder()
    x = b.input("x", (1, 24, 24, 4), "int8", 0.5, 3)
    weights = rng.integers(-9, 10, (8, 1, 1, 4)).astype(np.int8)
    w = b.const("w", weights, scale=[0.5, 0.25, 0.125, 0.0625] * 2)
    bias = b.const("b", rng.integers(-50, 50, 8).astype(np.int32), scale=[0.25] * 8)
    convolution = op("CONV_2D", "Conv2DOptions", padding="SAME", stride_h=1, stride_w=1)
    model = b.build([b.op(convolution, [x, w, bias], [((1, 24, 24, 8), "int8", 1.0, -5)])])
    functions = Functions(model)

    def corrupt(y: Array, memory: Any) -> Array:
        acc = accumulators(functions, 0, memory.values)
        assert acc is not None
        return requantized(functions, 0, acc, name).reshape(y.shape).astype(y.dtype)

    return compare(model, (model, FaultyRunner(model, 0, corrupt, 0)), samples=2, explain=True)


def _bias_scale(factor: float) -> CompareReport:
    model = int8_net()
    t = model.graph.nodes[2].inputs[2]
    quant = model.graph.tensors[t].quant
    assert quant is not None
    scale = (quant.scale * np.float32(factor)).astype(np.float32)
    changed = Quant(scale, quant.zero_point, quant.axis)
    site = Site(model, 2, np.random.default_rng(0))
    return _against(model, model.with_graph(site.with_tensor(t, quant=changed)))


def _copy_scale() -> CompareReport:
    """A TRANSPOSE whose output is not on the grid of its input."""
    model = int8_net()
    k = _index(model, "turned")
    t = model.graph.nodes[k].outputs[0]
    quant = model.graph.tensors[t].quant
    assert quant is not None
    site = Site(model, k, np.random.default_rng(0))
    changed = replace(quant, scale=(quant.scale * np.float32(1.3)).astype(np.float32))
    return _against(float_net(), model.with_graph(site.with_tensor(t, quant=changed)))


def _float_order() -> CompareReport:
    def corrupt(y: Array, memory: Any) -> Array:
        return (y * np.float32(1 + 3e-4)).astype(np.float32)

    return _runner(float_net(), 2, corrupt)


def _input(change: Callable[[Array], Array]) -> CompareReport:
    x = 0.5 * samples()
    return compare(int8_net(), int8_net(), x, data_b=change(x).astype(np.float32), explain=True)


def _signed() -> CompareReport:
    step = float(int8_net().graph.tensors[int8_net().graph.inputs[0]].scale)
    x = -0.3 + 0.1 * samples()
    low = (x - x.max() - 20 * step).astype(np.float32)
    data_b = (low + 128 * step).astype(np.float32)
    return compare(int8_net(), int8_net(), low, data_b=data_b, explain=True)


def _added_layer() -> CompareReport:
    model = float_net()
    return _against(_without(model, "scaled"), model)


def _block_padding() -> CompareReport:
    """SPACE_TO_BATCH_ND padded with 0 where the zero point is 7."""
    b = ModelBuilder()
    x = b.input("x", (1, 6, 6, 2), "int8", 0.05, 7)
    block = b.const("block", np.array([2, 2], np.int32))
    pads = b.const("pads", np.array([[2, 2], [2, 2]], np.int32))
    out = ((4, 5, 5, 2), "int8", 0.05, 7)
    model = b.build([b.op(op("SPACE_TO_BATCH_ND"), [x, block, pads], [out])])

    def corrupt(y: Array, memory: Any) -> Array:
        plain = memory.values[0]
        wide = np.pad(plain, ((0, 0), (2, 2), (2, 2), (0, 0)))
        parts = [wide[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return np.concatenate(parts, 0)

    return compare(model, (model, FaultyRunner(model, 0, corrupt, 0)), explain=True)


CASES = (
    Case("operand-order", _swapped_operands),
    Case("stride", lambda: _option("pooled", filter_height=2, filter_width=2)),
    Case("option", lambda: _option("probabilities", beta=2.0)),
    Case("axis", lambda: _against(
        float_net(), _constant_changed(float_net(), "permutation", lambda p: np.arange(4)))),
    Case("constant", lambda: _against(
        float_net(), _constant_changed(float_net(), "factor", lambda f: f[..., ::-1]))),
    Case("layer-missing", lambda: _against(float_net(), _without(float_net(), "scaled"))),
    Case("layer-added", _added_layer),
    Case("weights-scaled-by-channel", lambda: _against(
        float_net(), _constant_changed(
            float_net(), "w3", lambda w: w * np.linspace(0.5, 2, 8).reshape(8, 1, 1, 1)))),
    Case("weights-not-finite", lambda: _against(
        float_net(), _constant_changed(float_net(), "w3", lambda w: np.where(w > 0.9, np.nan, w)))),
    Case("bias-differs", lambda: _against(
        float_net(), _constant_changed(
            float_net(), "b1", lambda b: b + np.random.default_rng(1).normal(0, 0.1, 8)))),
    Case("bias-scale", lambda: _bias_scale(1.5)),
    Case("copy-scale", _copy_scale),
    Case("xnnpack-rounding", lambda: _rounded("xnnpack")),
    Case("ruy-rounding", lambda: _rounded("half-up")),
    Case("single-rounding", lambda: _rounded("single")),
    Case("truncated", lambda: _rounded("floor")),
    Case("float-order", _float_order),
    Case("space-to-batch-padding", _block_padding),
    Case("signedness", _signed),
    Case("input-clipped", lambda: _input(lambda x: np.clip(x, -0.3, 0.3))),
    Case("inputs-differ", lambda: _input(
        lambda x: np.random.default_rng(2).uniform(-0.5, 0.5, x.shape))),
)  # fmt: skip

# Rules whose tests need a peer or a file: test_explain_peers.py and test_keras_against_tflm.
ELSEWHERE = {
    "hybrid-activations",
    "per-channel-dequantize",
    "dynamic-batch",
    "rounding",
    "unsupported",
    "runner",
    "bias-scale-mismatch",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule_is_named_first(case: Case) -> None:
    report = case.report()
    assert report.causes
    assert report.causes[0].rule == case.rule, [(c.rule, c.index) for c in report.causes]


def test_every_rule_has_a_test() -> None:
    seeded = {c for f in (*FILE_FAULTS, *RUNNER_FAULTS, *INPUT_FAULTS) for c in f.causes}
    tested = seeded | {case.rule for case in CASES} | ELSEWHERE
    names = {rule.name for rule in RULES}
    assert names - tested == set()
    assert tested - names == set()


def test_models_that_agree_have_no_cause() -> None:
    for model in (float_net(), int8_net()):
        assert not compare(model, model, samples(), explain=True).causes
    report = compare(float_net(), int8_net(), samples(), explain=True)
    assert not [c for c in report.causes if c.proof in ("shown", "rounding")]


def test_the_document_is_fresh() -> None:
    path = Path(__file__).parents[2] / "docs" / "explain.md"
    assert path.read_text() == markdown(), "run: python -m thimble.explain > docs/explain.md"
