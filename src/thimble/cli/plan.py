"""thimble plan"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, model_argument, stream_options, verb


@verb("thimble plan model.tflite", "plan")
@model_argument
@click.option("--target", help="Plan for this core (its kernels need their own scratch memory).")
@click.option("--strategy", default="exact", show_default=True, help="exact, or TFLM's greedy.")
@stream_options
def command(
    screen: Screen,
    model: str,
    target: str | None,
    strategy: str,
    stream: bool,
    stream_input: bool,
) -> int:
    """Where every tensor of MODEL lies in its arena, and when."""
    from thimble.formats import load_model
    from thimble.memory_map import plan_report

    screen.show(plan_report(load_model(model), strategy, target, stream, stream_input))
    return 0
