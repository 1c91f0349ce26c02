"""Words for figures: numbers, dates, changes and the plain sentences of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.figures import Figure, TrialFigures, Value
from reporting_pipeline.domain.periods import Cadence, Period

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def count(value: float) -> str:
    """An integer with thin groups: 1,234."""
    return f"{value:,.0f}"


def figure_value(figure: Figure, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1f} %" if figure is Figure.ABNORMAL_LAB_SHARE else count(value)


def change(figure: Figure, value: Value, noun: str) -> str:
    """ "+58 (week before: 133)"."""
    if math.isnan(value.previous) or math.isnan(value.current):
        return f"{noun} before: {figure_value(figure, value.previous)}"
    before = figure_value(figure, value.previous)
    difference = value.change
    if figure is Figure.ABNORMAL_LAB_SHARE:
        amount = f"{abs(difference):.1f} pts"
        same = abs(difference) < 0.05
    else:
        amount, same = count(abs(difference)), difference == 0
    if same:
        return f"same as the {noun} before"
    return f"{'+' if difference > 0 else '−'}{amount} ({noun} before: {before})"


def plural(number: float, one: str, many: str = "") -> str:
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def joined(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def day(value: str) -> str:
    """ "2026-11-16" as "16 Nov"; anything else as it is."""
    match = re.fullmatch(r"\d{4}-(\d\d)-(\d\d)", value)
    return (
        f"{int(match[2])} {_MONTHS[int(match[1]) - 1][:3]}" if match and 1 <= int(match[1]) <= 12 else value
    )


def period_title(period: Period) -> str:
    """ "16 – 22 November 2026"; a month by its name, a day by its date."""
    first, last = period.start, period.last_day
    if period.cadence is Cadence.MONTHLY:
        return f"{_MONTHS[first.month - 1]} {first.year}"
    if first == last:
        return f"{first.day} {_MONTHS[first.month - 1]} {first.year}"
    end = f"{last.day} {_MONTHS[last.month - 1]} {last.year}"
    if first.month == last.month:
        return f"{first.day} – {end}"
    year = f" {first.year}" if first.year != last.year else ""
    return f"{first.day} {_MONTHS[first.month - 1]}{year} – {end}"


def period_detail(period: Period) -> str:
    """The window in full, with the ISO week of a weekly one and the timezone."""
    iso = period.start.isocalendar()
    week = f"ISO week {iso.week} of {iso.year}, " if period.cadence is Cadence.WEEKLY else ""
    until = f" to {period.last_day.isoformat()}" if period.last_day != period.start else ""
    return f"{week}{period.start.isoformat()}{until}, {period.timezone}"


def moment(value: datetime, timezone: str) -> str:
    return f"{value.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M} {timezone}"


def day_labels(period: Period) -> list[str]:
    """Short labels for a chart's columns."""
    if period.cadence is Cadence.MONTHLY:
        return [str(date.day) for date in period.days()]
    return [f"{_DAYS[date.weekday()]} {date.day}" for date in period.days()]


def kind_label(kind: str) -> str:
    return Kind(kind).label if kind in set(Kind) else kind


_ABBREVIATION = re.compile(
    r"\b(ECG|ALT|AST|GGT|HIV|MRI|CT|QT|ST|LDL|HDL|COVID|COPD|UTI|DNA|RNA|HLT|NEC|NOS)\b", re.I
)


def sentence(text: str) -> str:
    """Coded terms are in capitals; in a table they read better as a sentence. Others stay as they are."""
    if not text.isupper() or len(text) < 4:
        return text
    lowered = text[:1] + text[1:].lower()
    return _ABBREVIATION.sub(lambda match: match[0].upper(), lowered).replace(" t wave", " T wave")


def amount(value: float) -> str:
    """A laboratory value as precise as it is: no exponent, no trailing zeros, at most 4 decimals."""
    if math.isnan(value):
        return ""
    if abs(value) >= 1e7:
        return f"{value:.4g}"
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return f"{value:.3g}" if text in ("0", "-0") and value else text.replace("-", "−")


def reference_range(low: float, high: float) -> str:
    if math.isnan(low):
        return f"up to {amount(high)}"
    return f"from {amount(low)}" if math.isnan(high) else f"{amount(low)} – {amount(high)}"


# --- what happened -------------------------------------------------------------------------------


def what_happened(trial: TrialFigures, noun: str) -> list[str]:
    """Plain sentences on one trial's period, one a subject; every number is a figure of `trial`."""
    parts = [_arrivals(trial, noun), _events(trial), _labs(trial), _visits(trial), _files(trial)]
    return [part for part in parts if part]


def _arrivals(trial: TrialFigures, noun: str) -> str:
    values = trial.values
    documents, subjects, sites = (values[f] for f in (Figure.DOCUMENTS, Figure.SUBJECTS, Figure.SITES))
    if documents is None or subjects is None or sites is None:
        return ""
    difference = documents.change
    more = (
        f"{count(abs(difference))} {'more' if difference > 0 else 'fewer'} than"
        if difference
        else "as many as"
    )
    return (
        f"{plural(documents.current, 'document')} arrived from {plural(sites.current, 'site')} about "
        f"{plural(subjects.current, 'subject')}, {more} in the {noun} before."
    )


def _events(trial: TrialFigures) -> str:
    events, serious, subjects = (
        trial.values[f]
        for f in (Figure.ADVERSE_EVENTS, Figure.SERIOUS_ADVERSE_EVENTS, Figure.SUBJECTS_WITH_ADVERSE_EVENTS)
    )
    if events is None or serious is None or subjects is None:
        return ""
    if not events.current:
        return "No adverse event was reported."
    severe = int(trial.adverse_events_by_class["SEVERE"].sum())
    top = trial.adverse_events_by_class.iloc[0]
    verb = "was" if events.current == 1 else "were"
    return (
        f"{plural(events.current, 'adverse event')} {verb} reported in "
        f"{plural(subjects.current, 'subject')}: "
        f"{count(serious.current) if serious.current else 'none'} serious, "
        f"{count(severe) if severe else 'none'} severe. "
        f"The most frequent class was {sentence(str(top.name)).lower()} ({count(top.sum())})."
    )


def _labs(trial: TrialFigures) -> str:
    abnormal, assessed, share = (
        trial.values[f]
        for f in (Figure.ABNORMAL_LABS, Figure.LAB_RESULTS_ASSESSED, Figure.ABNORMAL_LAB_SHARE)
    )
    if abnormal is None or assessed is None or share is None:
        return ""
    if not assessed.current:
        return "No laboratory result with a reference range arrived."
    if not abnormal.current:
        return f"All {plural(assessed.current, 'laboratory result')} with a range were within it."
    top = trial.labs_outside_range.iloc[0]
    return (
        f"{count(abnormal.current)} of {plural(assessed.current, 'laboratory result')} with a range "
        f"({share.current:.1f} %) lay outside it, most often {top.name} "
        f"({count(top['below'] + top['above'])} of {count(top['assessed'])})."
    )


def _visits(trial: TrialFigures) -> str:
    visits, dispositions = trial.values[Figure.VISITS], trial.values[Figure.DISPOSITIONS]
    parts = []
    if visits is not None and visits.current:
        unplanned = int(trial.visits_by_site["unplanned"].sum())
        parts.append(
            f"{plural(visits.current, 'visit')} ({count(unplanned) if unplanned else 'none'} unplanned)"
        )
    if dispositions is not None and dispositions.current:
        parts.append(plural(dispositions.current, "disposition"))
    return f"The sites reported {joined(parts)}." if parts else ""


def _files(trial: TrialFigures) -> str:
    missing, corrupt = trial.values[Figure.FILES_MISSING], trial.values[Figure.FILES_CORRUPT]
    bad = (missing.current if missing else 0) + (corrupt.current if corrupt else 0)
    if not bad:
        return ""
    return f"{plural(bad, 'file')} could not be used; the appendix names {'it' if bad == 1 else 'them'}."
