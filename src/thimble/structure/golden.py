"""Golden vectors: seeded inputs and what the reference runner makes of them.

The inputs come from SHAKE-256 of a text, so that they are the same bits everywhere and for ever
(NumPy's generators may change between versions). Integer layers have the same bits on every
machine; float layers do not (libm, the order of additions).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import prod

import numpy as np

from thimble.errors import BadInput, Finding, UnsupportedModel
from thimble.graph import Model, Tensor
from thimble.ops.contract import NodeView, OpaqueOp

SEED = "thimble golden 1"
MAX_MACS = 100_000_000  # of one sample; about 0.1 s in NumPy
MAX_ELEMENTS = 5_000_000  # of all activations of one sample; no microcontroller has them
SMALL_INTEGERS = 10  # int32 and int64 inputs are indices or lengths: 0..9

Array = np.ndarray


def golden_inputs(model: Model, sample: int) -> list[Array]:
    """Sample number `sample` for every input: all integers of int8, int16 and uint8, 0..9 of wider
    ones, floats in [-1, 1) in steps of 2^-15. Raises BadInput for other dtypes.
    """
    graph = model.graph
    return [_sample(graph.tensors[t], i, sample) for i, t in enumerate(graph.inputs)]


def _sample(tensor: Tensor, port: int, sample: int) -> Array:
    count = prod(tensor.shape)
    text = f"{SEED}, input {port}, sample {sample}".encode()

    def numbers(dtype: str) -> Array:
        data = hashlib.shake_256(text).digest(count * np.dtype(dtype).itemsize)
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(tensor.shape)

    if tensor.dtype in ("int8", "uint8", "int16", "uint16"):
        return numbers(tensor.dtype).astype(tensor.dtype)
    if tensor.dtype == "bool":
        return (numbers("uint8") & 1).astype(bool)
    if tensor.dtype in ("int32", "int64", "uint32", "uint64"):
        return (numbers("uint16") % SMALL_INTEGERS).astype(tensor.dtype)
    if tensor.dtype in ("float32", "float16", "float64"):
        return (numbers("int16").astype(np.float64) / 2**15).astype(tensor.dtype)
    message = f"there are no samples of dtype {tensor.dtype}"
    raise BadInput(Finding("golden", f"input {port} `{tensor.name}`", message))


def too_costly(model: Model) -> str:
    """Why one sample is over the limits; empty where it is not."""
    graph = model.graph
    known = [i for i, node in enumerate(graph.nodes) if not isinstance(node.op, OpaqueOp)]
    elements = sum(graph.tensors[t].elements for node in graph.nodes for t in node.outputs)
    elements += sum(graph.tensors[t].elements for t in graph.inputs)
    if elements > MAX_ELEMENTS:
        return f"{elements:,} activations are more than {MAX_ELEMENTS:,}"
    macs = sum(_macs(model, i) for i in known)
    if macs > MAX_MACS:
        return f"{macs:,} MACs are more than {MAX_MACS:,}"
    return ""


def _macs(model: Model, index: int) -> int:
    view = NodeView(model.graph, index)
    try:
        return view.op.macs(view)
    except (IndexError, ValueError, ZeroDivisionError):  # shapes that the op's limits refuse
        return 0


def golden_outputs(model: Model, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Outputs of the reference runner for every sample. Raises UnsupportedModel where it cannot
    run the model, or not on these inputs (an index beyond a table).
    """
    from thimble.runners.reference import ReferenceRunner
    from thimble.support import runnable

    with np.errstate(all="ignore"):
        runner = ReferenceRunner(runnable(model))
        try:
            return [runner.run(list(inputs)) for inputs in samples]
        except (IndexError, ValueError, ArithmeticError) as error:
            message = f"the reference runner fails on seeded inputs: {error}"
            raise UnsupportedModel(Finding("golden", model.source, message)) from error
