"""thimble plan"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, model_argument, verb


@verb("thimble plan model.tflite", "plan")
@model_argument
@click.option("--target", help="Plan for this core (its kernels need their own scratch memory).")
@click.option("--strategy", default="exact", show_default=True, help="exact, or TFLM's greedy.")
@click.option("--stream", is_flag=True, help="Run layers row by row where that saves memory.")
def command(screen: Screen, model: str, target: str | None, strategy: str, stream: bool) -> int:
    """Where every tensor of MODEL lies in its arena, and when."""
    from thimble.formats import load_model
    from thimble.memory_map import plan_report

    screen.show(plan_report(load_model(model), strategy, target, stream))
    return 0
