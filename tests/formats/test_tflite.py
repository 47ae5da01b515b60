"""Reading and writing .tflite: what the format can say survives; the file is what runtimes want."""

from __future__ import annotations

import dataclasses
import importlib
import io
import os
import zipfile

import numpy as np
import pytest
from models import ModelBuilder, difference, op, random_inputs
from peers import require, run_litert, run_tflm
from tflite_samples import everything, raw_file, small

from thimble.errors import BadInput, InvalidModel, UnsupportedModel
from thimble.formats import tflite
from thimble.formats.tflite import attached, schema
from thimble.formats.tflite.flatbuffer import decode, encode
from thimble.formats.tflite.write import write
from thimble.graph import Graph, Model, Node, Tensor
from thimble.repair.builtin_code import builtin_code

RNG_SEED = 7
UNIONS = ("BuiltinOptions", "BuiltinOptions2")
OPTION_TABLES = sorted({name for u in UNIONS for name in schema.values(u)} - {"NONE"})
# Not in the wheel, so that nothing independent can read them back.
NEWER_TABLES = frozenset(schema.NEWER_FIELDS)


def test_everything_survives():
    model = everything()
    back = tflite.loads(tflite.dumps(model))
    assert difference(back, tflite.loads(tflite.dumps(back))) is None
    for graph, again in zip(model.graphs, back.graphs, strict=True):
        assert difference(graph.tensors, again.tensors) is None
        assert difference(graph.extra, again.extra) is None
        for a, b in zip(graph.nodes, again.nodes, strict=True):
            assert (
                difference((a.inputs, a.outputs, a.version), (b.inputs, b.outputs, b.version))
                is None
            )
            assert a.intermediates == b.intermediates
    for name in ("description", "signatures", "metadata", "extra"):
        assert difference(getattr(model, name), getattr(back, name)) is None
    nodes = back.graph.nodes
    assert nodes[0].op.name == "ADD"
    assert nodes[1].extra["mutating_variable_inputs"] == (False, True, False)
    assert nodes[1].extra["debug_metadata_index"] == 3
    assert difference(nodes[2].op, model.graph.nodes[2].op) is None
    assert difference(nodes[3].op, model.graph.nodes[3].op) is None


def test_writing_is_deterministic():
    assert tflite.dumps(everything()) == tflite.dumps(everything())


def test_peers_read_what_we_write():
    require("litert")
    require("tflm")
    model = small()
    data = tflite.dumps(model)
    inputs = random_inputs(model.graph)
    (expected,) = run_litert(data, inputs)
    assert len(np.unique(expected)) > 2
    for (found,) in (run_tflm(data, inputs), run_litert(data, inputs, "default")):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", [t for t in OPTION_TABLES if t not in NEWER_TABLES])
def test_options_as_the_bindings_read_them(name):
    """Every field of every options table, written by us, reads the same through the wheel."""
    rng = np.random.default_rng(RNG_SEED)
    values = {}
    for field in schema.table(name):
        if field.kind == "scalar":
            choices = list(schema.members(field.target).values()) if field.target else [1, 0, 3]
            values[field.name] = choices[-1] if field.dtype != "|b1" else True
            if field.dtype.startswith("<f"):
                values[field.name] = float(np.float32(rng.normal()))
        elif field.kind == "scalars":
            count = int(rng.integers(1, 5))
            vector = (
                rng.integers(0, 2, count) if field.dtype == "|b1" else rng.integers(1, 99, count)
            )
            values[field.name] = vector.astype(field.dtype)
        elif field.kind == "string":
            values[field.name] = f"text of {field.name}"
        else:
            pytest.fail(f"{name}.{field.name} is a {field.kind}: extend this test")
    data = encode(name, values)
    module = importlib.import_module(f"tflite.{name}")
    table = getattr(module, name).GetRootAs(data, 0)
    accessors = {schema.snake(a): a for a in dir(table) if hasattr(module, f"{name}Add{a}")}
    assert sorted(accessors) == sorted(values)
    for field in schema.table(name):
        accessor, value = accessors[field.name], values[field.name]
        if field.kind == "scalars":
            np.testing.assert_array_equal(getattr(table, f"{accessor}AsNumpy")(), value)
        elif field.kind == "string":
            assert getattr(table, accessor)().decode() == value
        else:
            wanted = schema.values(field.target)[value] if field.target else value
            assert getattr(table, accessor)() == wanted
    assert difference(schema.plain(decode(data, name, "test")), schema.plain(values)) is None


@pytest.mark.parametrize("name", [t for t in OPTION_TABLES if t not in NEWER_TABLES])
def test_absent_options_are_the_bindings_defaults(name):
    module = importlib.import_module(f"tflite.{name}")
    table = getattr(module, name).GetRootAs(encode(name, {}), 0)
    accessors = {schema.snake(a): a for a in dir(table) if hasattr(module, f"{name}Add{a}")}
    for field in schema.table(name):
        if field.kind == "scalar":
            value = schema.defaults(name)[field.name]
            raw = schema.values(field.target)[value] if field.target else value
            assert getattr(table, accessors[field.name])() == raw


@pytest.mark.parametrize(
    ("deprecated", "code", "name"),
    [
        (3, 0, "CONV_2D"),
        (0, 3, "CONV_2D"),
        (3, 3, "CONV_2D"),
        (127, 128, "ABS_"),
        (127, 150, "GELU"),
    ],
)
def test_builtin_code_is_the_larger_of_two(deprecated, code, name):
    codes = [{"deprecated_builtin_code": deprecated, "builtin_code": code}]
    model = tflite.loads(encode("Model", raw_file(operator_codes=codes)))
    wanted = schema.members("BuiltinOperator")[max(deprecated, code)]
    assert model.graph.nodes[0].op.name == wanted
    if not name.endswith("_"):
        assert wanted == name
    (written,) = decode(tflite.dumps(model), "Model", "test")["operator_codes"]
    assert written["builtin_code"] == max(deprecated, code)
    assert written["deprecated_builtin_code"] == min(127, max(deprecated, code))


def test_missing_options_mean_the_schema_defaults():
    codes = [{"builtin_code": schema.values("BuiltinOperator")["FULLY_CONNECTED"]}]
    node = tflite.loads(encode("Model", raw_file(operator_codes=codes))).graph.nodes[0]
    assert node.op == op("FULLY_CONNECTED", "FullyConnectedOptions")


def test_buffers_behind_the_flatbuffer():
    values = np.arange(2, dtype=np.float32)
    options = b"options of a custom op"
    file = raw_file(operator_codes=[{"builtin_code": 32, "custom_code": "Mine"}])
    graph = file["subgraphs"][0]
    graph["tensors"].append({"shape": [2], "type": "float32", "name": "w", "buffer": 1})
    graph["operators"][0]["inputs"] = [0, 2]
    # Offsets do not change the length of the file, so a first encoding tells where the end is.
    for end in (1 << 20, None):
        end = end or len(encode("Model", file))
        file["buffers"] = [{}, {"offset": end, "size": 8}]
        graph["operators"][0] |= {
            "large_custom_options_offset": end + 8,
            "large_custom_options_size": len(options),
        }
    model = tflite.loads(encode("Model", file) + values.tobytes() + options)
    np.testing.assert_array_equal(model.graph.tensors[2].data, values)
    assert model.graph.nodes[0].op.fields["bytes"] == options
    assert difference(builtin_code(model), tflite.loads(tflite.dumps(model))) is None


def test_weights_are_views_and_aligned():
    data = tflite.dumps(everything())
    base = np.frombuffer(data, np.uint8)
    seen = 0
    for tensor in tflite.loads(data).graph.tensors:
        if tensor.data is not None and tensor.data.nbytes:
            assert np.shares_memory(tensor.data, base)
            address = tensor.data.__array_interface__["data"][0]
            assert (address - base.__array_interface__["data"][0]) % 16 == 0
            assert not tensor.data.flags.writeable
            seen += 1
    assert seen > 8
    assert data[4:8] == b"TFL3"


def test_shared_buffers_stay_shared():
    b = ModelBuilder()
    weights = np.random.default_rng(RNG_SEED).normal(size=(64, 64)).astype(np.float32)
    x = b.input("x", (64, 64))
    for i in range(4):
        x = b.op(op("ADD", "AddOptions"), [x, b.const(f"w{i}", weights)], [((64, 64), "float32")])
    data = tflite.dumps(b.build([x]))
    assert len(data) < 1.5 * weights.nbytes
    assert len(tflite.dumps(tflite.loads(data))) == len(data)


def test_a_tensor_of_no_elements_is_constant_unless_something_gives_it():
    b = ModelBuilder()
    x = b.input("x", (0, 2))
    empty = b.const("empty", np.zeros((0, 2), np.float32))
    y = b.op(op("ADD", "AddOptions"), [x, empty], [((0, 2), "float32")])
    graph = tflite.loads(tflite.dumps(b.build([y]))).graph
    assert [t.is_constant for t in graph.tensors] == [False, True, False]


def test_old_bias_axis_and_missing_zero_points():
    file = raw_file()
    old = {"scale": [0.5, 0.25], "zero_point": [], "quantized_dimension": 3}
    file["subgraphs"][0]["tensors"][0]["quantization"] = old
    quant = tflite.loads(encode("Model", file)).graph.tensors[0].quant
    assert quant.axis == 0
    assert quant.zero_point.tolist() == [0, 0]


def test_option_beyond_the_class_survives():
    """What an op's class has no field for stays with the node, and goes back into the file."""
    model = small()
    table = "FullyConnectedOptions"
    known = {f.name for f in dataclasses.fields(model.graph.nodes[0].op)}
    beyond = [f for f in schema.table(table) if f.name not in known]
    if not beyond:
        assert tflite.loads(tflite.dumps(model)).graph.nodes[0].extra == {}
    for field in beyond:
        values = list(schema.members(field.target).values()) if field.target else [0, 1]
        node = dataclasses.replace(
            model.graph.nodes[0], extra={"options": {field.name: values[-1]}}
        )
        graph = model.graph.with_(nodes=(node, *model.graph.nodes[1:]))
        back = tflite.loads(tflite.dumps(model.with_graph(graph)))
        assert back.graph.nodes[0].extra == node.extra


def test_attached_files_are_a_readable_zip(tmp_path):
    path = tmp_path / "m.tflite"
    tflite.save(everything(), path)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt") == b"cat\ndog\n"
    assert tflite.load(path).extra["files"] == {"labels.txt": b"cat\ndog\n"}


def test_a_bomb_of_attached_files_is_left_alone():
    zeros = bytes(attached.MAX_ATTACHED_BYTES + 1)
    stream = io.BytesIO(tflite.dumps(small()))
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", zeros)
    assert tflite.loads(stream.getvalue()).extra == {}


def test_save_is_complete_or_not_at_all(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")
    model = small()
    broken = Node(op("RELU"), (99,), (98,))
    with pytest.raises(InvalidModel, match="index-range"):
        tflite.save(model.with_graph(model.graph.with_(nodes=(broken,))), path)
    assert path.read_bytes() == b"old"
    model.save(str(path))
    assert difference(tflite.load(path).graph, tflite.loads(tflite.dumps(model)).graph) is None
    with pytest.raises(BadInput, match="not-writable"):
        tflite.save(model, tmp_path / "missing" / "m.tflite")
    with pytest.raises(BadInput, match="not-writable"):
        tflite.save(model, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite"]


def test_what_is_no_readable_file(tmp_path):
    with pytest.raises(BadInput, match="check the path"):
        tflite.load(tmp_path / "none.tflite")
    with pytest.raises(BadInput, match="folder"):
        tflite.load(tmp_path)
    with pytest.raises(BadInput, match="regular"):
        tflite.load("/dev/zero")
    with pytest.raises(BadInput, match="no-file"):
        tflite.load("a\0b")
    huge = tmp_path / "huge.tflite"
    with open(huge, "wb") as stream:
        os.truncate(stream.fileno(), tflite.MAX_FILE_BYTES + 1)
    with pytest.raises(BadInput, match="too-large"):
        tflite.load(huge)
    secret = tmp_path / "secret.tflite"
    secret.write_bytes(b"x")
    secret.chmod(0)
    if not os.access(secret, os.R_OK):
        with pytest.raises(BadInput, match="cannot be read"):
            tflite.load(secret)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"PK\x03\x04" + bytes(64), "zip"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x08\x07\x12\x07pytorch", "ONNX"),
        (b"\x1c\0\0\0TFL2" + bytes(64), "TFL2"),
        (b"\xff" * 7, "TFL3"),
    ],
)
def test_what_is_no_tflite_file(content, named):
    with pytest.raises(InvalidModel, match=named):
        tflite.loads(content, "model.tflite")


def test_newer_files_are_unsupported_not_invalid():
    for changes in (
        {"version": 4},
        {"operator_codes": [{"builtin_code": 9999}]},
    ):
        with pytest.raises(UnsupportedModel):
            tflite.loads(encode("Model", raw_file(**changes)))
    file = raw_file()
    file["subgraphs"][0]["tensors"][0]["external_buffer"] = 1
    with pytest.raises(UnsupportedModel, match="another file"):
        tflite.loads(encode("Model", file))


def test_write_refuses_a_field_the_schema_lacks():
    tensor = Tensor("x", (1,), "int8", extra={"colour": "red"})
    with pytest.raises(ValueError, match="colour"):
        write(Model((Graph("g", (tensor,), (), (0,), (0,)),)))
