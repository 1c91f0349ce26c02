"""What was understood of a source, said to whoever brought it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reporting_pipeline.domain.clinical.findings import SourceFinding
from reporting_pipeline.intake.understanding import Understanding, counted

_LISTED = 12  # entries of a list that are shown; the JSON format of `try` holds all of them
_SHOWN_OF_A_CODE = 5


def say_what_was_read(console: Console, understanding: Understanding) -> None:
    rows = sum(understanding.rows.values())
    documents = sum(understanding.documents.values())
    console.print(f"[bold]Read[/] {counted(rows, 'row')}: {counted(documents, 'document')}", highlight=False)
    table = Table("file", "rows", box=None, padding=(0, 2))
    for name, count in understanding.rows.most_common(_LISTED):
        table.add_row(escape(name), f"{count:,}")
    console.print(table)
    by_kind = Table("kind", "documents", box=None, padding=(0, 2))
    for kind, count in understanding.kinds():
        by_kind.add_row(escape(kind or "(no kind)"), f"{count:,}")
    console.print(by_kind)
    trials = understanding.trials()
    console.print(f"[bold]Trials[/] {escape(', '.join(trials[:_LISTED])) or 'none'}", highlight=False)
    for sentence in understanding.notes[:_LISTED]:
        console.print(f"[yellow]•[/] {escape(sentence)}", highlight=False)
    _say_units(console, understanding)
    _say_codes(console, understanding)
    _say_unplaced(console, understanding)


def _say_units(console: Console, understanding: Understanding) -> None:
    several = {code: units for code, units in understanding.units.items() if len(units) > 1}
    console.print(
        f"[bold]Units[/] {len(understanding.units)} tests with numbers, {len(several)} of them with more "
        "than one unit",
        highlight=False,
    )
    for code, units in sorted(several.items())[:_LISTED]:
        named = ", ".join(f"{unit or '(none)'} {count:,}" for unit, count in units.most_common(6))
        console.print(f"  {escape(code)}: {escape(named)}", highlight=False)


def _say_codes(console: Console, understanding: Understanding) -> None:
    if not understanding.codes:
        return
    console.print("[bold]Codes[/]")
    for name, values in sorted(understanding.codes.items()):
        named = ", ".join(f"{value} {count:,}" for value, count in values.most_common(8))
        more = f" and {len(values) - 8} more" if len(values) > 8 else ""
        console.print(f"  {escape(name)}: {escape(named)}{more}", highlight=False)


def _say_unplaced(console: Console, understanding: Understanding) -> None:
    if not understanding.unplaced:
        return
    console.print(
        f"[bold]Without a place[/] {len(understanding.unplaced)} columns or fields, which no report shows:",
        highlight=False,
    )
    named = ", ".join(f"{name} ({count:,})" for name, count in sorted(understanding.unplaced.items()))
    console.print(f"  {escape(named)}", highlight=False)


def say_findings(console: Console, understanding: Understanding, in_report: Mapping[str, int]) -> None:
    by_code: dict[str, list[SourceFinding]] = {}
    for finding in understanding.findings:
        by_code.setdefault(finding.code, []).append(finding)
    total = len(understanding.findings) + sum(in_report.values())
    console.print(f"[bold]Findings[/] {total:,}", highlight=False)
    for code, found in sorted(by_code.items()):
        console.print(f"  {code} {len(found):,}", highlight=False)
        for one in found[:_SHOWN_OF_A_CODE]:
            told = f"    {escape(one.document)}: {escape(one.detail)}"
            console.print(told, highlight=False, soft_wrap=True)
    for code, count in sorted(in_report.items()):
        console.print(f"  {code} {count:,}, in the report", highlight=False)
