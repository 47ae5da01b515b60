"""Damaged and malicious .tflite files end in findings: nothing else is raised, hangs or swells."""

from __future__ import annotations

import contextlib
import resource
import signal
import struct
from collections.abc import Iterator

import flatbuffers
import numpy as np
import pytest
import tflite as bindings
from models import ModelBuilder, difference, op
from tflite_samples import everything, raw_file, small

from thimble.errors import InvalidModel, ThimbleError, UnsupportedModel
from thimble.formats import tflite
from thimble.formats.tflite.flatbuffer import MAX_FINDINGS, encode
from thimble.graph import Graph, Model, Node, Tensor
from thimble.ops.contract import OpaqueOp
from thimble.repair.builtin_code import builtin_code

SECONDS = 5.0
MEMORY_BYTES = 1 << 30
MUTATIONS = 1000  # of each file below
EDGES = (0, 1, 2, 4, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)


def convolutional() -> Model:
    """CONV_2D, DEPTHWISE_CONV_2D, MAX_POOL_2D, RESHAPE with dynamic batch, SOFTMAX."""
    rng = np.random.default_rng(1)
    b = ModelBuilder()
    x = b.input("image", (1, 8, 8, 2), "int8", 0.05, 3)
    w = b.const("w", rng.integers(-9, 9, (4, 3, 3, 2), np.int8), scale=[0.01] * 4)
    bias = b.const("bias", np.arange(4, dtype=np.int32), scale=[0.0005] * 4)
    conv = op("CONV_2D", "Conv2DOptions", stride_w=1, stride_h=1)
    x = b.op(conv, [x, w, bias], [((1, 8, 8, 4), "int8", 0.1)])
    w = b.const("dw", rng.integers(-9, 9, (1, 3, 3, 4), np.int8), scale=[0.02] * 4, axis=3)
    depthwise = op(
        "DEPTHWISE_CONV_2D",
        "DepthwiseConv2DOptions",
        stride_w=2,
        stride_h=2,
        depth_multiplier=1,
        fused_activation_function="RELU6",
    )
    x = b.op(depthwise, [x, w, None], [((1, 4, 4, 4), "int8", 0.1)])
    pool = op("MAX_POOL_2D", "Pool2DOptions", filter_width=2, filter_height=2)
    x = b.op(pool, [x], [((1, 2, 2, 4), "int8", 0.1)])
    shape = b.const("shape", np.array([1, 16], np.int32))
    x = b.op(
        op("RESHAPE", "ReshapeOptions", new_shape=(1, 16)), [x, shape], [((1, 16), "int8", 0.1)]
    )
    x = b.op(op("SOFTMAX", "SoftmaxOptions", beta=1.0), [x], [((1, 16), "int8", 1 / 256, -128)])
    return b.build([x], signature="serving_default")


def control_flow() -> Model:
    """WHILE over two subgraphs."""
    b = ModelBuilder()
    x = b.input("x", (2,), "int32")
    loop = OpaqueOp("WHILE", "WhileOptions", {"cond_subgraph_index": 1, "body_subgraph_index": 2})
    loop = OpaqueOp(loop.op_name, loop.table, loop.fields, False, 119)
    y = b.op(loop, [x], [((2,), "int32")])
    cond, body = ModelBuilder("cond"), ModelBuilder("body")
    less = cond.op(
        op("LESS", "LessOptions"),
        [cond.input("a", (2,), "int32"), cond.const("ten", np.full(2, 10, np.int32))],
        [((2,), "bool")],
    )
    more = body.op(
        op("ADD", "AddOptions"),
        [body.input("a", (2,), "int32"), body.const("one", np.ones(2, np.int32))],
        [((2,), "int32")],
    )
    return Model((b.graph([y]), cond.graph([less]), body.graph([more])))


FILES = {
    "small": lambda: tflite.dumps(small()),
    "everything": lambda: tflite.dumps(everything()),
    "convolutional": lambda: tflite.dumps(convolutional()),
    "control flow": lambda: tflite.dumps(control_flow()),
    "bare": lambda: encode("Model", raw_file()),
}


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """5 s of processor time and 1 GiB more than now for whatever runs inside."""

    def too_long(signum, frame):
        raise TimeoutError(f"took more than {SECONDS} s")

    with open("/proc/self/statm") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, before[1]))
    handler = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def refused(data: bytes) -> ThimbleError:
    """The findings about a file that must not load."""
    with limits(), pytest.raises((InvalidModel, UnsupportedModel)) as caught:
        tflite.loads(data, "bad.tflite")
    error = caught.value
    assert error.findings
    assert all(f.where.startswith("bad.tflite") and f.message for f in error.findings)
    return error


def rules(error: ThimbleError) -> set[str]:
    return {finding.rule for finding in error.findings}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four random changes: cuts, flipped bits, edge values, moved and inserted pieces."""
    raw = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, max(1, len(raw))))
        aligned = at & ~3
        kind = rng.integers(0, 7)
        if kind == 0:
            del raw[max(8, at) :]
        elif kind == 1:
            raw[at : at + 1] = bytes([raw[at] ^ (1 << int(rng.integers(0, 8)))]) if raw else b""
        elif kind == 2:
            raw[aligned : aligned + 4] = struct.pack("<I", EDGES[int(rng.integers(0, len(EDGES)))])
        elif kind == 3:
            near = int(rng.integers(-40, 40)) & 0xFFFFFFFF
            raw[aligned : aligned + 4] = struct.pack("<I", near)
        elif kind == 4:
            other = int(rng.integers(0, max(1, len(raw)))) & ~3
            raw[aligned : aligned + 16] = raw[other : other + 16]
        elif kind == 5:
            raw[at:at] = rng.bytes(int(rng.integers(1, 9)))
        else:
            raw[aligned : aligned + 2] = struct.pack("<H", int(rng.integers(0, 64)))
    raw[4:8] = b"TFL3"  # a wrong identifier ends the matter at once
    return bytes(raw)


@pytest.mark.parametrize("name", FILES)
def test_mutated_files(name):
    """A mutant is refused with findings, or is a model: written and read again it is the same."""
    data = FILES[name]()
    rng = np.random.default_rng(2024)
    refusals: list[int] = []
    for i in range(MUTATIONS):
        mutant = mutate(data, rng)
        try:
            with limits():
                try:
                    model = tflite.loads(mutant, "bad.tflite")
                except (InvalidModel, UnsupportedModel) as error:
                    refusals.append(len(error.findings))
                    continue
                again = tflite.loads(tflite.dumps(model), "bad.tflite")
                assert difference(again, builtin_code(model)) is None
        except Exception as error:
            raise AssertionError(f"mutation {i} of {name}: {mutant.hex()}") from error
    assert min(refusals) >= 1
    assert MUTATIONS // 4 < len(refusals) < MUTATIONS


@pytest.mark.parametrize("name", ["bare", "small"])
def test_every_truncation(name):
    data = FILES[name]()
    for length in range(len(data)):
        error = refused(data[:length])
        assert len(error.findings) <= MAX_FINDINGS


def graph_of(file):
    return file["subgraphs"][0]


def broken(**changes):
    """The bare file with changes to its graph."""
    file = raw_file()
    graph_of(file).update(changes)
    return file


def with_tensor(**changes):
    """The bare file with changes to tensor 0."""
    file = raw_file()
    graph_of(file)["tensors"][0].update(changes)
    return file


def with_operator(**changes):
    """The bare file with changes to operator 0."""
    file = raw_file()
    graph_of(file)["operators"][0].update(changes)
    return file


def with_data(octets, **tensor):
    """The bare file with a constant in place of tensor 0."""
    file = with_tensor(buffer=1, **tensor)
    graph_of(file)["inputs"] = []
    return {**file, "buffers": [{}, {"data": bytes(octets)}]}


def with_quantization(**quantization):
    return with_tensor(type="int8", quantization=quantization)


MANY = np.zeros(1000, np.int32)
# (what is wrong, file, rule)
SEMANTIC = [
    ("no subgraph", raw_file(subgraphs=[]), "no-subgraph"),
    ("no operator codes", raw_file(operator_codes=[]), "index-range"),
    ("operator code out of range", with_operator(opcode_index=5), "index-range"),
    ("huge operator code", with_operator(opcode_index=0xFFFFFFFF), "index-range"),
    ("buffer out of range", with_tensor(buffer=9), "index-range"),
    ("tensor out of range", with_operator(inputs=[0, 2]), "index-range"),
    ("tensor below -1", with_operator(inputs=[-2]), "index-range"),
    ("output out of range", with_operator(outputs=[0x7FFFFFFF]), "index-range"),
    ("intermediate out of range", with_operator(intermediates=[7]), "index-range"),
    ("graph input out of range", broken(inputs=[44]), "index-range"),
    ("graph output out of range", broken(outputs=[-1]), "index-range"),
    ("negative shape", with_tensor(shape=[-4]), "shape"),
    ("absurd shape", with_tensor(shape=[0x7FFFFFFF] * 8), "shape"),
    ("overflowing shape", with_tensor(shape=[65536, 65536, 65536, 65536]), "shape"),
    ("a thousand dimensions", with_tensor(shape=MANY), "shape"),
    ("signature of another rank", with_tensor(shape_signature=[-1, -1]), "shape-signature"),
    ("too little data", with_data(7), "data-size"),
    ("too much data", with_data(12), "data-size"),
    ("data for a negative shape", with_data(8, shape=[-2]), "shape"),
    ("data for a scalar", with_data(8, shape=[]), "data-size"),
    ("data of another dtype", with_data(8, type="int64"), "data-size"),
    ("NaN scale", with_quantization(scale=[np.nan], zero_point=[0]), "scale"),
    ("negative scale", with_quantization(scale=[-1.0], zero_point=[0]), "scale"),
    ("infinite scale", with_quantization(scale=[np.inf], zero_point=[0]), "scale"),
    ("zero points missing", with_quantization(scale=[1, 2], zero_point=[0]), "quant-length"),
    ("scales for no axis", with_quantization(scale=[1, 2, 3], zero_point=[0] * 3), "quant-length"),
    ("zero point out of range", with_quantization(scale=[1], zero_point=[300]), "zero-point"),
    ("huge zero point", with_quantization(scale=[1], zero_point=[-(1 << 63)]), "zero-point"),
    ("input never produced", broken(inputs=[]), "order"),
    ("operator reads its own output", with_operator(inputs=[0, 1]), "order"),
    ("output never produced", broken(operators=[]), "order"),
    ("written twice", with_operator(outputs=[1, 1]), "single-writer"),
    ("writes an input", with_operator(outputs=[0]), "single-writer"),
    ("input given twice", broken(inputs=[0, 0]), "single-writer"),
    (
        "custom op without a name",
        raw_file(operator_codes=[{"builtin_code": 32}]),
        "custom-without-name",
    ),
    ("unknown operator", raw_file(operator_codes=[{"builtin_code": 12345}]), "unknown-op"),
    ("schema of tomorrow", raw_file(version=4), "schema-version"),
    (
        "buffer behind the end",
        raw_file(buffers=[{}, {"offset": 1 << 40, "size": 8}]),
        "out-of-file",
    ),
    (
        "size beyond all",
        raw_file(buffers=[{}, {"offset": 8, "size": (1 << 64) - 1}]),
        "out-of-file",
    ),
    ("metadata without buffer", raw_file(metadata=[{"name": "m", "buffer": 8}]), "index-range"),
    ("negative metadata buffer", raw_file(metadata_buffer=[-1]), "index-range"),
    (
        "signature of no subgraph",
        raw_file(signature_defs=[{"signature_key": "s", "subgraph_index": 3}]),
        "signature",
    ),
    (
        "signature of no tensor",
        raw_file(signature_defs=[{"inputs": [{"name": "x", "tensor_index": 77}]}]),
        "signature",
    ),
    (
        "signature of one name twice",
        raw_file(signature_defs=[{"inputs": [{"name": "x"}, {"name": "x", "tensor_index": 1}]}]),
        "signature-names",
    ),
    (
        "control flow to no subgraph",
        {
            **with_operator(builtin_options=("WhileOptions", {"cond_subgraph_index": 9})),
            "operator_codes": [{"deprecated_builtin_code": 119, "builtin_code": 119}],
        },
        "calls",
    ),
    (
        "control flow into itself",
        {
            **with_operator(builtin_options=("CallOnceOptions", {"init_subgraph_index": 0})),
            "operator_codes": [{"deprecated_builtin_code": 127, "builtin_code": 129}],
        },
        "calls",
    ),
]


@pytest.mark.parametrize(("file", "rule"), [c[1:] for c in SEMANTIC], ids=[c[0] for c in SEMANTIC])
def test_semantic_nonsense(file, rule):
    error = refused(encode("Model", file))
    assert rule in rules(error)
    finding = next(f for f in error.findings if f.rule == rule)
    assert len(str(finding)) < 1000


def test_all_findings_at_once():
    file = with_tensor(shape=[-1], quantization={"scale": [np.nan], "zero_point": [0]})
    graph_of(file)["operators"][0]["outputs"] = [8]
    assert rules(refused(encode("Model", file))) >= {"shape", "scale", "index-range", "order"}


def test_nodes_out_of_order():
    file = raw_file()
    graph = graph_of(file)
    graph["tensors"].append({"shape": [2], "type": "float32", "name": "z"})
    graph["operators"] = [
        {"inputs": [1, 1], "outputs": [2]},
        {"inputs": [0, 0], "outputs": [1]},
    ]
    graph["outputs"] = [2]
    (finding,) = refused(encode("Model", file)).findings
    assert "layer 1 ADD `y` has yet to write" in finding.message


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


def test_names_that_are_not_utf8():
    file = with_tensor(name="NAME")
    assert rules(refused(patched(encode("Model", file), b"NAME", b"N\xff\xfeE"))) == {"bad-utf8"}


def test_enum_of_tomorrow():
    data = bytearray(encode("Model", with_tensor(type="uint4")))
    hits = [i for i, b in enumerate(data) if b == 20]
    found = set()
    for at in hits:
        mutant = bytes(data[:at]) + b"\x63" + bytes(data[at + 1 :])
        with contextlib.suppress(InvalidModel, UnsupportedModel):
            tflite.loads(mutant)
            continue
        found |= rules(refused(mutant))
    assert "unknown-enum" in found


def vector(builder: flatbuffers.Builder, count: int, offset: int) -> int:
    """A vector of `count` offsets that all lead to the same object."""
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def bomb(graphs: int, tensors: int, name: str = "t") -> bytes:
    """`graphs` subgraphs that are all one, with `tensors` tensors that are all one, of one name."""
    builder = flatbuffers.Builder(1 << 20)
    text = builder.CreateString(name)
    bindings.TensorStart(builder)
    bindings.TensorAddName(builder, text)
    shared = vector(builder, tensors, bindings.TensorEnd(builder))
    bindings.SubGraphStart(builder)
    bindings.SubGraphAddTensors(builder, shared)
    shared = vector(builder, graphs, bindings.SubGraphEnd(builder))
    bindings.ModelStart(builder)
    bindings.ModelAddVersion(builder, 3)
    bindings.ModelAddSubgraphs(builder, shared)
    builder.Finish(bindings.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_the_bomb_is_a_file_when_it_is_small():
    model = tflite.loads(bomb(2, 3))
    assert [len(g.tensors) for g in model.graphs] == [3, 3]


@pytest.mark.parametrize(
    ("graphs", "tensors", "name"),
    [(1000, 1000, "t"), (100_000, 100_000, "t"), (1, 300_000, "t"), (1, 100, "t" * 1_000_000)],
)
def test_objects_shared_beyond_measure(graphs, tensors, name):
    assert rules(refused(bomb(graphs, tensors, name))) == {"flatbuffer-bomb"}


def test_vector_longer_than_the_file():
    data = encode("Model", with_tensor(shape=[77]))
    shape = struct.pack("<Ii", 1, 77)
    for length in (1000, 0x3FFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF):
        mutant = patched(data, shape, struct.pack("<Ii", length, 77))
        assert rules(refused(mutant)) == {"out-of-file"}


def test_a_large_sound_file_is_read_in_time():
    """The budget against bombs leaves real files alone: 20,000 tensors and nodes."""
    tensors = [Tensor(f"t{i}", (1,), "float32") for i in range(20_001)]
    b = ModelBuilder()
    b.tensors = tensors
    relu = op("RELU")
    nodes = tuple(Node(relu, (i,), (i + 1,)) for i in range(20_000))
    model = Model((Graph("g", tuple(tensors), nodes, (0,), (20_000,)),))
    data = tflite.dumps(model)
    with limits():
        assert len(tflite.loads(data).graph.nodes) == 20_000
