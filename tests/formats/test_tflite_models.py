"""Every .tflite file of the shared data survives a round trip and runs the same in the peers."""

from __future__ import annotations

import hashlib

import pytest
from conftest import SHARED
from models import difference, random_inputs
from peers import PeerFailed, isolated, require

from thimble.errors import InvalidModel
from thimble.formats import tflite
from thimble.formats.tflite import schema
from thimble.formats.tflite.flatbuffer import decode
from thimble.repair.builtin_code import builtin_code

# LiteRT's test file for blockwise scales: its quantized weights have no data, and LiteRT crashes.
INVALID = frozenset({"LiteRT__blockwise_quantized__77cb85"})
RUNS = (("litert", {"resolver": "ref"}), ("litert", {"resolver": "default"}), ("tflm", {}))
# Of 254 files: LiteRT runs 234 (reference) and 236 (default), TFLM 203.
FEWEST_RUN = {"litert ref": 234, "litert default": 236, "tflm": 203}


def _distinct_files():
    found = {}
    for path in sorted(SHARED.glob("data/**/*.tflite")):
        found.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
    return list(found.values()) or [None]


FILES = _distinct_files()
IDS = [path.stem if path else "none" for path in FILES]
outcomes: dict[str, list[bool]] = {}


def all_options(file):
    """The options of every operator that the file does not leave at the schema's defaults."""
    found = []
    for graph in file["subgraphs"]:
        for operator in graph["operators"]:
            table, values = operator["builtin_options"] or operator["builtin_options2"] or ("", {})
            defaults = schema.defaults(table) if table else {}
            plain = schema.plain(values)
            found.append((table, plain) if plain != defaults else None)
            found.append(operator["custom_options"])
    return found


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_round_trip(shared, path):
    if path.stem in INVALID:
        with pytest.raises(InvalidModel, match="nothing writes"):
            tflite.load(path)
        return
    model = tflite.load(path)
    data = tflite.dumps(model)
    assert difference(tflite.loads(data, model.source), builtin_code(model)) is None
    before = decode(path.read_bytes(), "Model", model.source)
    after = decode(data, "Model", model.source)
    assert difference(all_options(after), all_options(before)) is None
    # Padding and object order differ from writer to writer, weights are never duplicated.
    assert len(data) < 1.05 * path.stat().st_size


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_runs_the_same(shared, path):
    for peer in ("litert", "tflm"):
        require(peer)
    if path.stem in INVALID:
        return
    original = path.read_bytes()
    model = tflite.loads(original, path.name)
    if any(model.graph.tensors[t].dtype == "string" for t in model.graph.inputs):
        return  # tokenizers: custom ops that no peer has
    inputs = random_inputs(model.graph)
    written = tflite.dumps(model)
    for peer, options in RUNS:
        name = " ".join([peer, *options.values()])
        try:
            expected = isolated(peer, original, inputs, **options)
        except PeerFailed:
            outcomes.setdefault(name, []).append(False)
            continue
        outcomes.setdefault(name, []).append(True)
        found = isolated(peer, written, inputs, **options)
        for x, y in zip(expected, found, strict=True):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), name
            assert x.tobytes() == y.tobytes(), name  # NaN equals NaN


def test_peers_ran_most_files(shared):
    """Guards the test above: files that a peer refuses compare nothing."""
    if sum(len(runs) for runs in outcomes.values()) < 3 * (len(FILES) - 10):
        pytest.skip("only part of the files was run")
    ran = {name: sum(runs) for name, runs in outcomes.items()}
    assert all(ran[name] >= fewest for name, fewest in FEWEST_RUN.items()), ran
