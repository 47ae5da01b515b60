"""thimble bench"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from thimble.cli.screen import Screen, shrink_option, stream_options, verb

if TYPE_CHECKING:
    from thimble.lower import Streaming


@verb("thimble bench model.tflite --on host,cortex-m55", "bench", html=True)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--on", "runners", default="host", show_default=True, help="Runners, by commas.")
@click.option("--data", help="Samples; the first one is used. Else a seeded random one.")
@click.option("--repeats", type=click.IntRange(1), default=100, show_default=True, metavar="N")
@click.option(
    "--optimize", type=click.Choice(["speed", "size", "auto"]), default="auto", show_default=True
)
@stream_options
@shrink_option
@click.option("--compiler", default="auto", show_default=True, help="gcc or clang, for targets.")
@click.option("--baseline", metavar="FILE.json", help="A peer's figures, to show beside ours.")
@click.option("--baseline-config", default="default", show_default=True, metavar="NAME")
@click.option("--layers", is_flag=True, help="Instructions of every layer too.")
def command(
    screen: Screen,
    models: tuple[str, ...],
    runners: str,
    data: str | None,
    repeats: int,
    optimize: str,
    stream: Streaming,
    stream_input: bool,
    shrink: bool,
    compiler: str,
    baseline: str | None,
    baseline_config: str,
    layers: bool,
) -> int:
    """Latency on host runners (in turns, so that ratios hold), instructions and sizes on targets.

    Emulated targets count executed instructions, which are not time.
    """
    from thimble.bench import bench
    from thimble.formats import load_model

    names = [name.strip() for name in runners.split(",") if name.strip()]
    with screen.progress("measuring") as progress:
        report = bench(
            [load_model(model) for model in models],
            names,
            data,
            repeats=repeats,
            optimize=optimize,
            stream=stream,
            stream_input=stream_input,
            shrink=shrink,
            compiler=compiler,
            baseline=baseline,
            baseline_config=baseline_config,
            layers=layers,
            progress=progress,
        )
    screen.show(report)
    return 0
