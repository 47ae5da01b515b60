"""thimble plan"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from thimble.cli.screen import (
    Bytes,
    Screen,
    model_argument,
    region_option,
    shrink_option,
    stream_options,
    time_option,
    verb,
)

if TYPE_CHECKING:
    from thimble.lower import Streaming


@verb("thimble plan model.tflite", "plan", html=True)
@model_argument
@click.option("--target", help="Plan for this core (its kernels need their own scratch memory).")
@click.option("--strategy", default="exact", show_default=True, help="exact, or TFLM's greedy.")
@time_option
@region_option
@stream_options
@shrink_option
@click.option("--split", type=click.IntRange(1), metavar="K", help="In K parts: see what it gives.")
@click.option(
    "--split-by",
    type=click.Choice(["ram", "flash"]),
    default="ram",
    show_default=True,
    help="What the largest part needs least of.",
)
@click.option("--ram", type=Bytes(), help="In the fewest parts that each run in this much memory.")
def command(
    screen: Screen,
    model: str,
    target: str | None,
    strategy: str,
    time_limit_s: float,
    regions: tuple[str, ...],
    stream: Streaming,
    stream_input: bool,
    shrink: bool,
    split: int | None,
    split_by: str,
    ram: int | None,
) -> int:
    """Where every tensor of MODEL lies in its arena, and when."""
    from thimble.formats import load_model
    from thimble.memory_map import plan_report

    if regions and (split is not None or ram is not None):
        raise click.UsageError("--region plans the whole model, not parts of it")
    if split is not None or ram is not None:
        from thimble.parts import split as split_model
        from thimble.parts import split_report
        from thimble.targets import load_target

        core = load_target(target) if target is not None else None
        given = split_model(
            load_model(model),
            split,
            ram=ram,
            goal=split_by,
            target=core,
            strategy=strategy,
            shrink=shrink,
            time_limit_s=time_limit_s,
        )
        screen.show(split_report(given))
        return 0
    screen.show(
        plan_report(
            load_model(model),
            strategy,
            target,
            stream,
            stream_input,
            shrink,
            time_limit_s,
            regions,
        )
    )
    return 0
