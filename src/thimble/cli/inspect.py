"""thimble inspect"""

from __future__ import annotations

from thimble.cli.screen import Screen, model_argument, verb


@verb("thimble inspect model.tflite", "inspect", html=True)
@model_argument
def command(screen: Screen, model: str) -> int:
    """Layers, shapes, dtypes, quantization, bytes, MACs and provenance of MODEL.

    Layers marked (!) are not supported; the findings say why.
    """
    from thimble.formats import load_model
    from thimble.inspect import inspect

    report = inspect(load_model(model), model)
    screen.show(report)
    return 0
