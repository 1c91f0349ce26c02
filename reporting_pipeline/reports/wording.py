"""Words for figures: numbers, dates, changes and the plain sentences of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.measurements import CRITICAL
from reporting_pipeline.domain.clinical.numbers import above, digits
from reporting_pipeline.domain.clinical.rows import MEASUREMENTS
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


def amount(value: float) -> str:
    """A number with the digits it has, without an exponent; "" for none."""
    return digits(value).replace("-", "−")


def reference_range(low: float, high: float) -> str:
    """ "2.8 – 13.9", "up to 5", "from 130"; a reversed range says so, for it is not used."""
    if math.isnan(low):
        return "–" if math.isnan(high) else f"up to {amount(high)}"
    if math.isnan(high):
        return f"from {amount(low)}"
    return f"{amount(low)} – {amount(high)}" + (" (reversed)" if above(low, high) else "")


_FULL_DATE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.,Z+-]*)?", re.ASCII)


def collected_date(text: str) -> str:
    """A date as collected: the day of a full one, and all of a partial one or an interval."""
    return text[:10] if _FULL_DATE.fullmatch(text) and "T-" not in text and ":-" not in text else text


# --- what happened -------------------------------------------------------------------------------


def what_happened(trial: TrialFigures, noun: str) -> list[str]:
    """Plain sentences on one trial's period, one a subject; every number is a figure of `trial`."""
    parts = [
        _arrivals(trial, noun),
        _events(trial),
        _deaths(trial),
        _results(trial),
        _labs(trial),
        _visits(trial),
        _files(trial),
    ]
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
    events, serious, unknown, subjects = (
        trial.values[f]
        for f in (
            Figure.ADVERSE_EVENTS,
            Figure.SERIOUS_ADVERSE_EVENTS,
            Figure.UNKNOWN_SERIOUSNESS,
            Figure.SUBJECTS_WITH_ADVERSE_EVENTS,
        )
    )
    if events is None or serious is None or unknown is None or subjects is None:
        return ""
    if not events.current:
        return "No adverse event was reported."
    severe = int(trial.adverse_events_by_class[["SEVERE", "LIFE THREATENING", "FATAL"]].to_numpy().sum())
    top = trial.adverse_events_by_class.iloc[0]
    verb = "was" if events.current == 1 else "were"
    not_stated = f"{count(unknown.current)} of unknown seriousness, " if unknown.current else ""
    doubtful = _not_serious_by_word_alone(trial)
    but = f" ({count(doubtful)} answered No, yet fatal or with a criterion of it)" if doubtful else ""
    return (
        f"{plural(events.current, 'adverse event')} {verb} reported in "
        f"{plural(subjects.current, 'subject')}: "
        f"{count(serious.current) if serious.current else 'none'} serious{but}, {not_stated}"
        f"{count(severe) if severe else 'none'} severe or graver. "
        f"The most frequent class was {top.name} ({count(top.sum())})."
    )


def _not_serious_by_word_alone(trial: TrialFigures) -> int:
    """Events that are answered "not serious", and are fatal or meet a criterion of seriousness (ICH E2A)."""
    events = trial.adverse_events
    grave = events["fatal"].astype(bool) | (events["seriousness_criteria"] != "")
    return int((grave & (events["serious"] == codes.NO)).sum())


def _deaths(trial: TrialFigures) -> str:
    deaths, left = trial.values[Figure.DEATHS], trial.values[Figure.DISCONTINUATIONS]
    parts = []
    if deaths is not None and deaths.current:
        parts.append(plural(deaths.current, "death"))
    if left is not None and left.current:
        parts.append(plural(left.current, "discontinuation"))
    return (
        f"{joined(parts).capitalize()} {'was' if _one(deaths, left) else 'were'} reported." if parts else ""
    )


def _one(*values: Value | None) -> bool:
    return sum(value.current for value in values if value is not None) == 1


def _results(trial: TrialFigures) -> str:
    out, assessed = trial.values[Figure.OUT_OF_RANGE], trial.values[Figure.RESULTS_ASSESSED]
    if out is None or assessed is None:
        return ""
    received = sum(len(trial.tables[name]) for name in MEASUREMENTS.values())
    if not assessed.current:
        if not received:
            return ""
        return (
            f"{plural(received, 'result')} arrived, none with a flag or a usable range: nothing could be "
            "assessed."
        )
    critical = int((trial.out_of_range["tier"] == CRITICAL).sum())
    urgent = f", {count(critical)} of them critical" if critical else ""
    unassessed = received - int(assessed.current)
    more = f"; {count(unassessed)} more could not be assessed" if unassessed else ""
    return (
        f"{count(out.current) if out.current else 'None'} of {plural(assessed.current, 'result')} assessed "
        f"({_kinds_assessed(trial)}) {'was' if out.current == 1 else 'were'} out of range{urgent}{more}."
    )


def _kinds_assessed(trial: TrialFigures) -> str:
    """ "laboratory 120, vital signs 34"."""
    found = []
    for kind, name in MEASUREMENTS.items():
        assessed = int(trial.tables[name]["assessed"].sum())
        if assessed:
            found.append(f"{Kind(kind).label.lower().replace('ecgs', 'ECG')} {count(assessed)}")
    return ", ".join(found)


def _labs(trial: TrialFigures) -> str:
    abnormal, assessed, share = (
        trial.values[f]
        for f in (Figure.ABNORMAL_LABS, Figure.LAB_RESULTS_ASSESSED, Figure.ABNORMAL_LAB_SHARE)
    )
    if abnormal is None or assessed is None or share is None or not abnormal.current:
        return ""
    if trial.labs_outside_range.empty:
        return ""
    top = trial.labs_outside_range.iloc[0]
    return (
        f"{count(abnormal.current)} of {plural(assessed.current, 'laboratory result')} assessed "
        f"({share.current:.1f} %) lay outside the range, most often {top.name} "
        f"({count(top['below'] + top['above'] + top['other'])} of {count(top['assessed'])})."
    )


def _visits(trial: TrialFigures) -> str:
    visits, missed = trial.values[Figure.VISITS], trial.values[Figure.VISITS_MISSED]
    dispositions = trial.values[Figure.DISPOSITIONS]
    parts = []
    if visits is not None and missed is not None and (visits.current or missed.current):
        unplanned = int(trial.visits_by_site["unplanned"].sum())
        done = (
            f"{plural(visits.current, 'visit')} done ({count(unplanned) if unplanned else 'none'} unplanned)"
        )
        parts.append(f"{done}, {count(missed.current) if missed.current else 'none'} missed")
    if dispositions is not None and dispositions.current:
        parts.append(plural(dispositions.current, "disposition"))
    return f"The sites reported {joined(parts)}." if parts else ""


def _files(trial: TrialFigures) -> str:
    missing, corrupt = trial.values[Figure.FILES_MISSING], trial.values[Figure.FILES_CORRUPT]
    bad = (missing.current if missing else 0) + (corrupt.current if corrupt else 0)
    if not bad:
        return ""
    return f"{plural(bad, 'file')} could not be used; the appendix names {'it' if bad == 1 else 'them'}."


# --- for who does not see the page ---------------------------------------------------------------


def preliminary(at: datetime, timezone: str) -> str:
    """Of a period that is still open."""
    return (
        f"The period is still open. This is what had arrived by {moment(at, timezone)}; "
        "every number may still change."
    )


def link_to_documents(label: str) -> str:
    """What a link from a figure to its documents says of itself."""
    return f"The documents behind: {label}"


def link_to(title: str) -> str:
    """What a link says of itself."""
    return f"Go to {title}"


NOT_NAMED, NAME = "–", "Name"
#: Bars that a sentence tells one by one; a table behind has them all.
_BARS_TOLD = 12


def bars_say(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], totals: Sequence[int]) -> str:
    """What a chart of bars says: its sum, its highest bar, and each bar with its parts."""
    if not rows:
        return f"Bar chart. {title}: nothing to show."
    highest = max(range(len(rows)), key=lambda place: totals[place])
    told = [
        f"{row[0]}: "
        + (
            ", ".join(
                f"{what} {value}" for what, value in zip(head[1:], row[1:], strict=True) if value != "0"
            )
            or "0"
        )
        for row in rows[:_BARS_TOLD]
    ]
    rest = len(rows) - len(told)
    more = f"; and {plural(rest, 'more bar')}" if rest > 0 else ""
    return (
        f"Bar chart. {title}: {count(sum(totals))} in {plural(len(rows), 'bar')}, most in {rows[highest][0]} "
        f"({count(totals[highest])}). {'; '.join(told)}{more}."
    )


def points_say(
    title: str,
    number: int,
    out: Sequence[str],
    across: tuple[str, Sequence[float]],
    up: tuple[str, Sequence[float]],
) -> str:
    """What a chart of points says: its axes (label, limits drawn), and who stands out."""
    limits = [f"{label} {rounded(value)}" for label, values in (across, up) for value in values]
    lines = f" Lines at {joined(limits)}." if limits else ""
    named = ", ".join(out[:15]) + (f" and {len(out) - 15} more" if len(out) > 15 else "")
    standing = f"{plural(len(out), 'stands', 'stand')} out: {named}." if out else "None stands out."
    axes = f" Across: {across[0]}." + (f" Up: {up[0]}." if up[0] else "")
    return f"Chart of {plural(number, 'point')}. {title}.{axes}{lines} {standing}"


def dots_say(title: str, axis: str, dots: Sequence[tuple[str, float, bool]]) -> str:
    """What a chart of one dot a row says; (name, value, whether it stands out)."""
    told = "; ".join(
        f"{name} {value:.1f}{' (serious among them)' if out else ''}" for name, value, out in dots
    )
    return f"Dot chart. {title}. {axis}: {told}."


def rounded(value: float) -> str:
    """At most three digits that count."""
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1000 else count(value)


def picture_says(caption: str) -> str:
    """What stands for a picture whose content nobody described."""
    return f"Picture: {caption}"
