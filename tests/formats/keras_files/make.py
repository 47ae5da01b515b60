"""Writes the Keras models of this folder and what Keras itself computes of them.

    KERAS_BACKEND=torch python tests/formats/keras_files/make.py

Needs Keras 3 and a backend, which the tests do not. Every model is small, seeded and untrained; its
normalizations have random statistics. `outputs.npz` holds for each model NAME the inputs NAME/x0 ..
and outputs NAME/y0 .., and the versions in `made_by`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import Input, Model, Sequential, layers

FOLDER = Path(__file__).parent
SAMPLES = 3
Net = Any


def images() -> Net:
    """Two-dimensional layers in a Sequential model."""
    return Sequential(
        [
            Input((17, 14, 2), name="camera"),
            layers.Rescaling(0.5, offset=-0.1),
            layers.ZeroPadding2D(((1, 2), (0, 3))),
            layers.Conv2D(4, (3, 2), strides=2, padding="same", name="first"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.Dropout(0.3),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="elu"),
            layers.BatchNormalization(scale=False),
            layers.Activation("hard_sigmoid"),
            layers.SeparableConv2D(6, 3, padding="valid", activation="gelu"),
            layers.Conv2D(6, 3, dilation_rate=2, padding="same", groups=3, use_bias=False),
            layers.BatchNormalization(center=False),
            layers.LeakyReLU(negative_slope=0.1),
            layers.UpSampling2D((2, 1)),
            layers.Cropping2D(((1, 0), (1, 1))),
            layers.MaxPooling2D((3, 2), strides=(2, 1), padding="same"),
            layers.AveragePooling2D(2, padding="same"),
            layers.SpatialDropout2D(0.1),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Permute((2, 1, 3)),
            layers.Flatten(),
            layers.Dense(5, activation="softmax", name="classes"),
        ],
        name="images",
    )


def signals() -> Net:
    """One-dimensional layers; Functional, with two inputs and two outputs."""
    x = Input((24, 3), name="signal")
    z = Input((24, 1), name="clock")
    both = layers.Concatenate()([x, z])
    a = layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu")(both)
    a = layers.BatchNormalization()(a)
    b = layers.Conv1D(6, 4, strides=1, padding="same")(both)
    b = layers.LayerNormalization()(b)
    c = layers.Add()([a, b])
    c = layers.SeparableConv1D(4, 3, padding="same", dilation_rate=2, activation="tanh")(c)
    c = layers.DepthwiseConv1D(3, strides=2, padding="same", activation="swish")(c)
    pooled = layers.MaxPooling1D(2)(layers.ZeroPadding1D((1, 2))(c))
    mean = layers.AveragePooling1D(3, strides=2, padding="same")(layers.Cropping1D((1, 0))(c))
    up = layers.UpSampling1D(2)(pooled)
    first = layers.GlobalAveragePooling1D(name="mean")(mean)
    second = layers.Dense(2, name="steps")(up)
    return Model([x, z], [first, second], name="signals")


def functions() -> Net:
    """Every activation, side by side."""
    x = Input((7,), name="x")
    names = ["relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "sigmoid"]
    names += ["tanh", "softmax", "log_softmax", "hard_sigmoid", "hard_silu", "softplus"]
    names += ["softsign", "exponential", "linear"]
    parts = [layers.Activation(name, name=f"try_{name}")(x) for name in names]
    parts += [
        layers.ELU(0.7)(x),
        layers.ReLU(2.0)(x),
        layers.ReLU(negative_slope=0.2)(x),
        layers.ReLU(4.0, negative_slope=0.1)(x),
        layers.Softmax()(x),
        layers.PReLU(alpha_initializer="random_normal")(x),
    ]
    return Model(x, layers.Concatenate(axis=1)(parts), name="functions")


def shared() -> Net:
    """A layer and a model that are called twice, models in models, arithmetic on tensors."""
    inner = Sequential([Input((8,)), layers.Dense(6, activation="relu"), layers.Dense(4)], name="s")
    u = Input((4,), name="u")
    v = layers.Dense(4, activation="sigmoid", name="gate")(u)
    gated = Model(u, layers.Multiply()([u, v]), name="gated")
    left, right = Input((8,), name="left"), Input((8,), name="right")
    dense = layers.Dense(8, name="shared_dense")
    a, b = gated(inner(dense(left))), gated(inner(dense(right)))
    c = layers.Subtract()([a, b]) * 2.0 + a
    d = layers.Average()([a, b, c])
    e = layers.Maximum()([layers.Minimum()([a, d]), b])
    wide = layers.Reshape((2, -1))(layers.RepeatVector(3)(e))
    out = layers.Dense(3, name="out")(wide)
    return Model([left, right], layers.Flatten()(out), name="shared")


def tall() -> Net:
    """Global pooling, interpolation, normalization with known statistics."""
    x = Input((6, 5, 3), name="x")
    n = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 1.0, 2.0])(x)
    up = layers.UpSampling2D(2, interpolation="bilinear")(n)
    c = layers.Conv2D(4, 3, activation="relu6", name="c")(up)
    g = layers.GlobalMaxPooling2D(keepdims=True)(c)
    h = layers.GlobalAveragePooling2D()(layers.Multiply()([c, g]))
    return Model(x, h, name="tall")


MODELS: dict[str, Callable[[], Net]] = {
    "images": images,
    "signals": signals,
    "functions": functions,
    "shared": shared,
    "tall": tall,
}
AS_H5 = ("images", "shared")  # also in the older format


def pack(path: Path) -> None:
    """The same archive, compressed: HDF5 files of small weights are mostly zeros."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def main() -> None:
    """Write every file of this folder."""
    found: dict[str, np.ndarray] = {}
    for name, make in MODELS.items():
        keras.utils.set_random_seed(7)
        keras.backend.clear_session()
        model = make()
        rng = np.random.default_rng(len(name))
        for w in model.weights:
            low = 0.2 if "variance" in w.path or "gamma" in w.path else -0.6
            w.assign(rng.uniform(low, 0.9, w.shape).astype(np.float32))
        model.save(FOLDER / f"{name}.keras")
        pack(FOLDER / f"{name}.keras")
        if name in AS_H5:
            model.save(FOLDER / f"{name}.h5")
        inputs = [
            rng.uniform(-2, 2, (SAMPLES, *t.shape[1:])).astype(np.float32) for t in model.inputs
        ]
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        found |= {f"{name}/x{i}": x for i, x in enumerate(inputs)}
        found |= {f"{name}/y{i}": np.asarray(y) for i, y in enumerate(outputs)}
    found["made_by"] = np.array(f"Keras {keras.__version__}, backend {keras.backend.backend()}")
    np.savez_compressed(FOLDER / "outputs.npz", **found)


if __name__ == "__main__":
    main()
