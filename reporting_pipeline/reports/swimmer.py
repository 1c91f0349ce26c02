"""One person's time as a line: the trial, visits as marks on it, and an event a row under it.

Nothing is told by colour alone: what is serious, fatal or meets a criterion of seriousness is a filled bar
with a heavy edge, the others are open bars; what has no end ends in an arrow. Lengths are points.
"""

from __future__ import annotations

from datetime import date, timedelta

from reporting_pipeline.domain.look_first import Course, Stretch
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Chart
from reporting_pipeline.reports.palette import ACCENT, ALARM, FAINT, INK, MUTED, PAPER, TINT
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.typesetting import fit, width_of

MOST_EVENTS = 10
_ROW, _BAR, _FOOT, _TOP = 14.0, 7.0, 22.0, 14.0
_SIZE = 7.0
_LABELS = 0.3
_GRAVE = "Serious, fatal or criterion met"


def swimmer(course: Course, entered: date | None, ended: date | None, until: date, width: float) -> Chart:
    """The line of one person; `entered` and `ended` are None where nobody said, or not to the day."""
    title = "Time in the trial"
    shown = course.events[:MOST_EVENTS]
    last = min(ended or until, until)
    days = [
        *(one.start for one in shown),
        *course.visits,
        *((entered,) if entered and entered <= until else ()),
    ]
    first = min(days, default=until)
    height = _TOP + _ROW * (1 + len(shown)) + _FOOT
    surface = _drawn(course, shown, entered, ended, (first, max(until, first)), width, height)
    head = ("What", "From", "To")
    rows = [
        (
            "In the trial",
            entered.isoformat() if entered else "unknown",
            ended.isoformat() if ended else f"{last.isoformat()} or later",
        ),
        *(("Visit", day.isoformat(), day.isoformat()) for day in course.visits),
        *((one.name, one.start.isoformat(), _end(one)) for one in shown),
    ]
    said = "; ".join(
        f"{one.name} from {one.start.isoformat()} to {_end(one)}{f' ({_GRAVE.lower()})' if one.grave else ''}"
        for one in shown
    )
    says = (
        f"Time line. In the trial from {rows[0][1]} to {rows[0][2]}; "
        f"{wording.plural(len(course.visits), 'visit')} done. {said or 'No event can be placed'}."
    )
    return Chart(title, surface, width, height, says, head, tuple(rows))


def _end(one: Stretch) -> str:
    return "no end known" if one.open else one.end.isoformat()


def _drawn(
    course: Course, shown: tuple[Stretch, ...], entered: date | None, ended: date | None,
    window: tuple[date, date], width: float, height: float,
) -> Surface:  # fmt: skip
    surface = Surface()
    first, until = window
    left = width * _LABELS
    across = width - left - 20
    span = max((until - first).days, 1)

    def at(day: date) -> float:
        return left + across * min(max((day - first).days / span, 0.0), 1.0)

    top = height - _TOP
    _days(surface, first, span, at(first), across, top)
    y = top - _ROW / 2
    surface.text(left - 6, y - 2.4, "In the trial, visits done", _SIZE, INK, bold=True, align="right")
    if entered and entered <= until:
        end = max(min(ended or until, until), entered)
        surface.rectangle(
            at(entered), y - _BAR / 2, max(at(end) - at(entered), 1.5), _BAR, fill=TINT, stroke=ACCENT
        )
    else:
        surface.line(left, y, left + across, y, FAINT, 0.8)
    for day in course.visits:
        surface.line(at(day), y - 5, at(day), y + 5, ACCENT, 1.4)
    for place, one in enumerate(shown, 1):
        _event(surface, one, at(one.start), at(one.end), left, y - _ROW * place)
    _legend(surface, left, top + 6)
    return surface


def _event(surface: Surface, one: Stretch, start: float, end: float, left: float, y: float) -> None:
    surface.text(left - 6, y - 2.4, fit(one.name, left - 8, _SIZE), _SIZE, INK, bold=one.grave, align="right")
    long = max(end - start, 2.5)
    if one.grave:
        surface.rectangle(start, y - _BAR / 2, long, _BAR, fill=ALARM, stroke=ALARM)
    else:
        surface.rectangle(start, y - _BAR / 2, long, _BAR, fill=PAPER, stroke=INK, line_width=0.7)
    if one.open:
        tip = start + long
        surface.polygon([(tip + 1, y - 4), (tip + 8, y), (tip + 1, y + 4)], ALARM if one.grave else INK)


def _days(surface: Surface, first: date, span: int, left: float, across: float, top: float) -> None:
    steps = min(4, span)
    for step in range(steps + 1):
        day = first + timedelta(days=round(span * step / steps))
        x = left + across * (day - first).days / span
        surface.line(x, _FOOT, x, top, FAINT, 0.4)
        surface.text(x, _FOOT - 11, day.isoformat(), _SIZE, MUTED, align="center")


def _legend(surface: Surface, x: float, y: float) -> None:
    for grave, text in ((True, _GRAVE), (False, "Other, or not stated")):
        surface.rectangle(
            x, y, 8, 5, fill=ALARM if grave else PAPER, stroke=ALARM if grave else INK, line_width=0.7
        )
        surface.text(x + 12, y, text, _SIZE, MUTED)
        x += 26 + width_of(text, _SIZE)
    surface.polygon([(x, y - 1), (x + 7, y + 2.5), (x, y + 6)], INK)
    surface.text(x + 11, y, "No end known", _SIZE, MUTED)
