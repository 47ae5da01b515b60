"""Keras models beside Keras itself: what its own release computed (keras_files), the open TCN, and
the .tflite files that the converter made of the open .h5 models.
"""

from __future__ import annotations

import contextlib
import json
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thimble
from thimble.cli import execute
from thimble.errors import BadInput, InvalidModel, ThimbleError, ToolMissing, UnsupportedModel
from thimble.formats.keras import LAYERS, archive, load
from thimble.formats.keras.hdf5 import open_hdf5
from thimble.formats.tflite import dumps, loads
from thimble.formats.tflite import load as load_tflite
from thimble.graph import Model
from thimble.run import run

pytest.importorskip("h5py")

FILES = Path(__file__).parent / "keras_files"
GOLDEN = {
    name: array
    for file in ("outputs.npz", "outputs_keras_2.npz")
    for name, array in np.load(FILES / file).items()
}
NAMES = sorted(p.name for p in FILES.iterdir() if p.suffix in (".keras", ".h5"))
RTOL = 1e-6  # of the largest value: float32 sums in another order


def kinds(model: Model) -> list[str]:
    return [node.op.name for node in model.graph.nodes]


def samples(name: str, model: Model) -> dict[str, np.ndarray]:
    return {
        model.graph.tensors[t].name: GOLDEN[f"{name}/x{i}"]
        for i, t in enumerate(model.graph.inputs)
    }


@pytest.mark.parametrize("file", NAMES)
@pytest.mark.parametrize("runner", ["reference", "host"])
def test_it_computes_what_keras_computes(file: str, runner: str) -> None:
    model = load(FILES / file)
    stem = file.partition(".")[0]
    found = list(run(model, samples(stem, model), runner).outputs.values())
    assert f"{stem}/y{len(found)}" not in GOLDEN
    for i, y in enumerate(found):
        wanted = GOLDEN[f"{stem}/y{i}"]
        gap = np.abs(y.reshape(wanted.shape) - wanted).max()
        assert gap <= RTOL * np.abs(wanted).max()


@pytest.mark.parametrize("file", NAMES)
def test_peers_run_what_we_write_of_it(file: str) -> None:
    pytest.importorskip("ai_edge_litert")
    model = load(FILES / file)
    stem = file.partition(".")[0]
    written = loads(dumps(model))
    found = run(written, samples(stem, model), "litert").outputs  # litert-ref has no ELU
    for i, y in enumerate(found.values()):
        wanted = GOLDEN[f"{stem}/y{i}"]
        gap = np.abs(y.reshape(wanted.shape) - wanted).max()
        assert gap <= 5 * RTOL * np.abs(wanted).max()


def test_every_layer_is_in_a_file_or_an_alias_of_one() -> None:
    """What is listed as known has been compared with Keras."""
    used = set()
    for file in NAMES:
        if not file.endswith(".keras"):
            continue
        with zipfile.ZipFile(FILES / file) as archive:
            text = archive.read("config.json").decode()
        used |= {kind for kind in LAYERS if f'"class_name": "{kind}"' in text}
    tried = {LAYERS[kind] for kind in used}
    aliases = {"AvgPool1D", "AvgPool2D", "GlobalAvgPool1D", "GlobalAvgPool2D"}
    aliases |= {"GlobalMaxPool1D", "GlobalMaxPool2D", "MaxPool1D", "MaxPool2D"}
    left = {kind for kind, make in LAYERS.items() if make not in tried} - aliases
    assert left <= {"Divide", "TrueDivide", "GlobalMaxPooling1D"}


def test_a_tcn_of_keras_tcn(shared: Path) -> None:
    folder = shared / "data/tcn"
    golden = np.load(folder / "tcn_io.npz")
    model = load(folder / "tcn.keras")
    (y,) = run(model, golden["x"], "reference").outputs.values()
    assert np.abs(y - golden["y_keras"]).max() < 1e-5
    static = load_tflite(folder / "tcn_b1_float.tflite")
    for kind in ("CONV_2D", "ADD", "FULLY_CONNECTED"):
        assert kinds(model).count(kind) == kinds(static).count(kind)


# .h5 -> the .tflite that the converter made of it, where that is in float
FLOAT_SIBLINGS = {
    "autoencoder_example": "autoencoder_example.float32__d77873",
    "image_example1": "image_example1.float32__093777",
    "rock_paper_scissors": "rock_paper_scissors.float32__1ee0fd",
}
INT8_SIBLINGS = {
    "keyword_spotting": "keyword_spotting__c37e03",
    "keyword_spotting_on_off": "keyword_spotting_on_off__6cb056",
    "tflite_micro_magic_wand": "tflite_micro_magic_wand__fc53b5",
    "tflite_micro_speech": "tflite_micro_speech__eab6d4",
}


@pytest.mark.parametrize("name", FLOAT_SIBLINGS)
def test_float_siblings_by_the_converter(shared: Path, name: str) -> None:
    """The same layers, and the same values to the last bits."""
    model = load(shared / f"data/keras_h5/mltk__{name}.h5")
    sibling = load_tflite(shared / f"data/models/mltk__{FLOAT_SIBLINGS[name]}.tflite")
    assert kinds(model) == kinds(sibling)
    golden = np.load(shared / f"data/golden/mltk__{FLOAT_SIBLINGS[name]}.npz")
    (y,) = run(model, golden["x0"], "reference").outputs.values()
    wanted = golden["r0"]
    assert np.abs(y.reshape(wanted.shape) - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", INT8_SIBLINGS)
def test_int8_siblings_by_the_converter(shared: Path, name: str) -> None:
    """The same layers but for QUANTIZE; the same weights within half a step of theirs."""
    model = load(shared / f"data/keras_h5/mltk__{name}.h5").graph
    sibling = load_tflite(shared / f"data/models/mltk__{INT8_SIBLINGS[name]}.tflite").graph
    quantized = [n for n in sibling.nodes if n.op.name not in ("QUANTIZE", "DEQUANTIZE")]
    assert [n.op.name for n in model.nodes] == [n.op.name for n in quantized]
    for ours, theirs in zip(model.nodes, quantized):
        if ours.op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        w, q = model.tensors[ours.inputs[1]].data, sibling.tensors[theirs.inputs[1]]
        assert w is not None
        assert q.data is not None
        assert q.quant is not None
        shape = [1] * w.ndim
        shape[q.quant.axis] = len(q.quant.scale)
        step = q.quant.scale.reshape(shape)
        assert (np.abs(q.data * step - w) <= 0.51 * step).all()


def test_names_of_the_converter(shared: Path) -> None:
    """model/layer/Op, the last first: what `compare` matches by."""
    graph = load(shared / "data/keras_h5/mltk__tflite_micro_speech.h5").graph
    names = [graph.tensors[n.outputs[0]].name for n in graph.nodes]
    scope = "tflite_micro_speech"
    assert names == [
        f"{scope}/activation/Relu;{scope}/batch_normalization/FusedBatchNormV3;{scope}/conv2d/BiasAdd",
        f"{scope}/flatten/Reshape",
        f"{scope}/dense/BiasAdd",
        f"{scope}/dense/Softmax",
    ]


def test_verbs_take_keras_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(FILES / "images.keras")
    x = np.random.default_rng(0).uniform(-2, 2, (16, 17, 14, 2)).astype(np.float32)
    data = str(tmp_path / "data.npz")
    np.savez(data, camera=x)
    out = str(tmp_path / "q.tflite")
    assert execute(["inspect", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"][0]["name"] == "camera"
    assert execute(["quantize", path, "--data", data, "-o", out, "-q"]) == 0
    assert execute(["compare", path, out, "--data", data, "--tolerance-lsb", "40", "-q"]) in (0, 1)
    assert execute(["plan", path, "-q"]) == 0
    assert execute(["repair", path, "-o", str(tmp_path / "r.tflite"), "-q"]) == 0
    folder = str(tmp_path / "fw")
    assert execute(["build", path, "--data", data, "--target", "host", "-o", folder, "-q"]) == 0
    assert (Path(folder) / "images.c").is_file()


# --- what cannot be read --------------------------------------------------------------------------

Edit = Callable[[dict[str, Any]], None]


def edited(tmp_path: Path, edit: Edit, name: str = "shared") -> Path:
    """A copy of a .keras file with its configuration changed."""
    path = tmp_path / "edited.keras"
    with zipfile.ZipFile(FILES / f"{name}.keras") as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    config = json.loads(members["config.json"])
    edit(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def layer_of(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in config["config"]["layers"] if entry["config"]["name"] == name)


def test_all_unknown_layers_are_reported_at_once(tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        layers = config["config"]["layers"]
        layers[2]["class_name"] = "LSTM"
        layers[4] |= {"class_name": "Mine", "module": "my.code", "registered_name": "my>Mine"}
        layers[6]["class_name"] = "Lambda"
        layers[8]["config"]["data_format"] = "channels_first"

    with pytest.raises(UnsupportedModel) as caught:
        load(edited(tmp_path, edit, "images"))
    found = {f.rule for f in caught.value.findings}
    assert found >= {"unsupported-layer"}
    text = "\n".join(str(f) for f in caught.value.findings)
    assert "(LSTM)" in text
    assert "recurrent" in text


def test_custom_code_is_named_and_never_run(tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        layer_of(config, "out").update(
            class_name="Danger", module="os", registered_name="os>Danger"
        )

    with pytest.raises(UnsupportedModel) as caught:
        load(edited(tmp_path, edit))
    (finding,) = caught.value.findings
    assert finding.rule == "custom-layer"
    assert "`out` (Danger)" in finding.where


def test_a_layer_of_the_same_name_from_elsewhere_is_custom(tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        layer_of(config, "out")["module"] = "my.layers"

    with pytest.raises(UnsupportedModel) as caught:
        load(edited(tmp_path, edit))
    assert caught.value.findings[0].rule == "custom-layer"


def test_only_the_batch_may_be_open(tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        layer_of(config, "x")["config"]["batch_shape"] = [None, None, 5, 3]

    with pytest.raises(UnsupportedModel) as caught:
        load(edited(tmp_path, edit, "tall"))
    assert caught.value.findings[0].rule == "dynamic-shape"


def test_a_subclassed_model_is_refused(tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        config["class_name"] = "MyModel"

    with pytest.raises(UnsupportedModel, match="Functional or Sequential"):
        load(edited(tmp_path, edit))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "not-keras"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"\x89HDF\r\n\x1a\n and no more", "damaged"),
        (b"\x00" * 100, "not-keras"),
    ],
)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_other_files(tmp_path: Path, content: bytes, rule: str, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(InvalidModel) as caught:
        thimble.load(str(path))
    assert caught.value.findings[0].rule == rule


def test_absent_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.keras", tmp_path):
        with pytest.raises(BadInput):
            load(path)


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")
    with pytest.raises(InvalidModel, match="no model"):
        load(path)


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = np.ones((8, 8), np.float32)
    path = tmp_path / "linked.h5"
    path.write_bytes((FILES / "shared.h5").read_bytes())
    with h5py.File(path, "a") as file:
        group = file["model_weights/shared_dense"]
        (name,) = (n for n in group.attrs["weight_names"] if "kernel" in str(n))
        name = name.decode() if isinstance(name, bytes) else name
        del group[name]
        group[name] = h5py.ExternalLink(str(secret), "kernel")
    with pytest.raises(InvalidModel, match="missing"):
        load(path)


def test_h5py_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ToolMissing, match=r"thimble-ml\[keras\]"):
        load(FILES / "tall.keras")
    assert execute(["inspect", str(FILES / "tall.keras"), "-q"]) == 2


ODD: tuple[Any, ...] = (None, -1, 0, 10**12, 1.5, "", "x", [], [[]], {}, True, [1, 2, 3, 4, 5])


def mutated(value: Any, rng: np.random.Generator) -> Any:
    """`value` with one thing in it replaced by something odd, or removed."""
    paths: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        keys = part.keys() if isinstance(part, dict) else range(len(part))
        for key in keys:
            paths.append((part, key))
            if isinstance(part[key], (dict, list)):
                walk(part[key])

    walk(value)
    holder, key = paths[rng.integers(len(paths))]
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = ODD[rng.integers(len(ODD))]
    return value


@pytest.mark.parametrize("name", ["images", "signals", "shared", "functions"])
def test_hostile_configurations_end_in_findings(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "open_hdf5", cache(open_hdf5))  # the weights stay the same
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(60):
        try:
            model = load(edited(tmp_path, lambda config: mutated(config, rng), name))
            dumps(model)
        except ThimbleError as error:
            refused += bool(error.findings)
    assert refused > 5


@pytest.mark.parametrize("file", ["shared.keras", "shared.h5"])
def test_hostile_archives_end_in_findings(tmp_path: Path, file: str) -> None:
    """Cut anywhere, or with bytes changed."""
    rng = np.random.default_rng(12)
    data = (FILES / file).read_bytes()
    path = tmp_path / file
    for i in range(8):
        changed = bytearray(data[: rng.integers(1, len(data))] if i % 3 == 0 else data)
        for at in rng.integers(0, min(len(changed), 4000), 4):
            changed[at] = rng.integers(256)
        path.write_bytes(bytes(changed))
        with contextlib.suppress(ThimbleError):
            dumps(load(path))


@pytest.mark.parametrize("body", ["while True: pass", "import os; os.abort()", "raise SystemExit"])
def test_a_library_that_hangs_or_crashes_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """HDF5 does both on some damaged files."""
    fake = tmp_path / "h5py"
    fake.mkdir()
    (fake / "__init__.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("thimble.formats.keras.hdf5.SECONDS", 3.0)
    with pytest.raises(InvalidModel) as caught:
        open_hdf5(b"", "m.h5")
    assert caught.value.findings[0].rule == "damaged"
