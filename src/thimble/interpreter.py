"""`Interpreter`: LiteRT's Python interface on the emitted C, so that existing scripts only change
an import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thimble.build import prepare
from thimble.errors import BadInput, Finding
from thimble.formats import load_model
from thimble.graph import Model, Signature, Tensor
from thimble.host import this_machine
from thimble.trace import Trace

Array = np.ndarray


class Interpreter:
    """Runs the main graph of a .tflite model with the methods of LiteRT's `Interpreter`.

    Options of LiteRT that choose its kernels (resolver, delegates, threads) are accepted and have
    no effect. Shapes are fixed when the model is loaded: `resize_tensor_input` takes the shape that
    is. With `experimental_preserve_all_tensors`, `get_tensor` reads intermediate tensors too.
    Raises BadInput, InvalidModel or UnsupportedModel.
    """

    def __init__(
        self,
        model_path: str | None = None,
        model_content: bytes | None = None,
        experimental_preserve_all_tensors: bool = False,
        **_ignored: Any,
    ):
        from thimble.formats.tflite import loads

        if (model_path is None) == (model_content is None):
            raise ValueError("give either model_path or model_content")
        self._model: Model = (
            load_model(model_path) if model_path is not None else loads(bytes(model_content or b""))
        )
        self._graph = self._model.graph
        self._preserve = experimental_preserve_all_tensors
        self._library: Any = None
        self._values: dict[int, Array] = {}

    # --- setting up and running
    # ---------------------------------------------------------------------

    def allocate_tensors(self) -> None:
        """Compile the model and zero its inputs."""
        if self._library is None:
            from thimble.runners.host_library import HostLibrary

            self._library = HostLibrary(prepare(self._model, this_machine()).firmware)
        for index in self._graph.inputs:
            tensor = self._graph.tensors[index]
            self._values[index] = np.zeros(tensor.shape, tensor.dtype)

    def invoke(self) -> None:
        """Run one inference on the inputs set with `set_tensor`."""
        self._need_allocated()
        inputs = [self._values[index] for index in self._graph.inputs]
        if not self._preserve:
            self._values.update(zip(self._graph.outputs, self._library.run(inputs)))
            return
        trace: Trace = self._library.trace(inputs)
        for index, tensor in enumerate(self._graph.tensors):
            if tensor.name in trace and index not in self._graph.inputs:
                self._values[index] = trace[tensor.name]

    def reset_all_variables(self) -> None:
        """Set all state back to its start."""
        self._need_allocated()
        if any(t.is_variable for t in self._graph.tensors):
            raise BadInput(
                Finding("state", self._model.source, "the state of this model cannot be reset yet")
            )

    def resize_tensor_input(self, input_index: int, tensor_size: Any, strict: bool = False) -> None:
        """Accepts the shape that the tensor has. Raises BadInput for any other."""
        tensor = self._tensor(input_index)
        wanted = tuple(int(d) for d in tensor_size)
        if wanted != tensor.shape:
            raise BadInput(
                Finding(
                    "shape",
                    f"{self._model.source}, tensor `{tensor.name}`",
                    f"cannot be resized from {list(tensor.shape)} to {list(wanted)}:"
                    " memory is planned for fixed shapes",
                    "run one sample at a time, or export the model with the shape you need",
                )
            )

    # --- tensors
    # --------------------------------------------------------------------------------------

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Set an input, which must have the tensor's dtype and shape. Raises ValueError as LiteRT
        does.
        """
        self._need_allocated()
        tensor = self._tensor(tensor_index)
        array = np.asarray(value)
        if tensor_index not in self._graph.inputs:
            raise ValueError(f"tensor {tensor_index} `{tensor.name}` is no input of the model")
        if array.dtype != np.dtype(tensor.dtype):
            raise ValueError(
                f"Cannot set tensor: Got value of type {array.dtype} but expected type"
                f" {tensor.dtype} for input {tensor_index}, name: {tensor.name}"
            )
        if array.shape != tensor.shape:
            raise ValueError(
                f"Cannot set tensor: Dimension mismatch. Got {list(array.shape)} but expected"
                f" {list(tensor.shape)} for input {tensor_index} `{tensor.name}`"
            )
        self._values[tensor_index] = np.array(array)

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Array:
        """A copy of a tensor's value: inputs, outputs, constants, and others where preserved."""
        self._only_main(subgraph_index)
        tensor = self._tensor(tensor_index)
        if tensor.data is not None:
            return np.array(tensor.data)
        if tensor_index not in self._values:
            raise ValueError(
                f"tensor {tensor_index} `{tensor.name}` has no value: run invoke(), and give"
                " experimental_preserve_all_tensors=True to read intermediate tensors"
            )
        return self._values[tensor_index].copy()

    def tensor(self, tensor_index: int) -> Any:
        """A function that returns the tensor's array; writing into an input's array sets it."""
        return lambda: self._values[tensor_index]

    def get_input_details(self) -> list[dict[str, Any]]:
        """name, index, shape, shape_signature, dtype and quantization of every input."""
        return [self._details(index) for index in self._graph.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same of every output."""
        return [self._details(index) for index in self._graph.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """The same of every tensor."""
        self._only_main(subgraph_index)
        return [self._details(index) for index in range(len(self._graph.tensors))]

    # --- signatures
    # -----------------------------------------------------------------------------------

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """Signature key -> {"inputs": names, "outputs": names}."""
        return {
            s.key: {"inputs": sorted(s.inputs), "outputs": sorted(s.outputs)}
            for s in self._model.signatures
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A function of named arrays. Without a key, the model must have exactly one signature."""
        known = {s.key: s for s in self._model.signatures if s.subgraph == 0}
        if signature_key is None:
            if len(known) != 1:
                raise ValueError(f"give a signature_key, one of {sorted(known)}")
            signature_key = next(iter(known))
        if signature_key not in known:
            raise ValueError(f'Invalid signature_key provided: "{signature_key}".')
        return SignatureRunner(self, known[signature_key])

    # --- inside
    # -----------------------------------------------------------------------------------------

    def _need_allocated(self) -> None:
        if self._library is None:
            raise RuntimeError("call allocate_tensors() first")

    def _only_main(self, subgraph_index: int) -> None:
        if subgraph_index != 0:
            raise ValueError("only subgraph 0 has tensors at run time")

    def _tensor(self, index: int) -> Tensor:
        if not 0 <= index < len(self._graph.tensors):
            raise ValueError(f"Tensor index {index} is out of range")
        return self._graph.tensors[index]

    def _details(self, index: int) -> dict[str, Any]:
        tensor = self._graph.tensors[index]
        quant = tensor.quant
        scales = np.array([] if quant is None else quant.scale, np.float32)
        zero_points = np.array([] if quant is None else quant.zero_point, np.int32)
        single = len(scales) == 1
        signature = tensor.shape_signature or tensor.shape
        numpy_name = "uint8" if tensor.dtype in ("int4", "bfloat16", "int2") else tensor.dtype
        known = numpy_name not in ("string", "resource", "variant", "uint4")
        return {
            "name": tensor.name,
            "index": index,
            "shape": np.array(tensor.shape, np.int32),
            "shape_signature": np.array(signature, np.int32),
            "dtype": np.dtype(numpy_name).type if known else np.object_,
            "quantization": (
                float(scales[0]) if single else 0.0,
                int(zero_points[0]) if single else 0,
            ),
            "quantization_parameters": {
                "scales": scales,
                "zero_points": zero_points,
                "quantized_dimension": 0 if quant is None else quant.axis,
                "block_size": 0,
            },
            "sparsity_parameters": {},
        }


class SignatureRunner:
    """Calls the model by the names of one signature: `runner(x=array)["y"]`."""

    def __init__(self, interpreter: Interpreter, signature: Signature):
        self._interpreter = interpreter
        self._signature = signature

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        """Outputs by name. Raises ValueError for missing or unknown names."""
        wanted: Mapping[str, int] = self._signature.inputs
        if set(inputs) != set(wanted):
            raise ValueError(
                f"Invalid inputs for this signature: expected {sorted(wanted)},"
                f" got {sorted(inputs)}"
            )
        for name, value in inputs.items():
            self._interpreter.resize_tensor_input(wanted[name], np.shape(value))
        self._interpreter.allocate_tensors()
        for name, value in inputs.items():
            self._interpreter.set_tensor(wanted[name], np.asarray(value))
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(i) for name, i in self._signature.outputs.items()
        }

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        """Input name -> details."""
        everything = self._interpreter.get_tensor_details()
        return {name: everything[i] for name, i in self._signature.inputs.items()}

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        """Output name -> details."""
        everything = self._interpreter.get_tensor_details()
        return {name: everything[i] for name, i in self._signature.outputs.items()}
