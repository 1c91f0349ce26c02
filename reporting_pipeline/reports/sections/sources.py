"""What sites wrote and photographed: notes and pictures."""

from __future__ import annotations

from collections.abc import Mapping

from reporting_pipeline.domain.figures import TrialFigures
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import SMALL, Flow, Picture
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.palette import MUTED
from reporting_pipeline.reports.sections.caps import CAPS, ELSEWHERE, first_of, note_rest


def notes(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    if not len(trial.notes):
        return
    flow.heading("Notes from the sites", bookmark=f"Notes ({trial.trial})")
    for row in first_of(trial.notes, "notes"):
        text = str(row["note"])
        shown = text[: CAPS["note_characters"]]
        flow.need(36)
        flow.space(5)
        flow.paragraph(_source(row), SMALL, MUTED, most=2)
        room = 12
        for line in shown.splitlines() or [""]:
            if room > 0:
                room -= flow.paragraph(line, most=room)
        if len(text) > len(shown):
            flow.note(f"[cut here: {wording.count(len(text) - len(shown))} more characters; {ELSEWHERE}]")
    note_rest(flow, len(trial.notes), "notes", "note")


def _source(row: Mapping[str, object]) -> str:
    """Site, subject, day and title of a document, and whether it is synthetic."""
    parts = [
        f"Site {row['site']}" if row["site"] else "",
        f"Subject {row['subject']}" if row["subject"] else "",
        wording.day(str(row["day"])),
        str(row["title"])[:120],
        "SYNTHETIC" if row["synthetic"] else "",
    ]
    return "  ·  ".join(part for part in parts if part)


def pictures(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Images set upright and the first pages of PDFs, in order of arrival."""
    found = zip(trial.files["file_sha256"].tolist(), trial.files["file_status"].tolist(), strict=True)
    files = trial.files.only([sha in trial.media and status == "ok" for sha, status in found])
    if not len(files):
        return
    flow.heading("Images and documents", keep=180, bookmark=f"Images ({trial.trial})")
    shown = []
    for row in first_of(files, "pictures"):
        thumbnail = trial.media[row["file_sha256"]]
        shown.append(
            Picture(
                content.thumbnail_path(thumbnail),
                thumbnail.width,
                thumbnail.height,
                _caption(row, thumbnail),
                badge="SYNTHETIC" if row["synthetic"] else "",
                says=wording.picture_says(", ".join(_caption(row, thumbnail))),
            )
        )
    flow.pictures(shown)
    note_rest(flow, len(files), "pictures", "picture")


def _caption(row: Mapping[str, str], thumbnail: Thumbnail) -> tuple[str, ...]:
    first_page = f" (first of {thumbnail.pages} pages)" if thumbnail.pages > 1 else ""
    who = f"subject {row['subject']}" if row["subject"] else f"site {row['site']}"
    return (
        f"{wording.kind_label(row['kind'])}, {who}, {wording.day(row['day'])}",
        f"{row['file_name']}{first_page}",
    )
