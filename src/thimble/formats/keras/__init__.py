"""Read Keras models, .keras and .h5, into a float graph: `load(path)`.

The graph is what the TFLite converter would make of the model for a batch of 1: NHWC, one layer
for a convolution with its normalization and activation, tensors named `model/layer/Relu;...`.
Everything that has no form in the graph is reported at once, layer by layer. Nothing in a file is
executed: custom layers are refused, but for those that are known here by name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from thimble.errors import Finding, InvalidModel, ThimbleError, UnsupportedModel
from thimble.formats.keras import (
    activations,
    convolutions,
    merging,
    normalizing,
    pooling,
    shaping,
    tcn,
)
from thimble.formats.keras.archive import read
from thimble.formats.keras.builder import Builder, Call, Unsupported
from thimble.formats.keras.fuse import fuse
from thimble.formats.keras.network import MODELS, Layer, Malformed, Network, Source, network
from thimble.formats.keras.weights import Weights
from thimble.graph import Model, Signature

MAX_DEPTH = 32  # models in models

# Class -> what makes its nodes. Classes of other packages are listed because their meaning is
# known; they are never imported.
LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {
    **activations.LAYERS,
    **convolutions.LAYERS,
    **merging.LAYERS,
    **normalizing.LAYERS,
    **pooling.LAYERS,
    **shaping.LAYERS,
}
FOREIGN_LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {**tcn.LAYERS}

# What a converter may stumble over in a configuration that Keras would not have written.
_MALFORMED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_HINTS = {
    "Lambda": "a Lambda holds Python code, which is not run: use layers that say what they do",
    "LSTM": "recurrent layers are not read: convert the model to .tflite",
    "GRU": "recurrent layers are not read: convert the model to .tflite",
    "SimpleRNN": "recurrent layers are not read: convert the model to .tflite",
    "Bidirectional": "recurrent layers are not read: convert the model to .tflite",
    "TFOpLambda": "use a layer (Add, Multiply, Rescaling ...) instead of a TensorFlow function",
}


def load(path: str | os.PathLike[str]) -> Model:
    """The model in a .keras or .h5 file, in float32, for a batch of 1.

    Raises BadInput when there is no such file, ToolMissing without h5py, InvalidModel when its
    content is damaged, UnsupportedModel with a finding for every layer that has no form here.
    """
    name = os.fspath(path)
    saved = read(name)
    source = os.path.basename(name)
    config = saved.config.get("config")
    kind = str(saved.config.get("class_name"))
    if kind not in MODELS or not isinstance(config, dict):
        message = f"it is a {kind}: a model class of its own, not layers in a graph"
        hint = "rebuild it as a Functional or Sequential model, or convert it to .tflite"
        raise UnsupportedModel(Finding("custom-model", source, message, hint))
    reader = _Reader(source, saved.version.startswith(("1.", "2.")))
    try:
        found = network(kind, config)
        inputs = [reader.input(found, layer) for layer in found.inputs]
        outputs = reader.run(found, inputs, saved.weights, found.name, 0)
    except (Malformed, *_MALFORMED) as error:
        if not reader.findings:
            raise InvalidModel(Finding("damaged", source, str(error), _SAVE_AGAIN)) from error
        outputs = []
    if reader.findings:
        invalid = all(f.rule == "damaged" for f in reader.findings)
        raise (InvalidModel if invalid else UnsupportedModel)(reader.findings)
    return _checked(reader, found, inputs, outputs, saved.version)


def _checked(
    reader: _Reader, found: Network, inputs: list[int], outputs: list[int], version: str
) -> Model:
    """The model with its invariants checked, since sizes come from the file."""
    from thimble.invariants import check_model
    from thimble.passes.compact import compact
    from thimble.passes.dead_code import dead_code

    graph = fuse(dead_code(reader.builder.graph(found.name, inputs, outputs)))
    names = [source.layer for source in found.outputs]
    unique = [n if names.count(n) == 1 else f"{n}_{i}" for i, n in enumerate(names)]
    signature = Signature(
        "serving_default", dict(zip(found.inputs, inputs)), dict(zip(unique, outputs))
    )
    description = f"Keras {version}" if version else "Keras"
    model = Model((graph,), description, (signature,), source=reader.source)
    if findings := check_model(model):
        raise InvalidModel(findings)
    return compact(model)


_SAVE_AGAIN = "fetch it or save it again"


@dataclass
class _Reader:
    """Makes the nodes of one file; collects what cannot be."""

    source: str
    is_keras_2: bool
    builder: Builder = field(default_factory=Builder)
    findings: list[Finding] = field(default_factory=list)

    def input(self, found: Network, name: str) -> int:
        """The tensor of an InputLayer: its batch is 1."""
        shape = found.input_shapes.get(name)
        if not shape:
            raise Malformed(f"input `{name}` has no shape")
        sizes = [1, *shape[1:]]
        if not all(isinstance(s, int) and s > 0 for s in sizes):
            message = f"its shape is {list(shape)}; only the batch may be left open"
            hint = "build the model with a fixed input shape"
            self._find("dynamic-shape", name, "InputLayer", message, hint)
            sizes = [s if isinstance(s, int) and s > 0 else 1 for s in sizes]
        return self.builder.input(name, sizes)

    def _find(self, rule: str, name: str, kind: str, message: str, hint: str) -> None:
        where = f"{self.source}, layer `{name}` ({kind})"
        self.findings.append(Finding(rule, where, message, hint))

    def run(
        self, found: Network, inputs: Sequence[int], weights: Weights, scope: str, depth: int
    ) -> list[int]:
        """The outputs of a model that is given `inputs`. Layers run as soon as they can."""
        if depth > MAX_DEPTH:
            raise Malformed(f"models are nested more than {MAX_DEPTH} deep")
        held = weights.layers([(layer.kind, layer.name) for layer in found.layers])
        ready: dict[Source, int | None] = {
            Source(name, 0, 0): t for name, t in zip(found.inputs, inputs)
        }
        waiting = [
            (layer, arrays, number)
            for layer, arrays in zip(found.layers, held)
            for number in range(len(layer.calls))
            if not (layer.kind == "InputLayer" and layer.name in found.inputs)
        ]
        while waiting:
            blocked = []
            for layer, arrays, number in waiting:
                needed = [a for a in layer.calls[number] if isinstance(a, Source)]
                if any(source not in ready for source in needed):
                    blocked.append((layer, arrays, number))
                    continue
                outputs = self._call(layer, number, ready, arrays, scope, depth)
                first = found.first_call(layer)
                for k, t in enumerate(outputs):
                    ready[Source(layer.name, first + number, k)] = t
            if len(blocked) == len(waiting):
                names = ", ".join(f"`{layer.name}`" for layer, _, _ in blocked[:5])
                raise Malformed(f"layers {names} wait for tensors that nothing makes")
            waiting = blocked
        wanted = []
        for source in found.outputs:
            if source not in ready:
                raise Malformed(f"output `{source.layer}` is made by nothing")
            t = ready[source]
            wanted.append(-1 if t is None else t)
        return wanted

    def _call(
        self,
        layer: Layer,
        number: int,
        ready: Mapping[Source, int | None],
        weights: Weights,
        scope: str,
        depth: int,
    ) -> list[int | None]:
        """The outputs of one call; None for what could not be made, which is then reported."""
        within = f"{scope}/{layer.name}"
        given: list[int] = []
        for argument in layer.calls[number]:
            t = (
                ready[argument]
                if isinstance(argument, Source)
                else self.builder.const(f"{within}/y", argument)
            )
            if t is None or t < 0:
                return _nothing(layer)  # what it would read has been reported
            given.append(t)
        try:
            if layer.is_model:
                inner = network(layer.kind, layer.config)
                if len(inner.inputs) != len(given):
                    raise ValueError(f"it takes {len(inner.inputs)} inputs, not {len(given)}")
                return list(self.run(inner, given, weights, within, depth + 1))
            make = self._maker(layer)
            if make is None:
                return _nothing(layer)
            call = Call(
                layer.kind, layer.name, within, layer.config, weights, given, self.is_keras_2
            )
            return [make(self.builder, call)]
        except Unsupported as error:
            self._find("unsupported", layer.name, layer.kind, str(error), error.hint)
        except ThimbleError as error:
            self.findings += error.findings
        except _MALFORMED as error:
            self._find("damaged", layer.name, layer.kind, str(error) or repr(error), _SAVE_AGAIN)
        return _nothing(layer)

    def _maker(self, layer: Layer) -> Callable[[Builder, Call], int] | None:
        """What makes the nodes of a layer; a finding where there is nothing."""
        plain = layer.kind.rsplit(">", 1)[-1]
        if layer.is_custom or plain in FOREIGN_LAYERS:
            make = FOREIGN_LAYERS.get(plain)
        else:
            make = LAYERS.get(plain)
        if make is not None and layer.config.get("quantization_config") is not None:
            hint = "save the float model and quantize it with thimble quantize"
            message = "its weights are quantized by Keras"
            self._find("unsupported", layer.name, layer.kind, message, hint)
            return None
        if make is not None:
            return make
        if layer.is_custom:
            hint = "its code is not run: build it of Keras' own layers, or convert it to .tflite"
            message = "it is a custom layer"
            self._find("custom-layer", layer.name, layer.kind, message, hint)
        else:
            hint = _HINTS.get(plain, "convert the model to .tflite, or replace the layer")
            message = "there is no reader for this layer"
            self._find("unsupported-layer", layer.name, layer.kind, message, hint)
        return None


def _nothing(layer: Layer) -> list[int | None]:
    """Outputs that do not exist; layers of several outputs are refused, so few will do."""
    return [None] * 8
