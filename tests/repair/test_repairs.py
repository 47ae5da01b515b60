"""Every repair on a small model that needs it; what is verified, refused and written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder, op

import thimble
from thimble.cli import execute
from thimble.errors import BadInput, ThimbleError, UnsupportedModel
from thimble.formats.tflite import dumps, loads
from thimble.graph import Graph, Model, Quant, Tensor
from thimble.repair import REPAIRS, apply, chosen, markdown, repair
from thimble.repair.contract import Repair, on_graphs

ROOT = Path(__file__).parents[2]


def kinds(model: Model) -> list[str]:
    return [node.op.name for node in model.graph.nodes]


def conv_options(**options: object) -> dict[str, object]:
    return {"padding": "VALID", "stride_h": 1, "stride_w": 1, **options}


def convolution(
    b: ModelBuilder, x: int, channels: int, filters: int, shape: tuple[int, ...], groups: int = 1
) -> int:
    rng = np.random.default_rng(filters)
    w = rng.normal(size=(filters, 2, 2, channels // groups)).astype(np.float32)
    bias = b.const("b", np.zeros(filters, np.float32))
    room = op("CONV_2D", "Conv2DOptions", **conv_options())
    return b.op(room, [x, b.const("w", w), bias], [(shape, "float32")])


def dynamic_batch() -> Model:
    """x [-1, 6, 6, 1] -> SPACE_TO_BATCH_ND -> CONV_2D -> BATCH_TO_SPACE_ND -> ADD, the batch 1."""
    b = ModelBuilder()
    x = b.input("x", (1, 6, 6, 1), "float32")
    block = b.const("block", np.array([2, 2], np.int32))
    none = b.const("none", np.zeros((2, 2), np.int32))
    s = b.op(op("SPACE_TO_BATCH_ND"), [x, block, none], [((1, 3, 3, 1), "float32")])
    c = convolution(b, s, 1, 3, (1, 2, 2, 3))
    y = b.op(op("BATCH_TO_SPACE_ND"), [c, block, none], [((1, 4, 4, 3), "float32")])
    bias = b.const("addend", np.array([1, 2, 3], np.float32))
    y = b.op(op("ADD", "AddOptions"), [y, bias], [((1, 4, 4, 3), "float32")])
    model = b.build([y])
    tensors = list(model.graph.tensors)
    tensors[x] = replace(tensors[x], shape_signature=(-1, 6, 6, 1))
    return model.with_graph(model.graph.with_(tensors=tuple(tensors)))


def computed_shape() -> Model:
    """x [1, 4] -> SHAPE -> STRIDED_SLICE -> PACK -> RESHAPE."""
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    shape = b.op(op("SHAPE", "ShapeOptions", out_type="int32"), [x], [((2,), "int32")])
    ends = [b.const(f"e{i}", np.array([i], np.int32)) for i in range(2)]
    step = b.const("step", np.array([1], np.int32))
    cut = op("STRIDED_SLICE", "StridedSliceOptions", shrink_axis_mask=1)
    batch = b.op(cut, [shape, ends[0], ends[1], step], [((), "int32")])
    two = b.const("two", np.array(2, np.int32))
    packed = op("PACK", "PackOptions", values_count=3)
    wanted = b.op(packed, [batch, two, two], [((3,), "int32")])
    y = b.op(op("RESHAPE", "ReshapeOptions"), [x, wanted], [((1, 2, 2), "float32")])
    return b.build([y])


def stored_weights(scales: int) -> Model:
    """DEQUANTIZE of int8 weights before a convolution."""
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 1), "float32")
    rng = np.random.default_rng(0)
    q = rng.integers(-127, 128, (3, 2, 2, 1)).astype(np.int8)
    w = b.const("w", q, scale=[0.01, 0.02, 0.3][:scales])
    f = b.op(op("DEQUANTIZE"), [w], [((3, 2, 2, 1), "float32")])
    bias = b.const("b", np.zeros(3, np.float32))
    room = op("CONV_2D", "Conv2DOptions", **conv_options())
    return b.build([b.op(room, [x, f, bias], [((1, 3, 3, 3), "float32")])])


def requantized(scale: float) -> Model:
    """An int8 RELU, a DEQUANTIZE, a QUANTIZE to `scale`, an int8 RELU."""
    b = ModelBuilder()
    x = b.input("x", (1, 8), "int8", 0.1)
    r = b.op(op("RELU"), [x], [((1, 8), "int8", 0.1, 0)])
    f = b.op(op("DEQUANTIZE"), [r], [((1, 8), "float32")])
    q = b.op(op("QUANTIZE"), [f], [((1, 8), "int8", scale, 0)])
    return b.build([b.op(op("RELU"), [q], [((1, 8), "int8", scale, 0)])])


def with_rubbish() -> Model:
    """RELU, a dead RELU, a tensor of no one."""
    b = ModelBuilder()
    x = b.input("x", (1, 8), "float32")
    y = b.op(op("RELU"), [x], [((1, 8), "float32")])
    b.op(op("RELU6"), [x], [((1, 8), "float32")])
    b.tensor(Tensor("nobody", (3,), "int8"))
    return b.build([y])


def with_metadata() -> Model:
    return replace(with_rubbish(), metadata={"note": b"made on a Monday"})


def hybrid() -> Model:
    """A float convolution that reads int8 weights."""
    model = stored_weights(1)
    graph = model.graph
    node = replace(graph.nodes[1], inputs=(graph.inputs[0], graph.nodes[0].inputs[0], -1))
    node = replace(node, version=2)
    return model.with_graph(graph.with_(nodes=(node,)))


def grouped() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 2), "float32")
    y = convolution(b, x, 2, 4, (1, 3, 3, 4), groups=2)
    return b.build([y])


def depthwise() -> Model:
    return apply(grouped(), chosen(["depthwise-form"]))[0]


def old_code() -> Model:
    """Read from a file whose older field is 0."""
    data = bytearray(dumps(with_rubbish()))
    model = loads(bytes(data))
    return replace(model, extra={"only_new_builtin_code": ("RELU",)})


def relu_after_conv() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 2), "float32")
    y = convolution(b, x, 2, 4, (1, 3, 3, 4))
    return b.build([b.op(op("RELU"), [y], [((1, 3, 3, 4), "float32")])])


def versioned(model: Model, version: int) -> Model:
    """The model with its first layer in that op version."""
    nodes = model.graph.nodes
    return model.with_graph(
        model.graph.with_(nodes=(replace(nodes[0], version=version), *nodes[1:]))
    )


# repair -> a model that needs it, its ops before and after this repair alone
CASES: dict[str, tuple[Callable[[], Model], list[str]]] = {
    "builtin-code": (old_code, ["RELU", "RELU6"]),
    "strip-unused": (with_rubbish, ["RELU"]),
    "static-batch": (
        dynamic_batch,
        ["SPACE_TO_BATCH_ND", "CONV_2D", "BATCH_TO_SPACE_ND", "ADD"],
    ),
    "fold-shape-arithmetic": (computed_shape, ["RESHAPE"]),
    "per-channel-dequantize": (lambda: stored_weights(3), ["CONV_2D"]),
    "float-weights": (hybrid, ["CONV_2D"]),
    "dilated-convolution": (dynamic_batch, ["CONV_2D", "ADD"]),
    "fuse-bias": (
        lambda: apply(dynamic_batch(), chosen(["dilated-convolution"]))[0],
        ["CONV_2D"],
    ),
    "remove-requantize-pairs": (lambda: requantized(0.1), ["RELU", "RELU"]),
    "merge-requantize": (lambda: requantized(0.17), ["RELU", "QUANTIZE", "RELU"]),
    "depthwise-form": (grouped, ["DEPTHWISE_CONV_2D"]),
    "convolution-form": (depthwise, ["CONV_2D"]),
    "down-level": (lambda: versioned(relu_after_conv(), 6), ["CONV_2D", "RELU"]),
    "strip-metadata": (with_metadata, ["RELU", "RELU6"]),
}


def test_every_repair_has_a_case() -> None:
    assert list(CASES) == [r.name for r in REPAIRS]


@pytest.mark.parametrize("name", CASES)
def test_it_mends_its_model_and_says_where(name: str) -> None:
    make, after = CASES[name]
    model = make()
    repaired = repair(model, [name])
    assert [applied.name for applied in repaired.report.repairs] == [name]
    assert repaired.report.repairs[0].layers
    assert kinds(repaired.model) == after
    assert kinds(loads(repaired.content)) == after
    assert repaired.report.verification[0].runner == "reference"
    assert all(row.passed for row in repaired.report.verification if row.after_max_abs is not None)
    again = repair(loads(repaired.content), [name])
    assert not again.report.repairs
    assert "nothing to repair" in str(again.report)


@pytest.mark.parametrize("name", CASES)
def test_it_leaves_other_models_alone(name: str) -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 6, 6, 3), "float32")
    model = b.build([convolution(b, x, 3, 4, (1, 5, 5, 4))])
    repaired = repair(model, [name])
    assert repaired.model is model
    assert repaired.content == dumps(model)


def test_tflm_computes_what_is_meant_only_after_the_repair() -> None:
    """Its DEQUANTIZE has one scale; its SPACE_TO_BATCH_ND has the shapes of the file."""
    pytest.importorskip("tflite_micro")
    for make in (dynamic_batch, lambda: stored_weights(3)):
        rows = {row.runner: row for row in repair(make()).report.verification}
        assert rows["tflm"].before_max_abs is None or rows["tflm"].before_max_abs > 0.1
        assert rows["tflm"].passed


def test_a_repair_of_hybrid_weights_makes_tflm_run() -> None:
    pytest.importorskip("tflite_micro")
    rows = {r.runner: r for r in repair(hybrid(), ["float-weights"]).report.verification}
    assert rows["tflm"].before_max_abs is None
    assert "refused the original" in rows["tflm"].note
    assert rows["tflm"].passed


def doubled(graph: Graph) -> Graph:
    """A wrong rewrite: it doubles the scale of what the last layer makes of the weights."""
    tensors = [
        replace(t, data=t.data * 2) if t.is_constant and t.dtype == "float32" else t
        for t in graph.tensors
    ]
    return graph.with_(tensors=tuple(tensors))


def test_a_wrong_rewrite_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = Repair("static-batch", "It breaks the weights.", on_graphs(doubled))
    monkeypatch.setattr(sys.modules["thimble.repair"], "REPAIRS", (wrong,))
    path, out = tmp_path / "m.tflite", tmp_path / "r.tflite"
    grouped().save(str(path))
    with pytest.raises(ThimbleError) as caught:
        repair(str(path))
    assert {f.rule for f in caught.value.findings} == {"repair-differs"}
    assert execute(["repair", str(path), "-o", str(out), "-q"]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.tflite"]


def test_rounding_is_allowed_where_it_is_bounded() -> None:
    model = requantized(0.17)
    data = np.arange(-128, 128, dtype=np.int8).reshape(-1, 8)
    row = repair(model, ["merge-requantize"], data).report.verification[0]
    assert row.after_max_lsb is not None
    assert row.after_max_lsb <= 1


def test_what_nothing_runs_is_not_verified() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    unknown = op("RELU")
    y = b.op(unknown, [x], [((1, 4), "float32")])
    model = b.build([y])
    from thimble.ops.contract import OpaqueOp

    custom = OpaqueOp(op_name="MyOwn", fields={"bytes": b""}, is_custom=True, builtin_code=32)
    graph = model.graph
    model = model.with_graph(graph.with_(nodes=(replace(graph.nodes[0], op=custom),)))
    model = replace(model, metadata={"note": b"."})
    with pytest.raises(ThimbleError) as caught:
        repair(model, ["strip-metadata"])
    assert caught.value.findings[0].rule == "not-verified"


def test_unused_subgraphs_go_and_the_others_are_renumbered() -> None:
    from thimble.ops.contract import OpaqueOp

    model = with_rubbish()
    called = OpaqueOp(
        op_name="CALL_ONCE",
        table="CallOnceOptions",
        fields={"init_subgraph_index": 2},
        builtin_code=129,
    )
    graph = model.graph
    graph = graph.with_(
        nodes=(*graph.nodes, replace(graph.nodes[0], op=called, inputs=(), outputs=()))
    )
    whole = replace(model, graphs=(graph, model.graph, model.graph.with_(name="init")))
    small, applied = apply(whole, chosen(["strip-unused"]))
    assert [g.name for g in small.graphs] == ["main", "init"]
    assert isinstance(small.graph.nodes[-1].op, OpaqueOp)
    assert small.graph.nodes[-1].op.fields["init_subgraph_index"] == 1
    assert "1 subgraph" in applied[0].layers


def test_an_old_runtime_gets_depthwise_layers_instead_of_groups() -> None:
    model = replace(versioned(grouped(), 6), metadata={"min_runtime_version": b"2.9.0\0"})
    repaired = repair(model, [], runtime="2.4.1")
    assert kinds(repaired.model) == ["DEPTHWISE_CONV_2D"]
    assert repaired.model.metadata["min_runtime_version"] == b"1.12.0".ljust(16, b"\0")
    assert repair(model, [], runtime="2.9").model is model


def test_what_an_old_runtime_lacks_is_reported() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    y = b.op(op("GELU", "GeluOptions"), [x], [((1, 4), "float32")])
    model = b.build([b.op(op("ELU"), [y], [((1, 4), "float32")])])
    with pytest.raises(UnsupportedModel) as caught:
        repair(model, runtime="2.4")
    assert [f.rule for f in caught.value.findings] == ["too-new"]
    assert "TensorFlow 2.9" in caught.value.findings[0].message
    with pytest.raises(BadInput, match="no TensorFlow release"):
        repair(model, runtime="yesterday")


def test_versions_are_those_that_the_converter_wrote(shared: Path) -> None:
    """Nothing in these files is higher than its layer needs, and none of it is lowered."""
    for name in ("kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8"):
        model = thimble.load(str(shared / f"data/bench/{name}.tflite"))
        mended, _ = apply(model, chosen(["down-level"]))
        before = [(n.op.name, n.version) for n in model.graph.nodes]
        after = [(n.op.name, n.version) for n in mended.graph.nodes]
        assert before == after


def test_bodies_of_loops_keep_their_shapes() -> None:
    """Their inputs have the shapes of the caller's loop variables, which the file may not hold."""
    from thimble.ops.contract import OpaqueOp

    called = OpaqueOp(
        op_name="WHILE",
        table="WhileOptions",
        fields={"cond_subgraph_index": 1, "body_subgraph_index": 1},
        builtin_code=119,
    )
    body = dynamic_batch().graph
    graph = with_rubbish().graph
    graph = graph.with_(nodes=(replace(graph.nodes[0], op=called), *graph.nodes[1:]))
    model = replace(with_rubbish(), graphs=(graph, body))
    names = ["static-batch", "fold-shape-arithmetic", "dilated-convolution"]
    assert apply(model, chosen(names))[0] is model


def test_unknown_names_are_all_reported() -> None:
    with pytest.raises(BadInput) as caught:
        repair(grouped(), ["static-bach", "levitate", "depthwise-form"])
    assert [f.rule for f in caught.value.findings] == ["unknown-repair"] * 2
    assert "static-batch" in caught.value.findings[0].hint


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "m.tflite", tmp_path / "r.tflite"
    dynamic_batch().save(str(path))
    assert execute(["repair", str(path), "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [r["name"] for r in report["repairs"]] == [
        "static-batch",
        "dilated-convolution",
        "fuse-bias",
    ]
    assert report["output"] == str(out)
    assert report["bytes_after"] == out.stat().st_size
    assert kinds(thimble.load(str(out))) == ["CONV_2D"]
    assert execute(["repair", str(out), "-o", str(path), "-q"]) == 0
    assert path.read_bytes() == out.read_bytes()
    assert "nothing to repair" in capsys.readouterr().out
    assert execute(["repair", str(path), "-o", str(out), "--only", "no-such"]) == 2
    assert execute(["repair", str(path)]) == 2
    assert execute(["repair", "--list", "--json"]) == 0
    captured = capsys.readouterr()
    assert [r["name"] for r in json.loads(captured.out)["repairs"]] == [r.name for r in REPAIRS]


def test_python_interface(tmp_path: Path) -> None:
    repaired = thimble.repair(requantized(0.1))
    repaired.save(str(tmp_path / "r.tflite"))
    assert kinds(thimble.load(str(tmp_path / "r.tflite"))) == ["RELU", "RELU"]
    assert isinstance(repaired.model.graph.tensors[0].quant, Quant)


def test_docs_are_fresh() -> None:
    hint = "run: thimble repair --write docs/repair.md"
    assert (ROOT / "docs" / "repair.md").read_text() == markdown(), hint
