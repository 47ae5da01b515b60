"""The command `thimble`: one file per verb, imported only when that verb is used.

Exit status: 0 done and clean, 1 findings, 2 wrong usage or an error of ours, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from thimble import __version__
from thimble.errors import BadInput, Finding, ThimbleError, ToolMissing

VERBS = {
    "demo": "the whole way on a small bundled model, in a minute",
    "inspect": "what is in a model: layers, shapes, bytes, MACs",
    "ops": "what is supported, and what of a model is not",
    "quantize": "a float model and samples in, an int8 model out",
    "build": "emit C for a target, verified, with its report",
    "run": "run a model on a runner",
    "compare": "how far two models or runners are apart, layer by layer",
    "repair": "named rewrites of a model that is wrong, each verified",
    "check": "rules on a model, and what changed since a base or a lock",
    "lock": "write down what a model is, so that a change of it is noticed",
    "plan": "where every tensor lies in memory, and when",
    "bench": "latency here, instructions and sizes on emulated targets",
    "evaluate": "accuracy and latency on labelled data",
}

EXAMPLE = "thimble demo"


class _Verbs(click.Group):
    """Knows its verbs by name and summary; a verb's file is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command = importlib.import_module(f"thimble.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"Example: {EXAMPLE}\n\n")
        super().format_usage(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = get_close_matches(args[0], VERBS, 1)
            hint = f"Did you mean `thimble {near[0]}`?" if near else "See `thimble --help`."
            ctx.fail(f"There is no verb `{args[0]}`. {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="thimble %(version)s")
def thimble() -> None:
    """Fits trained neural networks into microcontrollers."""


def report_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """Findings to stderr; with --json also `{"findings": [...]}` to stdout."""
    for finding in findings:
        click.echo(str(finding), err=True)
    if as_json:
        import json

        click.echo(json.dumps({"findings": [f.as_dict() for f in findings]}, indent=1))


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; errors end as a few lines on stderr."""
    as_json = "--json" in arguments
    verbose = bool({"-v", "--verbose"} & set(arguments))
    if not verbose:
        warnings.simplefilter("ignore")  # NumPy's about NaN in the user's data
    try:
        status = thimble.main(list(arguments), prog_name="thimble", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except ThimbleError as error:
        report_findings(error.findings, as_json)
        return 2 if isinstance(error, (BadInput, ToolMissing)) else 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (OSError, MemoryError) as error:
        if verbose:
            raise
        report_findings([_system_finding(error)], as_json)
        return 2
    except Exception as error:  # a bug of ours
        if verbose:
            raise
        message = f"internal error: {type(error).__name__}: {error}"
        hint = "run again with -v for the traceback, and please report it"
        report_findings([Finding("internal", "thimble", message, hint)], as_json)
        return 2


def _system_finding(error: Any) -> Finding:
    if isinstance(error, MemoryError):
        return Finding("memory", "thimble", "there is not enough memory", "use fewer samples")
    where = str(error.filename) if error.filename else "the operating system"
    hint = "free some space or write elsewhere" if error.errno == 28 else ""
    return Finding("system", where, error.strerror or str(error), hint)


def main() -> NoReturn:
    """Entry point of the console script."""
    sys.exit(execute(sys.argv[1:]))
