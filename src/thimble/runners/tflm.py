"""`tflm`: TensorFlow Lite Micro's reference kernels on this machine, to compare with."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from thimble.runners.peer import PeerRunner

Array = np.ndarray

ARENA_BYTES = 64 << 20


class Session:
    """One model open in TFLM; lives in the peer's process."""

    def __init__(self, content: bytes, variant: str, preserve: bool, outputs: int):
        from tflite_micro.python.tflite_micro import runtime

        self.interpreter = runtime.Interpreter.from_bytes(content, arena_size=ARENA_BYTES)
        self._outputs = outputs

    def _invoke(self, inputs: Sequence[Array]) -> None:
        for i, array in enumerate(inputs):
            self.interpreter.set_input(array, i)
        self.interpreter.invoke()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        self._invoke(inputs)
        return [np.array(self.interpreter.get_output(i)) for i in range(self._outputs)]

    def seconds(self, inputs: Sequence[Array], repeats: int) -> list[float]:
        times = []
        for _ in range(repeats):
            for i, array in enumerate(inputs):
                self.interpreter.set_input(array, i)
            start = time.perf_counter()
            self.interpreter.invoke()
            times.append(time.perf_counter() - start)
        return times


class TflmRunner(PeerRunner):
    """TFLM in a process of its own."""

    peer = "tflm"
    module = "tflite_micro"
    extra = "tflm"

    def trace_kind(self) -> str:
        # Its option to preserve all tensors gives None for intermediate ones (wheel of 2026-10).
        return "all-outputs"
