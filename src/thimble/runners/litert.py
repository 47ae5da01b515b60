"""`litert`, `litert-ref`, `litert-nodelegate`: the LiteRT interpreter, to compare with.

litert runs the optimised kernels with the XNNPACK delegate (what users get), litert-ref the
reference kernels, litert-nodelegate the optimised kernels without delegate.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from thimble.runners.peer import PeerRunner

Array = np.ndarray

_RESOLVERS = {
    "litert": "AUTO",
    "litert-ref": "BUILTIN_REF",
    "litert-nodelegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
}


class Session:
    """One model open in LiteRT; lives in the peer's process."""

    def __init__(self, content: bytes, variant: str, preserve: bool, outputs: int):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_op_resolver_type=getattr(OpResolverType, _RESOLVERS[variant]),
            experimental_preserve_all_tensors=preserve,
        )
        self.interpreter.allocate_tensors()
        self._inputs = [d["index"] for d in self.interpreter.get_input_details()]
        self._outputs = [d["index"] for d in self.interpreter.get_output_details()]

    def _invoke(self, inputs: Sequence[Array]) -> None:
        for index, array in zip(self._inputs, inputs, strict=True):
            self.interpreter.set_tensor(index, array)
        self.interpreter.invoke()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        self._invoke(inputs)
        return [np.array(self.interpreter.get_tensor(index)) for index in self._outputs]

    def tensors(self, inputs: Sequence[Array], indices: Sequence[int]) -> list[Array]:
        self._invoke(inputs)
        return [np.array(self.interpreter.get_tensor(index)) for index in indices]

    def seconds(self, inputs: Sequence[Array], repeats: int) -> list[float]:
        times = []
        for _ in range(repeats):
            for index, array in zip(self._inputs, inputs, strict=True):
                self.interpreter.set_tensor(index, array)
            start = time.perf_counter()
            self.interpreter.invoke()
            times.append(time.perf_counter() - start)
        return times


class LiteRTRunner(PeerRunner):
    """LiteRT in a process of its own, single-threaded."""

    peer = "litert"
    module = "ai_edge_litert"
    extra = "litert"

    def trace_kind(self) -> str:
        # A delegate leaves the tensors inside its part uncomputed: make them outputs instead.
        return "all-outputs" if self.name == "litert" else "preserve"
