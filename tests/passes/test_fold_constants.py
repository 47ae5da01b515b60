"""Folding: shape arithmetic disappears, bits stay, what cannot be folded is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from models import ModelBuilder, op

from thimble.formats.tflite import loads
from thimble.graph import Quant
from thimble.invariants import check_graph
from thimble.ops.cast import Cast
from thimble.ops.concatenation import Concatenation
from thimble.ops.pack import Pack
from thimble.ops.reshape import Reshape
from thimble.ops.shape import Shape
from thimble.ops.split import Split
from thimble.ops.strided_slice import StridedSlice
from thimble.passes.fold_constants import fold_constants
from thimble.runners.reference import ReferenceRunner


def index(b, values):
    return b.const(f"c{len(b.tensors)}", np.array(values, np.int32))


def flatten():
    """What Keras writes for Flatten with a dynamic batch: RESHAPE to [SHAPE(x)[0], -1]."""
    b = ModelBuilder()
    x = b.input("x", (1, 3, 4), "float32")
    shape = b.op(Shape("int32"), [x])
    begin, end, step = index(b, [0]), index(b, [1]), index(b, [1])
    batch = b.op(StridedSlice(shrink_axis_mask=1), [shape, begin, end, step])
    target = b.op(Pack(2, 0), [batch, index(b, -1)])
    y = b.op(Reshape(), [x, target], [((1, 12), "float32")])
    return b.build([y])


def test_shape_arithmetic_folds_to_a_constant():
    model = flatten()
    graph = fold_constants(model.graph)
    assert [node.op.name for node in graph.nodes] == ["RESHAPE"]
    target = graph.tensors[graph.nodes[0].inputs[1]]
    np.testing.assert_array_equal(target.data, [1, -1])
    assert not check_graph(graph)
    x = [np.arange(12, dtype=np.float32).reshape(1, 3, 4)]
    before, after = ReferenceRunner(model).run(x), ReferenceRunner(model.with_graph(graph)).run(x)
    np.testing.assert_array_equal(before[0], after[0])


def test_tensors_keep_their_indices_and_the_graph_is_not_changed():
    model = flatten()
    data = [t.data is None for t in model.graph.tensors]
    graph = fold_constants(model.graph)
    assert [t.name for t in graph.tensors] == [t.name for t in model.graph.tensors]
    assert [t.data is None for t in model.graph.tensors] == data
    assert fold_constants(graph) is graph


def test_every_output_of_a_node_folds():
    b = ModelBuilder()
    x = b.input("x", (1, 4), "int32")
    parts = b.op(Split(2), [index(b, 0), index(b, [[1, 2], [3, 4]])])
    y = b.op(Concatenation(1), [x, *parts])
    model = b.build([y])
    graph = fold_constants(model.graph)
    assert [node.op.name for node in graph.nodes] == ["CONCATENATION"]
    x = [np.array([[9, 8, 7, 6]], np.int32)]
    after = ReferenceRunner(model.with_graph(graph)).run(x)
    np.testing.assert_array_equal(after[0], [[9, 8, 7, 6, 1, 2, 3, 4]])


def test_an_output_of_the_graph_folds():
    b = ModelBuilder()
    x = b.input("x", (2, 3), "float32")
    model = b.build([b.op(Cast("int32", "float32"), [b.op(Shape("int32"), [x])])])
    graph = fold_constants(model.graph)
    assert not graph.nodes
    (y,) = ReferenceRunner(model.with_graph(graph)).run([np.zeros((2, 3), np.float32)])
    np.testing.assert_array_equal(y, np.array([2, 3], np.float32))


def test_what_has_no_kernel_or_needs_an_input_stays():
    b = ModelBuilder()
    x = b.input("x", (2,), "float32")
    broken = b.op(Cast("int32", "float32"), [index(b, [1, 2])], [((3,), "float32")])
    opaque = b.op(op("RANGE"), [index(b, 0), index(b, 4), index(b, 1)], [((4,), "int32")])
    needs = b.op(Reshape(), [x, index(b, [1, 2])], [((1, 2), "float32")])
    graph = b.graph([broken, opaque, needs])
    assert fold_constants(graph) is graph


def test_quantized_constants_fold_to_what_the_kernel_computes():
    b = ModelBuilder()
    w = b.const("w", np.array([-128, 0, 127], np.int8), scale=0.1, zero_point=3)
    y = b.op(op("DEQUANTIZE"), [w], [((3,), "float32")])
    graph = fold_constants(b.graph([y]))
    wanted = np.float32(0.1) * np.array([-131, -3, 124], np.float32)
    np.testing.assert_array_equal(graph.tensors[y].data, wanted)
    assert isinstance(graph.tensors[w].quant, Quant)


def test_real_models_fold(shared):
    """The files of MLPerf Tiny and mltk that carry SHAPE chains end without them."""
    folder = shared / "data" / "models"
    files = [*folder.glob("tiny__vww_96_*"), *folder.glob("mltk__anomaly_detection__*")]
    if not files:
        pytest.skip("NO SHARED DATA: these models are absent")
    for path in files:
        graph = fold_constants(loads(path.read_bytes(), path.name).graph)
        assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & {node.op.name for node in graph.nodes}
        assert not check_graph(graph)
