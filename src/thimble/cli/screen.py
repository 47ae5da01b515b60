"""What a verb writes and where: results to stdout, narration and progress to stderr."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from thimble.report import Report

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Screen:
    """`--json`, `-q` and `-v` of one call."""

    as_json: bool
    quiet: bool
    verbose: bool
    html: str | None = None  # where the result goes as a page too

    def say(self, text: str) -> None:
        """One line of narration, unless -q."""
        if not self.quiet:
            click.echo(text, err=True)

    def tell(self, text: str) -> None:
        """One line of narration with -v only."""
        if self.verbose:
            click.echo(text, err=True)

    def show(self, report: Report) -> None:
        """The result: JSON with --json, else text (in colour where stdout is a terminal); with
        --html as a page too.
        """
        self.write_page(report)
        if self.as_json:
            click.echo(report.to_json())
        elif sys.stdout.isatty():
            from rich.console import Console

            console = Console(highlight=False)
            for part in report.render():
                console.print(part, markup=False)
        else:
            click.echo(report.text(), nl=False)

    def write_page(self, report: Report) -> None:
        """The result as a page, where --html asks for it."""
        if self.html is not None:
            from thimble.output import write_file

            write_file(self.html, report.to_html())
            self.say(f"wrote {self.html}")

    @contextmanager
    def stages(self) -> Iterator[Callable[[str, int, int], None]]:
        """A bar on stderr for work in stages, where that is a terminal and -q was not given."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda stage, done, count: None
            return
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda stage, done, count: bar.update(
                task, description=stage, completed=done, total=count
            )

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """The same for one stage."""
        with self.stages() as stages:
            yield lambda done, count: stages(what, done, count)


class Verb(click.Command):
    """A command whose help begins with an example."""

    def __init__(self, *args: Any, example: str, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.example = example

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"Example: {self.example}\n\n")
        super().format_usage(ctx, formatter)


def verb(
    example: str, name: str, html: bool = False
) -> Callable[[Callable[..., int | None]], Verb]:
    """A click command called `name` with --json, -q and -v, and --html where `html` is set; the
    function gets a `Screen` first.
    """

    def decorate(function: Callable[..., int | None]) -> Verb:
        @functools.wraps(function)
        def run(
            as_json: bool, quiet: bool, verbose: bool, page: str | None = None, **options: Any
        ) -> int | None:
            if page is not None:
                from thimble.output import check_writable

                check_writable(page)
            return function(Screen(as_json, quiet, verbose, page), **options)

        page_option = click.option(
            "--html", "page", metavar="FILE", help="The report as one HTML file too."
        )
        options = [
            *([page_option] if html else []),
            click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout."),
            click.option("-q", "--quiet", is_flag=True, help="No narration and no progress."),
            click.option("-v", "--verbose", is_flag=True, help="More narration; tracebacks."),
        ]
        decorated: Any = run
        for option in reversed(options):
            decorated = option(decorated)
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        made = click.command(name, cls=Verb, example=example, context_settings=settings)(decorated)
        assert isinstance(made, Verb)
        return made

    return decorate


class Bytes(click.ParamType):
    """A number of bytes: 65536, 64k or 2M (powers of 1024)."""

    name = "bytes"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        from thimble.regions import bytes_of

        try:
            return bytes_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


model_argument = click.argument("model", metavar="MODEL")
models_argument = click.argument("models", metavar="MODEL...", nargs=-1, required=True)
samples_option = click.option(
    "--samples", type=click.IntRange(1), help="Use only the first N samples.", metavar="N"
)


def shrink_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--shrink/--no-shrink, as `shrink`."""
    return click.option(
        "--shrink/--no-shrink",
        default=True,
        show_default=True,
        help="Leave out channels that are constant or double (same bits).",
    )(function)


region_option = click.option(
    "--region",
    "regions",
    metavar="NAME[=BYTES]",
    multiple=True,
    help="A memory region; several, the fastest first. Hot buffers go where it is fast.",
)
time_option = click.option(
    "--time",
    "time_limit_s",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="For each plan of memory; what is not proved by then is stated as a gap.",
)


def stream_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--stream [auto|least|off] and --stream-input, as `stream` and `stream_input`."""
    pushed = click.option(
        "--stream-input", is_flag=True, help="The input arrives row by row and is never held."
    )
    choice = click.option(
        "--stream",
        type=click.Choice(["auto", "least", "off"]),
        is_flag=False,
        flag_value="auto",
        default="off",
        show_default=True,
        callback=lambda ctx, param, value: {"auto": True, "off": False}.get(value, value),
        help="Run layers row by row where that saves memory; auto: for at most a tenth more"
        " instructions (estimated), least: the least memory.",
    )
    return choice(pushed(function))
