"""The layers of a model and who feeds whom, out of its configuration.

Sequential models are a list. Functional ones say for every layer where each of its calls gets its
tensors from: `inbound_nodes`, as [[name, call, output, kwargs], ...] in Keras 2 and as
{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, output]}}]}
in Keras 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MODELS = ("Sequential", "Functional", "Model")

# Functions of TensorFlow in Functional models of Keras 2 -> the layer that does the same.
_FUNCTIONS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.divide": "Divide",
    "math.truediv": "Divide",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
}


class Source(NamedTuple):
    """Output `output` of call `call` of a layer."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True)
class Layer:
    """One layer of a model. `calls`: for each, its arguments: tensors or numbers."""

    kind: str
    name: str
    config: Mapping[str, Any]
    calls: Sequence[Sequence[Source | float]] = ()
    is_custom: bool = False

    @property
    def is_model(self) -> bool:
        return self.kind in MODELS and "layers" in self.config


@dataclass(frozen=True)
class Network:
    """A Sequential or Functional model. `inputs` are names of InputLayers, in order."""

    name: str
    layers: Sequence[Layer]
    inputs: Sequence[str]
    outputs: Sequence[Source]
    input_shapes: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def first_call(self, layer: Layer) -> int:
        """The number that others give to the first call of `layer`.

        It is 1 for a model within a model where Keras counts the call that built it; a reference to
        call 0, or beyond the last, tells.
        """
        if not layer.is_model:
            return 0
        arguments = [a for other in self.layers for call in other.calls for a in call]
        used = [a.call for a in (*arguments, *self.outputs) if isinstance(a, Source)
                and a.layer == layer.name]  # fmt: skip
        if 0 in used or not used:
            return 0
        return 1 if max(used) >= len(layer.calls) or layer.kind != "Sequential" else 0


class Malformed(ValueError):
    """The configuration is not what Keras writes; the message says where."""


def network(kind: str, config: Mapping[str, Any]) -> Network:
    """The layers of a Sequential or Functional configuration. Raises Malformed."""
    entries = config.get("layers")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise Malformed("its configuration lists no layers")
    name = str(config.get("name") or "model")
    if kind == "Sequential":
        return _sequential(name, config, entries)
    layers = [_layer(entry, _calls(entry.get("inbound_nodes"))) for entry in entries]
    inputs = [source.layer for source in _sources(config.get("input_layers"))]
    outputs = _sources(config.get("output_layers"))
    if not inputs or not outputs:
        raise Malformed("its configuration names no inputs or outputs")
    return Network(name, layers, inputs, outputs, _shapes(layers))


def _sequential(name: str, config: Mapping[str, Any], entries: Sequence[Any]) -> Network:
    layers: list[Layer] = []
    for entry in entries:
        before = [[Source(layers[-1].name, 0, 0)]] if layers else []
        layers.append(_layer(entry, before))
    if not layers:
        raise Malformed("it has no layers")
    if layers[0].kind != "InputLayer":
        shape = _shape(layers[0].config) or config.get("build_input_shape")
        first = Layer("InputLayer", f"{layers[0].name}_input", {"batch_shape": shape})
        second = Layer(
            layers[0].kind,
            layers[0].name,
            layers[0].config,
            [[Source(first.name, 0, 0)]],
            layers[0].is_custom,
        )
        layers = [first, second, *layers[1:]]
    outputs = [Source(layers[-1].name, 0, 0)]
    return Network(name, layers, [layers[0].name], outputs, _shapes(layers))


def _layer(entry: Mapping[str, Any], calls: Sequence[Sequence[Source | float]]) -> Layer:
    config = entry.get("config")
    if not isinstance(config, dict):
        raise Malformed(f"layer {entry.get('name')!r} has no configuration")
    kind = str(entry.get("class_name"))
    name = str(config.get("name") or entry.get("name") or kind)
    if kind == "TFOpLambda":
        kind = _FUNCTIONS.get(str(config.get("function")), kind)
    module = entry.get("module")
    foreign = isinstance(module, str) and not module.startswith(
        ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")
    )
    return Layer(kind, name, config, calls, foreign or ">" in kind)


def _shape(config: Mapping[str, Any]) -> Any:
    for key in ("batch_input_shape", "batch_shape"):
        if config.get(key) is not None:
            return config[key]
    shape = config.get("shape", config.get("input_shape"))
    return [None, *shape] if isinstance(shape, (list, tuple)) else None


def _shapes(layers: Sequence[Layer]) -> dict[str, Sequence[Any]]:
    found: dict[str, Sequence[Any]] = {}
    for layer in layers:
        shape = _shape(layer.config) if layer.kind == "InputLayer" else None
        if isinstance(shape, (list, tuple)):
            found[layer.name] = shape
    return found


def _is_source(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(i, int) for i in value[1:3])
    )


def _sources(value: Any) -> list[Source]:
    """All [name, call, output] in `value`, however they are nested."""
    if _is_source(value):
        return [Source(value[0], value[1], value[2])]
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            inner = value.get("config")
            history = inner.get("keras_history") if isinstance(inner, dict) else None
            if not _is_source(history):
                raise Malformed("a tensor has no history")
            return _sources(history)
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [source for item in value for source in _sources(item)]
    return []


def _calls(nodes: Any) -> list[list[Source | float]]:
    """The arguments of every call of a layer."""
    if nodes is None:
        return []
    if not isinstance(nodes, list):
        raise Malformed("inbound_nodes is no list")
    return [_arguments(node) for node in nodes]


def _arguments(node: Any) -> list[Source | float]:
    if isinstance(node, dict):
        found: list[Source | float] = []
        for argument in node.get("args") or ():
            if isinstance(argument, (int, float)) and not isinstance(argument, bool):
                found.append(float(argument))
            else:
                found += _sources(argument)
        kwargs = node.get("kwargs")
        return [*found, *_sources(kwargs if isinstance(kwargs, dict) else None)]
    if _is_source(node) and len(node) == 4 and isinstance(node[3], dict):  # of a TFOpLambda
        other = node[3].get("y")
        if isinstance(other, (int, float)) and not isinstance(other, bool):
            return [*_sources(node), float(other)]
        return [*_sources(node), *_sources(other)]
    return list(_sources(node))
