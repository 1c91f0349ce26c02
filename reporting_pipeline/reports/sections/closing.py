"""The appendix, the same for every report type: filters, omissions, provenance, files, findings."""

from __future__ import annotations

from reporting_pipeline.domain.disclosure import POLICIES
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.domain.omissions import WHOLE_TRIAL, Omission
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Column, Flow, Pair
from reporting_pipeline.reports.content import AUDIENCE_NAMES, ReportContent
from reporting_pipeline.reports.sections.caps import CAPS, note_rest


def appendix(flow: Flow, content: ReportContent) -> None:
    """Filters, data quality, definitions and provenance: the same for every report type."""
    flow.need(260)
    flow.space(12)
    flow.title("Appendix", "How this report was made, and what its figures mean.", "Appendix")
    flow.heading("Filters applied", bookmark="Filters applied")
    flow.space(2)
    flow.table(
        (Column("Filter", 24, bold=True), Column("Selected", 76, lines=6)), filter_rows(content.filters)
    )
    _omissions(flow, content)
    _provenance(flow, content)
    _bad_files(flow, content)
    _findings(flow, content)
    flow.heading("Definitions", bookmark="Definitions")
    flow.space(2)
    flow.table(
        (Column("Figure", 26, bold=True), Column("What it counts", 74, lines=4)),
        [(figure.label, figure.definition) for figure in Figure],
    )
    flow.note(
        "The change shown with a figure is its difference from the same figure of the "
        f"{content.noun} before. With several trials, figures are sums over the trials."
    )


def omission_text(omission: Omission) -> str:
    """ "T1: labs/GLUC (urine): why." """
    part = "the whole trial" if omission.part == WHOLE_TRIAL else omission.part
    return f"{omission.trial}, {part}: {omission.reason.rstrip('.')}."


def _omissions(flow: Flow, content: ReportContent) -> None:
    if not content.omissions:
        return
    flow.heading("What this report leaves out", bookmark="What this report leaves out")
    flow.space(2)
    rows = [
        (one.trial, "the whole trial" if one.part == WHOLE_TRIAL else one.part, one.reason)
        for one in content.omissions[: CAPS["omissions"]]
    ]
    columns = (Column("Trial", 18, bold=True, names=True), Column("Part", 24), Column("Why", 58, lines=6))
    flow.table(columns, rows)
    note_rest(flow, len(content.omissions), "omissions", "part")


def _provenance(flow: Flow, content: ReportContent) -> None:
    flow.heading("Provenance", bookmark="Provenance")
    flow.space(2)
    rows = [
        ("Written for", AUDIENCE_NAMES[content.audience]),
        ("Period", wording.period_detail(content.period)),
        ("Data as of", wording.moment(content.data_as_of, content.period.timezone)),
        ("Dataset versions", ", ".join(f"{trial}: {version}" for trial, version in content.versions.items())),
        ("Software", f"reporting-pipeline {content.code_version}"),
    ]
    flow.table((Column("Source", 24, bold=True), Column("As used here", 76, lines=8)), rows)


def filter_rows(filters: Filters) -> list[tuple[str, str]]:
    kinds = [wording.kind_label(kind) for kind in sorted(set(filters.kinds))]
    return [
        ("Trials", ", ".join(sorted(set(filters.trials))) or "All that the reader may see"),
        ("Sites", ", ".join(sorted(set(filters.sites))) or "All"),
        ("Kinds of document", ", ".join(kinds) or "All"),
        (
            "File types shown and counted",
            ", ".join(sorted(set(filters.file_types))) or "All",
        ),
    ]


def _bad_files(flow: Flow, content: ReportContent) -> None:
    flow.heading("Files missing, unreadable or not inspected", bookmark="Files that could not be used")
    bad = [
        (trial.trial, row)
        for trial in content.trials
        for row in trial.files.where(~trial.files.facts.one_of("file_status", ("ok",))).records()
    ]
    if not bad:
        files = sum(len(trial.files) for trial in content.trials)
        flow.note(
            f"All {wording.plural(files, 'file')} of the period were found intact and opened."
            if files
            else "No file arrived in the period."
        )
        return
    withheld = not POLICIES[content.audience].free_text
    unsaid = "the reason is not shown to this audience" if withheld else "no reason was given"
    flow.space(4)
    flow.table(
        (
            Column("Trial", 15, names=True),
            Column("Site", 6, names=True),
            Column("File", 22, bold=True),
            Column("Document", 28, lines=1, names=True),
            Column("What is wrong", 36, lines=3),
        ),
        [
            (
                trial,
                row["site"] or "–",
                row["file_name"] or "–",
                row["document_id"],
                f"{_FILE_STATUS.get(row['file_status'], row['file_status'])}: {row['file_reason'] or unsaid}",
            )
            for trial, row in bad[: CAPS["bad_files"]]
        ],
    )
    note_rest(flow, len(bad), "bad_files", "file")


_FILE_STATUS = {"missing": "Missing", "corrupt": "Corrupt", "not_inspected": "Not inspected"}


#: Findings that the list of unusable files says already.
_SHOWN_AS_FILES = ("file_missing", "file_corrupt")


def _findings(flow: Flow, content: ReportContent) -> None:
    findings = [
        (trial.trial, finding)
        for trial in content.trials
        for finding in trial.findings.where(~trial.findings.facts.one_of("code", _SHOWN_AS_FILES)).records()
    ]
    flow.heading("Data quality findings", bookmark="Data quality findings")
    if not findings:
        flow.note("Nothing odd was found in the documents of the period.")
        return
    flow.space(4)
    rows = [
        (
            trial,
            Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
            row["field"] or "–",
            row["document_id"] or "–",
            row["message"],
        )
        for trial, row in findings[: CAPS["findings"]]
    ]
    columns = (
        Column("Trial", 15, names=True),
        Column("Subject, site", 14, names=True),
        Column("Field", 13),
        Column("Document", 26, lines=1, names=True),
        Column("What was found", 44, lines=3),
    )
    flow.table(columns, rows)
    note_rest(flow, len(findings), "findings", "finding")
