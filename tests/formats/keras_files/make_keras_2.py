"""Writes the models of Keras 2 of this folder, and what Keras itself computes of them.

    python tests/formats/keras_files/make_keras_2.py

Needs TensorFlow 2.15, which the tests do not. `outputs_keras_2.npz` is laid out like `outputs.npz`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from make import pack
from tensorflow.keras import Input, Model, Sequential, layers

FOLDER = Path(__file__).parent
SAMPLES = 3
Net = Any


def images2() -> Net:
    """What Keras 2 does otherwise: hard_sigmoid, LeakyReLU's alpha."""
    return Sequential(
        [
            Input((9, 8, 2)),
            layers.Rescaling(0.5, offset=-0.1),
            layers.Conv2D(4, (3, 2), strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
            layers.BatchNormalization(scale=False),
            layers.Activation("hard_sigmoid"),
            layers.SeparableConv2D(6, 3, activation="gelu"),
            layers.LeakyReLU(alpha=0.1),
            layers.AveragePooling2D((3, 2), strides=2, padding="same"),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def signals2() -> Net:
    """A causal SeparableConv1D, which Keras 3 has no more; arithmetic on tensors."""
    x = Input((12, 3))
    a = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(x)
    a = layers.Activation("relu")(layers.BatchNormalization()(a))
    b = layers.LayerNormalization()(layers.SeparableConv1D(4, 3, padding="causal")(x))
    c = layers.MaxPooling1D(2)(layers.Concatenate()([a, b])) * 2.0
    c = layers.DepthwiseConv1D(3, padding="same")(c) + c
    return Model(x, [layers.GlobalMaxPooling1D()(c), layers.Dense(2)(c / 3.0)])


def shared2() -> Net:
    """A layer and models that are called twice."""
    inner = Sequential([Input((8,)), layers.Dense(6, activation="relu"), layers.Dense(4)], name="s")
    u = Input((4,), name="u")
    gate = layers.Multiply()([u, layers.Dense(4, activation="sigmoid")(u)])
    gated = Model(u, gate, name="gated")
    left, right = Input((8,), name="left"), Input((8,), name="right")
    dense = layers.Dense(8, name="shared_dense")
    a, b = gated(inner(dense(left))), gated(inner(dense(right)))
    c = layers.Average()([layers.Subtract()([a, b]), layers.Add()([a, b])])
    return Model([left, right], [layers.Maximum()([c, b]), a])


MODELS: dict[str, tuple[Callable[[], Net], str]] = {
    "images2": (images2, "keras"),
    "signals2": (signals2, "keras"),
    "shared2": (shared2, "h5"),
}


def main() -> None:
    """Write the files."""
    found: dict[str, np.ndarray] = {}
    for name, (make, suffix) in MODELS.items():
        tf.keras.backend.clear_session()
        model = make()
        rng = np.random.default_rng(len(name))
        values = []
        for w in model.weights:
            low = 0.2 if "variance" in w.name or "gamma" in w.name else -0.6
            values.append(rng.uniform(low, 0.9, w.shape).astype(np.float32))
        model.set_weights(values)
        path = FOLDER / f"{name}.{suffix}"
        model.save(path)
        if suffix == "keras":
            pack(path)
        inputs = [
            rng.uniform(-2, 2, (SAMPLES, *t.shape[1:])).astype(np.float32) for t in model.inputs
        ]
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        found |= {f"{name}/x{i}": x for i, x in enumerate(inputs)}
        found |= {f"{name}/y{i}": np.asarray(y) for i, y in enumerate(outputs)}
    found["made_by"] = np.array(f"TensorFlow {tf.__version__} with its Keras 2")
    np.savez_compressed(FOLDER / "outputs_keras_2.npz", **found)


if __name__ == "__main__":
    main()
