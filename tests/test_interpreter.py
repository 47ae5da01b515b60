"""`thimble.Interpreter` next to LiteRT's, on the bundled model and on real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import peers
import pytest

import thimble
from thimble.demo import FOLDER, load_arrays
from thimble.formats.tflite import dumps


@pytest.fixture(scope="module")
def content() -> bytes:
    model = thimble.load(str(FOLDER / "keywords.tflite"))
    data = load_arrays("calibration.npz")["x"][:8]
    return dumps(thimble.quantize(model, data, ranges="minmax"))


def same_details(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    assert ours["name"] == theirs["name"]
    assert ours["index"] == theirs["index"]
    assert ours["dtype"] is theirs["dtype"]
    assert ours["quantization"] == pytest.approx(theirs["quantization"])
    for key in ("shape", "shape_signature"):
        np.testing.assert_array_equal(ours[key], theirs[key])
        assert ours[key].dtype == theirs[key].dtype
    mine, other = ours["quantization_parameters"], theirs["quantization_parameters"]
    assert set(mine) == set(other)
    np.testing.assert_array_equal(mine["scales"], other["scales"])
    np.testing.assert_array_equal(mine["zero_points"], other["zero_points"])


def test_a_script_for_litert_runs_unchanged(content: bytes) -> None:
    peers.require("litert")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    results = []
    for kind in (thimble.Interpreter, Interpreter):
        options = {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF, "num_threads": 1}
        interpreter = kind(model_content=content, **options)
        interpreter.allocate_tensors()
        given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        rng = np.random.default_rng(3)
        x = rng.integers(-128, 128, given["shape"]).astype(given["dtype"])
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        results.append((given, wanted, interpreter.get_tensor(wanted["index"])))
    (given, wanted, y), (litert_given, litert_wanted, litert_y) = results
    same_details(given, litert_given)
    same_details(wanted, litert_wanted)
    np.testing.assert_array_equal(y, litert_y)


def test_tensor_details_are_litert_s(content: bytes) -> None:
    peers.require("litert")
    from ai_edge_litert.interpreter import Interpreter

    theirs = Interpreter(model_content=content)
    theirs.allocate_tensors()
    ours = thimble.Interpreter(model_content=content)
    known = ours.get_tensor_details()
    for details in theirs.get_tensor_details():
        if details["index"] < len(known):  # LiteRT adds temporary tensors of its own
            same_details(known[details["index"]], details)


def test_preserved_tensors_are_the_trace(content: bytes) -> None:
    model = thimble.formats.tflite.loads(content)
    x = np.random.default_rng(1).integers(-128, 128, (1, 49, 10, 1)).astype(np.int8)
    trace = thimble.run(model, x[0], on="program", trace=True)
    interpreter = thimble.Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    for index, node in enumerate(model.graph.nodes):
        tensor = node.outputs[0]
        expected = trace[model.graph.tensors[tensor].name]
        got = interpreter.get_tensor(tensor)
        np.testing.assert_array_equal(got.reshape(-1), expected.reshape(-1), err_msg=str(index))


def test_misuse_raises_as_litert_does(content: bytes) -> None:
    interpreter = thimble.Interpreter(model_content=content)
    index = interpreter.get_input_details()[0]["index"]
    with pytest.raises(RuntimeError, match="allocate_tensors"):
        interpreter.invoke()
    interpreter.allocate_tensors()
    with pytest.raises(ValueError, match="type"):
        interpreter.set_tensor(index, np.zeros((1, 49, 10, 1), np.float32))
    with pytest.raises(ValueError, match="Dimension mismatch"):
        interpreter.set_tensor(index, np.zeros((1, 49, 10), np.int8))
    with pytest.raises(ValueError, match="range"):
        interpreter.get_tensor(10_000)
    with pytest.raises(ValueError, match="preserve"):
        interpreter.get_tensor(thimble.formats.tflite.loads(content).graph.nodes[0].outputs[0])
    interpreter.resize_tensor_input(index, [1, 49, 10, 1])
    with pytest.raises(thimble.BadInput, match="fixed shapes"):
        interpreter.resize_tensor_input(index, [2, 49, 10, 1])
    with pytest.raises(ValueError, match="either"):
        thimble.Interpreter()


def test_signatures_on_a_real_model(shared: Path) -> None:
    peers.require("litert")
    from ai_edge_litert.interpreter import Interpreter

    path = str(shared / "data" / "bench" / "hello_world_int8.tflite")
    ours, theirs = thimble.Interpreter(model_path=path), Interpreter(model_path=path)
    assert ours.get_signature_list() == theirs.get_signature_list()
    key, names = next(iter(ours.get_signature_list().items()))
    x = {names["inputs"][0]: np.array([[17]], np.int8)}
    expected = theirs.get_signature_runner(key)(**x)
    got = ours.get_signature_runner(key)(**x)
    assert list(got) == list(expected)
    for name in got:
        np.testing.assert_array_equal(got[name], expected[name])
    with pytest.raises(ValueError, match="Invalid signature_key"):
        ours.get_signature_runner("nothing")
