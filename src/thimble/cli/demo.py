"""thimble demo"""

from __future__ import annotations

import click

from thimble.cli.screen import Screen, verb


@verb("thimble demo", "demo")
@click.option(
    "-o", "--output", default="thimble-demo", show_default=True, help="The folder to write."
)
def command(screen: Screen, output: str) -> int:
    """The whole way on a bundled keyword spotter and real speech: a minute, nothing to prepare.

    Imports the model, quantizes it, checks every layer against the float model, LiteRT and TFLM
    (where installed), plans its memory, emits and compiles C, runs it here and on an emulated
    Cortex-M55 (where QEMU is installed), and leaves the firmware project in the folder.
    """
    from thimble.demo import run_demo

    with screen.stages() as progress:
        report = run_demo(output, screen.say, progress)
    screen.show(report)
    return 0
