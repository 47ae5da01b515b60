"""The page of `thimble plan`: the arena over the schedule, TFLM's planner beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.report.base import figure
from thimble.report.html.markup import Markup, element
from thimble.report.html.memory import Arena, arena_picture, colours
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import meter, meters, name, table
from thimble.report.plan import PlanReport

MOST_OPEN = 60  # longer schedules are folded
MOST_STEPS = 400  # rows of the schedule: a streamed model has thousands


def page(report: PlanReport) -> Page:
    """What the plan needs, why, and what saved how much."""
    sections = [pictures(report)]
    if len(report.savings) > 1:
        sections.append(_savings(report))
    sections += [_tensors(report), *_schedule(report)]
    return Page(
        "plan",
        report.model or "model",
        f"{len(report.tensors)} buffers over {len(report.live_bytes)} steps, {report.strategy}",
        tiles(report),
        [*sections, *provenance(report.provenance)],
    )


def tiles(report: PlanReport) -> list[Tile]:
    """Arena, bound, TFLM's arena, state."""
    how = report.provenance
    arena = Tile("arena", f"{report.arena_bytes:,}", "bytes", how.get("arena_bytes", ""))
    reached = "reached: no arena can be smaller" if report.optimal else how.get("bound_bytes", "")
    made = [
        arena,
        Tile(
            "lower bound",
            f"{report.bound_bytes:,}",
            "bytes",
            reached,
            "good" if report.optimal else "",
        ),
    ]
    if report.greedy_bytes:
        saved = report.greedy_bytes - report.arena_bytes
        how_much = f"ours takes {saved / report.greedy_bytes:.0%} less" if saved else "the same"
        made.append(Tile("TFLM's greedy planner", f"{report.greedy_bytes:,}", "bytes", how_much))
    for r in report.regions:
        limit = f"of {r.limit_bytes:,} that there are"
        made.append(Tile(f"region {r.name}", f"{r.bytes:,}", "bytes", limit))
    if report.state_bytes:
        made.append(Tile("state", f"{report.state_bytes:,}", "bytes", "kept between inferences"))
    if report.steps:
        peak = max(report.live_bytes, default=0)
        made.append(
            Tile("peak", f"{peak:,}", "live bytes", f"step {report.peak_step}: {_peak(report)}")
        )
    return made


def _peak(report: PlanReport) -> str:
    return report.steps[report.peak_step].replace("`", "")


def pictures(report: PlanReport) -> Section:
    """TFLM's arena and ours, on one scale."""
    by_name = colours(report.greedy, report.tensors)
    top = max(report.arena_bytes, report.greedy_bytes or 0)
    figures = []
    if report.greedy and report.greedy_bytes:
        theirs = Arena(report.greedy, report.greedy_bytes, colours=by_name)
        caption = element("b", f"TFLM's greedy planner: {report.greedy_bytes:,} bytes")
        figures.append(_figure(caption, arena_picture(theirs, top, "greedy")))
    ours = Arena(
        report.tensors,
        report.arena_bytes,
        report.steps,
        report.live_bytes,
        report.bound_bytes,
        report.peak_step,
        report.long_lived,
        by_name,
        report.regions,
    )
    caption = element("b", f"Ours ({report.strategy}): {report.arena_bytes:,} bytes")
    figures.append(_figure(caption, arena_picture(ours, top, "ours")))
    keys = [
        ("line", "--ink", "arena"),
        ("dash", "--good", f"lower bound {report.bound_bytes:,}"),
        ("line", "--b", "live bytes"),
        ("", "--bar-bad", f"peak: step {report.peak_step}"),
    ]
    if report.long_lived:
        keys.append(("frame", "--ink", "lives through the peak unused"))
    if any(t.kind == "ring" for t in report.tensors):
        keys.append(("ring", "--edge", "ring of a streamed tensor's rows"))
    legend = [
        element("li", what, class_=kind or None, style=f"--swatch:var({colour})")
        for kind, colour, what in keys
    ]
    body = element("div", figures, class_="pair" if len(figures) > 1 else "alone")
    return Section(
        "arena",
        "Arena over the schedule",
        Markup(body + element("ul", legend, class_="key")),
        "Addresses upwards, steps of the schedule to the right. A rectangle is a buffer: hold the"
        " pointer over it for its name, its place and its life.",
    )


def _figure(caption: Markup, picture: Markup) -> Markup:
    return element("figure", element("figcaption", caption), picture)


def _savings(report: PlanReport) -> Section:
    largest = max(s.arena_bytes for s in report.savings)
    rows = [
        (
            s.technique,
            meter(s.arena_bytes, largest),
            s.saved_bytes if i else None,
            f"{s.saved_bytes / report.savings[0].arena_bytes:.1%}" if i else None,
        )
        for i, s in enumerate(report.savings)
    ]
    made = table(("technique", "arena, B", "saved, B", "of TFLM's"), rows, is_sortable=False)
    lead = "From TFLM's planner to this plan; each line adds one technique to the line before."
    return Section("savings", "What each technique saves", made, lead)


def _tensors(report: PlanReport) -> Section:
    through = set(report.long_lived)
    sizes = meters([t.bytes for t in report.tensors])
    rows = [
        (
            name(t.name),
            t.writer or None,
            t.kind + (", through the peak" if t.name in through else ""),
            size,
            t.offset,
            t.first,
            t.last,
            t.whole_bytes,
            _names(t.also),
        )
        for t, size in zip(report.tensors, sizes)
    ]
    head = ["buffer", "written by", "kind", "bytes", "offset", "first", "last"]
    head += ["whole tensor, B", "other parts"]
    keep = [0, 1, 2, 3, 4, 5, 6]
    keep += [7] if any(t.whole_bytes for t in report.tensors) else []
    keep += [8] if any(t.also for t in report.tensors) else []
    chosen = [[row[i] for i in keep] for row in rows]
    left = [k for k, i in enumerate(keep) if i in (0, 1, 2, 8)]
    made = table([head[i] for i in keep], chosen, left)
    lead = f"{len(through)} live through the peak without being used in it." if through else ""
    return Section("buffers", "Buffers", made, lead)


def _names(names: Sequence[str]) -> Markup | None:
    return Markup(" ".join(name(n) for n in names)) if names else None


def _schedule(report: PlanReport) -> list[Section]:
    if not report.steps:
        return []
    largest = max(report.live_bytes, default=0)
    count = len(report.steps)
    stride = -(-count // MOST_STEPS)
    shown = [
        max(range(start, min(start + stride, count)), key=lambda i: report.live_bytes[i])
        for start in range(0, count, stride)
    ]
    rows = [
        (
            i,
            meter(report.live_bytes[i], largest, "bad" if i == report.peak_step else ""),
            report.steps[i].replace("`", ""),
        )
        for i in shown
    ]
    made = table(("step", "live, B", "runs"), rows, (2,))
    if len(rows) > MOST_OPEN:
        made = element("details", element("summary", f"{count:,} steps"), made)
    lead = f"The fullest of each {stride} of {figure(count)} steps." if stride > 1 else ""
    return [Section("schedule", "Schedule", made, lead)]
