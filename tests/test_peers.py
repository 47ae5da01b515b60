"""The isolated peers: same outputs as in process, and a dead or slow worker is replaced."""

from __future__ import annotations

import signal

import numpy as np
import peers
import pytest
from models import ModelBuilder, op, random_inputs
from peers import PeerFailed, isolated, require, run_litert, run_tflm

from thimble.formats.tflite import dumps
from thimble.ops.contract import OpaqueOp


@pytest.fixture
def job():
    for peer in ("litert", "tflm"):
        require(peer)
    b = ModelBuilder()
    x = b.input("x", (2, 3))
    model = b.build([b.op(op("TANH"), [x], [((2, 3), "float32")])])
    return dumps(model), random_inputs(model.graph)


def test_isolated_is_the_same_as_in_process(job):
    data, inputs = job
    for peer, run in (("litert", run_litert), ("tflm", run_tflm)):
        np.testing.assert_array_equal(isolated(peer, data, inputs)[0], run(data, inputs)[0])
    np.testing.assert_allclose(run_litert(data, inputs)[0], np.tanh(inputs[0]), rtol=1e-5)


def test_refused_models_fail_with_the_reason(job):
    b = ModelBuilder()
    custom = OpaqueOp(op_name="NobodyHasThis", is_custom=True)
    y = b.op(custom, [b.input("x", (1,))], [((1,), "float32")])
    data = dumps(b.build([y]))
    with pytest.raises(PeerFailed, match="NobodyHasThis"):
        isolated("litert", data, [np.zeros(1, np.float32)])
    with pytest.raises(PeerFailed):
        isolated("tflm", data, [np.zeros(1, np.float32)])


def test_a_slow_or_dead_worker_is_replaced(job):
    data, inputs = job
    (expected,) = isolated("litert", data, inputs)
    assert peers._worker is not None
    peers._worker.process.send_signal(signal.SIGSTOP)
    with pytest.raises(PeerFailed, match="took more than"):
        isolated("litert", data, inputs, seconds=0.2)
    np.testing.assert_array_equal(isolated("litert", data, inputs)[0], expected)
    assert peers._worker is not None
    peers._worker.process.kill()
    peers._worker.process.wait()
    with pytest.raises(PeerFailed, match=r"died|crashed"):
        isolated("litert", data, inputs)
    np.testing.assert_array_equal(isolated("litert", data, inputs)[0], expected)
