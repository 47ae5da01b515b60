"""Whatever a file says to the ops that move or convert elements: a sentence, or an answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from itertools import takewhile

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.graph import Graph, Model, Node, Quant, Tensor
from thimble.lower import lower, unsupported
from thimble.memory import place
from thimble.ops import find
from thimble.ops.contract import NodeView
from thimble.runners.program import ProgramRunner

# Inputs: x a tensor, s one element of its dtype; constants: v an integer for each dimension of x,
# p two for each, 2 a pair, 1 a single one, 4 two pairs.
OPS = {
    "BATCH_TO_SPACE_ND": "x24",
    "BROADCAST_TO": "xv",
    "CAST": "x",
    "CONCATENATION": "xx",
    "DEPTH_TO_SPACE": "x",
    "DEQUANTIZE": "x",
    "EXPAND_DIMS": "x1",
    "FILL": "vs",
    "GATHER": "x2",
    "MIRROR_PAD": "xp",
    "PACK": "xx",
    "PAD": "xp",
    "PADV2": "xps",
    "QUANTIZE": "x",
    "RESIZE_BILINEAR": "x2",
    "RESIZE_NEAREST_NEIGHBOR": "x2",
    "REVERSE_V2": "x1",
    "SHAPE": "x",
    "SLICE": "xvv",
    "SPACE_TO_BATCH_ND": "x24",
    "SPACE_TO_DEPTH": "x",
    "SPLIT": "1x",
    "SPLIT_V": "x21",
    "SQUEEZE": "x",
    "STRIDED_SLICE": "xvvv",
    "TILE": "xv",
    "TRANSPOSE": "xv",
    "UNPACK": "x",
    "ZEROS_LIKE": "x",
}
MAIN_DTYPES = ["int8", "int8", "float32", "int16"]
DTYPES = [*MAIN_DTYPES, "int32", "int64", "bool", "uint8", "uint32", "float16", "float64"]
OPTION = {
    "bool": st.booleans(),
    "int": st.sampled_from([2, 2, 0, 1, -1, 3, -2]),
    "tuple[int, ...]": st.sampled_from([(), (0,), (-1, 1)]),
}
ODD_QUANT = [None, Quant.per_tensor(0.0), Quant.per_tensor(1e-30)]
ODD_QUANT += [Quant(np.full(2, 0.1, np.float32), np.zeros(2, np.int64), axis) for axis in (0, 3)]
SHAPE_LIMIT = "shape that follows"
DIMS = st.sampled_from([1, 2, 2, 4, 4, 3, 0])
rarely = st.integers(0, 19).map(lambda i: i == 0)


def integers(draw, shape, name):
    """A small constant; half of them a permutation or a count-up, which several ops ask for."""
    count = int(np.prod(shape))
    values = [draw(st.sampled_from([0, 1, 1, 2, 2, -1, 4, -2])) for _ in range(count)]
    values = draw(
        st.sampled_from([values, [abs(v) for v in values], draw(st.permutations(range(count)))])
    )
    dtype = "int64" if draw(rarely) else "int32"
    return Tensor(name, shape, dtype, None, np.array(values, dtype).reshape(shape))


@st.composite
def operators(draw):
    """A graph of one node: the right kinds of inputs, every twentieth thing about them wrong."""
    name = draw(st.sampled_from(sorted(OPS)))
    cls = find(name)
    options = {f.name: draw(OPTION[str(f.type)]) for f in fields(cls) if str(f.type) in OPTION}
    if name == "SHAPE":
        options["out_type"] = draw(st.sampled_from(["int32", "int64", "float32"]))
    op = cls(**options)
    main = tuple(
        draw(st.lists(DIMS, min_size=4 * draw(st.integers(0, 1)), max_size=5 - draw(rarely)))
    )
    dtype = (
        draw(st.sampled_from(MAIN_DTYPES))
        if draw(st.integers(0, 4))
        else draw(st.sampled_from(DTYPES))
    )
    quant = draw(st.sampled_from(ODD_QUANT)) if draw(rarely) else Quant.per_tensor(0.1, 3)
    kinds = [kind for kind in OPS[name] if not draw(rarely)]
    tensors, inputs = [], []
    shapes = {"v": (len(main),), "p": (len(main), 2), "2": (2,), "1": (1,), "4": (2, 2)}
    for i, kind in enumerate(kinds):
        if draw(rarely):
            inputs.append(-1)
            continue
        if kind in shapes:
            tensor = integers(draw, shapes[kind], f"x{i}")
        else:
            tensor = Tensor(f"x{i}", main if kind == "x" else (1,), dtype, quant)
        if draw(rarely):
            tensor = Tensor(
                f"x{i}", tuple(draw(st.lists(DIMS, max_size=5))), draw(st.sampled_from(DTYPES))
            )
        inputs.append(len(tensors))
        tensors.append(tensor)
    made = [(draw(st.lists(DIMS, max_size=4)), draw(st.sampled_from(DTYPES)))] * draw(
        st.integers(0, 3)
    )
    if not draw(rarely):
        made = inferred(op, inputs, tensors) or made
    first = len(tensors)
    tensors += [
        Tensor(f"y{i}", tuple(shape), dtype, quant) for i, (shape, dtype) in enumerate(made)
    ]
    node = Node(op, tuple(inputs), tuple(range(first, len(tensors))))
    given_ = tuple(i for i, t in enumerate(tensors[:first]) if t.data is None)
    return Model((Graph("main", tuple(tensors), (node,), given_, node.outputs),))


def inferred(op, inputs, tensors):
    """What the op makes of the inputs, as far as its limits let `infer` be asked."""
    many = tuple(Tensor(f"y{i}", (1,), tensors[-1].dtype if tensors else "int8") for i in range(3))
    for count in (1, 2, 3):
        outputs = tuple(range(len(tensors), len(tensors) + count))
        graph = Graph("probe", (*tensors, *many), (Node(op, tuple(inputs), outputs),), (), ())
        view = NodeView(graph, 0)
        before = takewhile(lambda limit: SHAPE_LIMIT not in limit.sentence, op.limits)
        skipped = ("dtype", "output float32", "the output", "same shape", "quantized tensors")
        if all(
            limit.holds(view) for limit in before if not any(s in limit.sentence for s in skipped)
        ):
            return [(t.shape, t.dtype) for t in op.infer(view.inputs)]
    return []


def run(model, seed):
    """Outputs for random bytes."""
    program = lower(model)
    rng = np.random.default_rng(seed)
    tensors = [model.graph.tensors[t] for t in model.graph.inputs]
    values = [
        rng.integers(0, 256, t.bytes, np.uint8).view(t.dtype).reshape(t.shape) for t in tensors
    ]
    with np.errstate(all="ignore"):
        return ProgramRunner(program, place(program, "greedy")).run(values)


def test_a_sentence_or_an_answer():
    answered: Counter[str] = Counter()

    @given(operators(), st.integers(0, 2**32 - 1))
    @settings(max_examples=1500, deadline=None)
    def ask(model, seed):
        if unsupported(model):
            return
        graph = model.graph
        outputs = run(model, seed)
        assert [y.shape for y in outputs] == [graph.tensors[t].shape for t in graph.outputs]
        answered[graph.nodes[0].op.name] += 1

    ask()
    assert len(answered) > len(OPS) // 2, f"hardly anything gets through: {answered}"
