"""The page of `thimble build`: memory, code, verification, layers, and the arena's picture."""

from __future__ import annotations

from thimble.report.base import figure
from thimble.report.build import BuildReport, Verification
from thimble.report.html.cost import build_layers
from thimble.report.html.findings import findings
from thimble.report.html.markup import Markup, element
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.plan import pictures
from thimble.report.html.provenance import provenance
from thimble.report.html.table import facts, stack
from thimble.report.time import TimeReport


def page(report: BuildReport) -> Page:
    """What was built."""
    how = report.provenance
    ram, flash = report.ram, report.flash
    planned = "proved the least" if report.plan.optimal else f"least {report.plan.bound_bytes:,}"
    tiles = [
        Tile("RAM: arena", figure(ram.arena_bytes), "bytes", f"{report.plan.strategy}, {planned}"),
        Tile("RAM: stack", figure(ram.stack_bytes), "bytes", how.get("stack_bytes", "")),
        Tile("flash: weights", figure(flash.weights_bytes), "bytes", how.get("weights_bytes", "")),
        Tile("flash: code", figure(flash.code_bytes), "bytes", how.get("code_bytes", "")),
        Tile("multiply-accumulates", figure(report.macs), "", how.get("macs", "")),
    ]
    if report.verification is not None:
        tiles.append(_verified(report.verification))
    sections = [
        *(_in_time(report) if isinstance(report, TimeReport) else []),
        *(findings(report.findings) if isinstance(report, TimeReport) else []),
        _memory(report),
        Section(
            "layers",
            "Layers",
            build_layers(report),
            "As emitted, after the graph rewrites; the lines show which layer feeds which."
            + (" Shapes are those of a whole window." if isinstance(report, TimeReport) else ""),
        ),
        *([pictures(report.memory)] if report.memory is not None else []),
        *_files(report),
        *provenance(how, _planned(report)),
    ]
    subtitle = f"for {report.target}, optimized for {report.optimize}"
    return Page("build", report.model, subtitle, tiles, sections, report.notes)


def _planned(report: BuildReport) -> dict[str, str]:
    """How the figures in the arena's picture were got."""
    if report.memory is None:
        return {}
    shown = ("bound_bytes", "greedy_bytes")
    return {what: how for what, how in report.memory.provenance.items() if what in shown}


def _verified(v: Verification) -> Tile:
    how = f"{v.runner} against {v.against}, {v.samples} samples"
    if not v.mismatched:
        return Tile("verified", "equal", "", how, "good")
    lsb = f", at most {v.max_abs_lsb} LSB" if v.max_abs_lsb else ""
    return Tile("verified", f"{v.mismatched:,}", "values differ", how + lsb, "bad")


def _memory(report: BuildReport) -> Section:
    ram = [
        ("arena", report.ram.arena_bytes),
        ("state", report.ram.state_bytes),
        ("stack", report.ram.stack_bytes or 0),
    ]
    flash = [("weights", report.flash.weights_bytes), ("code", report.flash.code_bytes or 0)]
    parts = []
    for title, given in (("RAM", ram), ("flash", flash)):
        whole = sum(value for _, value in given)
        heading = element("b", f"{title}: {whole:,} bytes")
        parts.append(element("figure", element("figcaption", heading), stack(given, whole)))
    return Section("memory", "Memory", element("div", parts, class_="pair"))


def _files(report: BuildReport) -> list[Section]:
    if not report.files:
        return []
    names = [element("li", element("code", file)) for file in report.files]
    listed = element("details", element("summary", f"{len(names)} files"), element("ul", names))
    return [Section("files", "Files", listed, report.out)]


def _in_time(report: TimeReport) -> list[Section]:
    def against(name: str) -> str | None:
        if report.hop is None or report.recomputing is None:
            return None
        new, old = getattr(report.hop, name), getattr(report.recomputing, name)
        if new is None or old is None:
            return None
        ratio = f" ({old / new:.1f} times less)" if new else ""
        return f"{round(new):,} instead of {round(old):,}{ratio}"

    rows = [
        ("window, hop", f"{report.window_rows} rows, {report.hop_rows} rows"),
        ("outputs depend on", f"{report.receptive_rows} rows"),
        ("latency", f"{report.latency_rows} rows" if report.latency_rows else None),
        ("history", f"{report.history_bytes:,} bytes at least"),
        ("MACs for an output", against("macs")),
        ("instructions for an output", against("instructions")),
        ("MACs per second", against("macs_per_second")),
        ("instructions per second", against("instructions_per_second")),
        ("RAM, arena and state", against("ram_bytes")),
        ("against whole windows", report.difference.sentence() if report.difference else None),
    ]
    body: Markup = facts(rows)
    return [Section("time", "Streaming in time", body, "What a new output costs.")]
