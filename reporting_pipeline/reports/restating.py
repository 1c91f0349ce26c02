"""What a report says of the one whose place it takes: on its cover that it does, and what changed."""

from __future__ import annotations

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.domain.restatements import FigureChange
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Cell, Column, Flow
from reporting_pipeline.reports.content import ReportContent

_COLUMNS = (
    Column("Trial", 120, bold=True, names=True),
    Column("Figure", 165),
    Column("Was", 55, "right"),
    Column("Is now", 55, "right"),
    Column("Documents", 110),
)
_SHOWN = 120  # rows of the table; JSON has them all


def what_changed(flow: Flow, content: ReportContent) -> None:
    """A page after the cover: figures old and new, against the report that was sent."""
    before = content.restates
    if before is None:
        return
    flow.new_page()
    flow.heading("What changed", bookmark="What changed", level=0)
    flow.paragraph(
        "This report takes the place of the one that was made on "
        f"{wording.moment(before.rendered_at, content.period.timezone)} (SHA-256 {before.sha256[:16]}): "
        "documents of the period, or of the one before it, came late, were corrected or withdrawn since.",
        9,
    )
    if not before.complete:
        flow.note("Data of the earlier report is kept no longer; its figures are not compared.")
    if content.statuses:
        flow.note("What this report says of the trial so far is not compared; it may have changed.")
    if not content.changes:
        flow.paragraph(
            "No figure of the period changed; rows of its tables, or what it is compared with, may have.", 9
        )
        return
    flow.space(4)
    flow.table(_COLUMNS, [_row(change) for change in content.changes[:_SHOWN]])
    rest = len(content.changes) - _SHOWN
    if rest > 0:
        flow.note(f"and {wording.plural(rest, 'more figure')}.")


def _row(change: FigureChange) -> tuple[Cell, ...]:
    counts = [(len(change.added), "more"), (len(change.gone), "gone")]
    moved = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    return (
        change.trial,
        change.figure.label,
        _number(change.figure, change.before),
        _number(change.figure, change.after),
        moved or ("corrected" if change.before is not None and change.after is not None else ""),
    )


def _number(figure: Figure, value: float | None) -> str:
    return "–" if value is None else wording.figure_value(figure, value)
