"""Activations, as layers and as the option `activation` of other layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thimble.formats.keras.builder import Builder, Call, Unsupported
from thimble.ops.add import Add
from thimble.ops.div import Div
from thimble.ops.elementary import Abs, Exp, Log
from thimble.ops.log_softmax import LogSoftmax
from thimble.ops.maximum import Maximum, Minimum
from thimble.ops.mul import Mul
from thimble.ops.prelu import Prelu
from thimble.ops.relu import LeakyRelu, Relu, Relu6
from thimble.ops.softmax import Softmax
from thimble.ops.unary import Elu, Gelu, HardSwish, Logistic, Tanh

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_RELU6_SIXTH = 1.0 / 6.0


def _hard_sigmoid(b: Builder, x: int, scope: str, is_keras_2: bool) -> int:
    """Keras 3: relu6(x + 3) / 6. Keras 2: x / 5 + 1/2, clamped to [0, 1]."""
    if is_keras_2:
        x = b.add(Mul(), [x, b.const(f"{scope}/slope", np.float32(0.2))], f"{scope}/mul")
        x = b.add(Add(), [x, b.const(f"{scope}/half", np.float32(0.5))], f"{scope}/add")
        x = b.add(Maximum(), [x, b.const(f"{scope}/zero", np.float32(0))], f"{scope}/Maximum")
        return b.add(Minimum(), [x, b.const(f"{scope}/one", np.float32(1))], f"{scope}/Minimum")
    x = b.add(Add(), [x, b.const(f"{scope}/three", np.float32(3))], f"{scope}/add")
    x = b.add(Relu6(), [x], f"{scope}/Relu6")
    return b.add(Mul(), [x, b.const(f"{scope}/sixth", np.float32(_RELU6_SIXTH))], f"{scope}/mul")


def _softplus(b: Builder, x: int, scope: str) -> int:
    """max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    size = b.add(Abs(), [x], f"{scope}/Abs")
    minus = b.const(f"{scope}/minus", np.float32(-1))
    small = b.add(Exp(), [b.add(Mul(), [size, minus], f"{scope}/Neg")], f"{scope}/Exp")
    one = b.const(f"{scope}/one", np.float32(1))
    rest = b.add(Log(), [b.add(Add(), [small, one], f"{scope}/add")], f"{scope}/Log")
    return b.add(Add(), [b.add(Relu(), [x], f"{scope}/Relu"), rest], f"{scope}/Softplus")


def _selu(b: Builder, x: int, scope: str) -> int:
    """scale * (relu(x) + alpha * min(elu(x), 0))."""
    zero = b.const(f"{scope}/zero", np.float32(0))
    below = b.add(Minimum(), [b.add(Elu(), [x], f"{scope}/Elu"), zero], f"{scope}/Minimum")
    factor = b.const(f"{scope}/alpha", np.float32(_SELU_SCALE * _SELU_ALPHA))
    below = b.add(Mul(), [below, factor], f"{scope}/mul")
    scale = b.const(f"{scope}/scale", np.float32(_SELU_SCALE))
    above = b.add(Mul(), [b.add(Relu(), [x], f"{scope}/Relu"), scale], f"{scope}/mul_1")
    return b.add(Add(), [above, below], f"{scope}/Selu")


def _silu(b: Builder, x: int, scope: str) -> int:
    return b.add(Mul(), [x, b.add(Logistic(), [x], f"{scope}/Sigmoid")], f"{scope}/mul")


def _mish(b: Builder, x: int, scope: str) -> int:
    return b.add(
        Mul(), [x, b.add(Tanh(), [_softplus(b, x, scope)], f"{scope}/Tanh")], f"{scope}/mul"
    )


def _softsign(b: Builder, x: int, scope: str) -> int:
    one = b.const(f"{scope}/one", np.float32(1))
    below = b.add(Add(), [b.add(Abs(), [x], f"{scope}/Abs"), one], f"{scope}/add")
    return b.add(Div(), [x, below], f"{scope}/Softsign")


Function = Callable[[Builder, int, str], int]

FUNCTIONS: Mapping[str, Function] = {
    "linear": lambda b, x, scope: x,
    "relu": lambda b, x, scope: b.add(Relu(), [x], f"{scope}/Relu"),
    "relu6": lambda b, x, scope: b.add(Relu6(), [x], f"{scope}/Relu6"),
    "leaky_relu": lambda b, x, scope: b.add(LeakyRelu(alpha=0.2), [x], f"{scope}/LeakyRelu"),
    "elu": lambda b, x, scope: b.add(Elu(), [x], f"{scope}/Elu"),
    "selu": _selu,
    "gelu": lambda b, x, scope: b.add(Gelu(), [x], f"{scope}/Gelu"),
    "silu": _silu,
    "swish": _silu,
    "mish": _mish,
    "sigmoid": lambda b, x, scope: b.add(Logistic(), [x], f"{scope}/Sigmoid"),
    "tanh": lambda b, x, scope: b.add(Tanh(), [x], f"{scope}/Tanh"),
    "softmax": lambda b, x, scope: b.add(Softmax(beta=1.0), [x], f"{scope}/Softmax"),
    "log_softmax": lambda b, x, scope: b.add(LogSoftmax(), [x], f"{scope}/LogSoftmax"),
    "hard_silu": lambda b, x, scope: b.add(HardSwish(), [x], f"{scope}/HardSwish"),
    "hard_swish": lambda b, x, scope: b.add(HardSwish(), [x], f"{scope}/HardSwish"),
    "softplus": _softplus,
    "softsign": _softsign,
    "exponential": lambda b, x, scope: b.add(Exp(), [x], f"{scope}/Exp"),
}


def activate(b: Builder, call: Call, x: int, activation: Any) -> int:
    """`x` after the function that a layer's option `activation` names."""
    if isinstance(activation, dict):  # {"class_name": "function" or a layer, "config": ...}
        inner = activation.get("config")
        activation = inner if isinstance(inner, str) else activation.get("class_name")
    name = "linear" if activation is None else str(activation)
    if name == "hard_sigmoid":
        return _hard_sigmoid(b, x, call.scope, call.is_keras_2)
    if name not in FUNCTIONS:
        raise Unsupported(f"its activation `{name}` is not known", f"known: {', '.join(FUNCTIONS)}")
    return FUNCTIONS[name](b, x, call.scope)


def activation(b: Builder, call: Call) -> int:
    """Activation(name)."""
    return activate(b, call, call.x, call.get("activation"))


def relu(b: Builder, call: Call) -> int:
    """ReLU(max_value, negative_slope, threshold)."""
    slope, highest = float(call.get("negative_slope", 0.0)), call.get("max_value")
    if float(call.get("threshold", 0.0)) != 0:
        raise Unsupported("its threshold is not 0", "use a layer of its own for the threshold")
    if highest == 6 and not slope:
        return b.add(Relu6(), [call.x], f"{call.scope}/Relu6")
    if slope:
        y = b.add(LeakyRelu(alpha=slope), [call.x], f"{call.scope}/LeakyRelu")
    else:
        y = b.add(Relu(), [call.x], f"{call.scope}/Relu")
    if highest is None:
        return y
    limit = b.const(f"{call.scope}/max_value", np.float32(highest))
    return b.add(Minimum(), [y, limit], f"{call.scope}/Minimum")


def leaky_relu(b: Builder, call: Call) -> int:
    """LeakyReLU(negative_slope), called alpha in Keras 2."""
    alpha = call.get("negative_slope", call.get("alpha", 0.3))
    return b.add(LeakyRelu(alpha=float(alpha)), [call.x], f"{call.scope}/LeakyRelu")


def elu(b: Builder, call: Call) -> int:
    """ELU(alpha): relu(x) + alpha * min(elu(x), 0)."""
    alpha = float(call.get("alpha", 1.0))
    y = b.add(Elu(), [call.x], f"{call.scope}/Elu")
    if alpha == 1:
        return y
    zero = b.const(f"{call.scope}/zero", np.float32(0))
    below = b.add(Minimum(), [y, zero], f"{call.scope}/Minimum")
    factor = b.const(f"{call.scope}/alpha", np.float32(alpha))
    below = b.add(Mul(), [below, factor], f"{call.scope}/mul")
    above = b.add(Relu(), [call.x], f"{call.scope}/Relu")
    return b.add(Add(), [above, below], f"{call.scope}/add")


def prelu(b: Builder, call: Call) -> int:
    """PReLU: a slope for each value that shared_axes leave apart."""
    (alpha,) = call.arrays(1)
    given = b.const(f"{call.scope}/alpha", alpha)
    return b.add(Prelu(), [call.x, given], f"{call.scope}/Prelu")


def softmax(b: Builder, call: Call) -> int:
    """Softmax over the last axis."""
    axis = call.get("axis", -1)
    rank = len(b.shape(call.x))
    if axis not in (-1, rank - 1, [-1], [rank - 1]):
        raise Unsupported(f"it is over axis {axis}, not the last", "permute the axes first")
    return b.add(Softmax(beta=1.0), [call.x], f"{call.scope}/Softmax")


LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {
    "Activation": activation,
    "ReLU": relu,
    "LeakyReLU": leaky_relu,
    "ELU": elu,
    "PReLU": prelu,
    "Softmax": softmax,
}
