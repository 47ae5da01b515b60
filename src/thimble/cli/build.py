"""thimble build"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from thimble.cli.screen import (
    Bytes,
    Screen,
    models_argument,
    region_option,
    shrink_option,
    stream_options,
    time_option,
    verb,
)

if TYPE_CHECKING:
    from thimble.lower import Streaming


@verb("thimble build model.tflite --target cortex-m55 -o firmware", "build", html=True)
@models_argument
@click.option("--target", default="cortex-m55", show_default=True, help="The core to build for.")
@click.option("-o", "--output", help="The folder to write; without it only the report is made.")
@click.option(
    "--data", help="Samples: quantize a float model on them first, then verify with them."
)
@click.option("--scheme", default="int8", show_default=True, help="Dtypes when quantizing.")
@click.option(
    "--optimize",
    type=click.Choice(["speed", "size", "auto"]),
    default="auto",
    show_default=True,
    help="Give each layer code of its own, share code, or choose per layer.",
)
@click.option("--ram", type=Bytes(), help="Fail when more RAM is needed (65536, 64k, 1M).")
@click.option("--flash", type=Bytes(), help="Fail when more flash is needed.")
@click.option("--name", help="The model's name in C; else from the file name.")
@click.option("--strategy", default="exact", show_default=True, help="Memory planner.")
@time_option
@region_option
@stream_options
@shrink_option
@click.option(
    "--split",
    type=click.IntRange(1),
    metavar="K",
    help="In K parts, each a .tflite and a C unit, and a driver that runs them in one arena.",
)
@click.option(
    "--split-by",
    type=click.Choice(["ram", "flash"]),
    default="ram",
    show_default=True,
    help="What the largest part needs least of.",
)
@click.option(
    "--stream-time",
    metavar="[NAME=]HOP",
    multiple=True,
    help="The input is a window that slides by HOP rows; compute only what is new. With several"
    " models: which, again for each.",
)
@click.option(
    "--inexact",
    is_flag=True,
    help="With --stream-time: also where padding in time makes the outputs differ.",
)
@click.option(
    "--rows-per-second",
    type=click.FloatRange(0, min_open=True),
    metavar="R",
    help="With --stream-time: report work per second.",
)
@click.option("--compiler", default="auto", show_default=True, help="gcc or clang, for the sizes.")
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    metavar="N",
    help="Samples to verify with.",
)
def command(
    screen: Screen,
    models: tuple[str, ...],
    target: str,
    output: str | None,
    data: str | None,
    scheme: str,
    optimize: str,
    ram: int | None,
    flash: int | None,
    name: str | None,
    strategy: str,
    time_limit_s: float,
    regions: tuple[str, ...],
    stream: Streaming,
    stream_input: bool,
    shrink: bool,
    split: int | None,
    split_by: str,
    stream_time: tuple[str, ...],
    inexact: bool,
    rows_per_second: float | None,
    compiler: str,
    samples: int,
) -> int:
    """Emit MODEL as C for a target: one .c, one .h, the kernels used, Makefile, CMakeLists.txt,
    report. Several models share one arena; each keeps its own functions and state.

    The C is compiled and run here against the reference, and its code and stack are measured on the
    emulated core, where the tools are installed. Exit status 1 when it is unsupported, does not fit
    or differs.
    """
    from thimble.build import build, model_name
    from thimble.formats import load_model

    hops = _hops(stream_time)
    if len(models) > 1:
        refuse_alone(
            data=data,
            split=split,
            stream_input=stream_input,
            rows_per_second=rows_per_second,
            region=regions,
        )
        from thimble.together import build_together

        several = build_together(
            [load_model(model) for model in models],
            target,
            output,
            name=name,
            ram=ram,
            flash=flash,
            optimize=optimize,
            compiler=compiler,
            strategy=strategy,
            stream=stream,
            shrink=shrink,
            hops=hops,
            inexact=inexact,
            time_limit_s=time_limit_s,
            say=screen.say,
        )
        screen.show(several)
        return 1 if several.verification is not None and several.verification.mismatched else 0
    if len(hops) > 1 or (any(hops) and set(hops) != {model_name(load_model(models[0]))}):
        raise click.UsageError("--stream-time takes one HOP for one model")
    report = build(
        load_model(models[0]),
        target,
        output,
        data=data,
        scheme=scheme,
        optimize=optimize,
        name=name,
        ram=ram,
        flash=flash,
        strategy=strategy,
        stream=stream,
        stream_input=stream_input,
        shrink=shrink,
        split=split,
        split_by=split_by,
        stream_time=next(iter(hops.values()), None),
        inexact=inexact,
        rows_per_second=rows_per_second,
        compiler=compiler,
        samples=samples,
        time_limit_s=time_limit_s,
        regions=regions,
        say=screen.say,
    )
    screen.show(report)
    return 1 if report.verification is not None and report.verification.mismatched else 0


def _hops(values: Sequence[str]) -> dict[str, int]:
    """Rows per hop by model; "" where none was named."""
    hops = {}
    for value in values:
        name, _, rows = value.rpartition("=")
        if not rows.lstrip("-").isdigit():
            raise click.BadParameter(f"{value!r} is no number of rows", param_hint="--stream-time")
        hops[name] = int(rows)
    return hops


def refuse_alone(**options: object) -> None:
    """Raises BadInput for each option that was given and that several models cannot have."""
    from thimble.errors import BadInput, Finding

    findings = [
        Finding(
            "several-models",
            f"--{option.replace('_', '-')}",
            "is for one model",
            "build that model alone, or leave the option out",
        )
        for option, value in options.items()
        if value
    ]
    if findings:
        raise BadInput(findings)
