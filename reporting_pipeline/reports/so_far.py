"""Sections about the trial so far; they stand on `content.statuses`, as their audience may see them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reporting_pipeline.domain import trial_so_far as so_far
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.figures import TrialFigures, covers
from reporting_pipeline.domain.followed import Followed, followed
from reporting_pipeline.domain.trial_so_far import Measured, Outlier, SiteRate
from reporting_pipeline.reports import plots, wording
from reporting_pipeline.reports.blocks import Cell, Chart, Column, Flag, Flow, Pair, Tile
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.described import points
from reporting_pipeline.reports.pdf.layout import WIDTH
from reporting_pipeline.reports.sections.caps import ELSEWHERE

MOST_ROWS = 60


def status_of(trial: TrialFigures, content: ReportContent, *kinds: Kind) -> TrialDataset | None:
    """The trial so far; None where it is not known, or the filters leave out all of `kinds`."""
    return content.statuses.get(trial.trial) if covers(content.filters, kinds) else None


def denominators(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Who is followed, for how long, and what is open: what every rate below stands on."""
    status = status_of(trial, content)
    if status is None:
        flow.note("The trial so far is not known; nothing below stands on it.")
        return
    people = followed(status)
    days = [one.days(content.last_day) for one in people]
    events = covers(content.filters, (Kind.ADVERSE_EVENT,))
    known = [one for one in days if one is not None]
    flow.heading("The trial so far", bookmark=f"So far ({trial.trial})")
    flow.space(6)
    flow.tiles(
        [
            Tile("Subjects known", wording.count(len(people)), "named by any document"),
            Tile(
                "Enrolled, date known",
                wording.count(len(known)),
                f"{wording.count(len(people) - len(known))} without a usable date",
            ),
            Tile("Years of observation", f"{sum(known) / 365.25:.1f}", "from enrolment to end or now"),
            Tile(
                "Open adverse events",
                wording.count(so_far.open_events(status)) if events else "–",
                "no end date, not fatal" if events else "left out by the filters",
            ),
        ]
    )
    if content.filters.sites:
        flow.note(
            "The filter for sites narrows the period; the trial so far is of all sites that may be seen here."
        )
    if len(known) < len(people):
        flow.note(
            "Who has no enrolment date known to the day, or one after the end of their time or of the "
            "period, or who died or left on a day that nobody said, is in no rate over time, but in every "
            "count."
        )


# --- medical review ------------------------------------------------------------------------------


def liver(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """eDISH: each person's peak bilirubin over their peak transaminase."""
    status = status_of(trial, content, Kind.LAB)
    if status is None:
        return
    placed, alone = so_far.liver_points(status)  # alone: with a liver result, and not placed
    flow.heading("Liver: Hy's law plot (eDISH)", keep=250, bookmark=f"Liver ({trial.trial})")
    if not placed:
        flow.note(
            "Nobody has both a transaminase and a bilirubin with an upper limit; none is placed. "
            + _not_placed(alone)
        )
        return
    ticks = (0.1, 1.0, 10.0)
    high_x = max(10.0, *(one.transaminase * 1.1 for one in placed))
    high_y = max(10.0, *(one.bilirubin * 1.1 for one in placed))
    x = plots.Axis("Peak ALT or AST, times upper limit", 0.1, high_x, ticks, (so_far.HYS_TRANSAMINASE,), True)
    y = plots.Axis("Peak bilirubin, times upper limit", 0.1, high_y, ticks, (so_far.HYS_BILIRUBIN,), True)
    marks = [plots.Point(one.transaminase, one.bilirubin, one.subject, one.in_hys_range) for one in placed]
    flow.space(4)
    drawn = plots.scatter(marks, x, y, WIDTH, 230)
    flow.charts(
        [points("Each person once; the upper right is Hy's law range", drawn, WIDTH, 230, marks, x, y)]
    )
    inside = [one for one in placed if one.in_hys_range]
    flow.note(
        f"{wording.plural(len(inside), 'person')} in Hy's law range (3 times the limit of ALT or AST, 2 "
        f"times that of bilirubin; peaks, not of one day: look at the course) of {len(placed)} placed. "
        + _not_placed(alone)
    )
    if inside:
        columns = (
            Column("Subject, site", 40, bold=True, names=True),
            Column("ALT or AST", 30, "right"),
            Column("Bilirubin", 30, "right"),
        )
        rows = [
            (
                Pair(one.subject, f"Site {one.site}" if one.site else "No site"),
                _times(one.transaminase),
                _times(one.bilirubin),
            )
            for one in inside[:MOST_ROWS]
        ]
        flow.table(columns, rows)
        _rest(flow, len(inside), "person")


def _not_placed(count: int) -> str:
    if not count:
        return "Everybody with a liver result is placed."
    others = wording.plural(count, "other person")
    return f"{others} with a liver result cannot be placed: one of the two, its limit or its unit is missing."


def _times(value: float) -> str:
    return f"{value:.1f} × limit"


def shift_table(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    status = status_of(trial, content, Kind.LAB)
    if status is None:
        return
    table = so_far.shifts(status)
    flow.heading("Laboratory shifts, baseline to worst later result", bookmark=f"Shifts ({trial.trial})")
    counts = {str(name): row for name, row in zip(table.index, table.to_dict("records"), strict=True)}
    steps = [f"{a} to {b}" for a in so_far.STATES for b in so_far.STATES if a != b]
    if not any(row[f"{a} to {a}"] for row in counts.values() for a in so_far.STATES) and not any(
        row[step] for row in counts.values() for step in steps
    ):
        flow.note(
            "Nobody has two results of a test that could be compared. This does not say that all stayed."
        )
        return
    moved = [name for name, row in counts.items() if any(row[step] for step in steps)]
    if not moved:
        flow.note("No person's result of any test moved from one side of its range to another.")
        return
    flow.note(
        "Persons. N: normal, L: low, H: high, by the laboratory's flag or the range. Tests without a shift "
        f"are left out. {_BASELINE}"
    )
    flow.space(4)
    names = [f"{a} to {b}" for a in so_far.STATES for b in so_far.STATES]
    columns = [Column("Test", 36, bold=True)]
    columns += [Column(f"{name[0]} → {name.split(' to ')[1][0]}", 8, "right") for name in names]
    columns.append(Column("Not assessed", 12, "right"))
    rows = [
        (name, *(wording.count(counts[name][column]) for column in (*names, "not assessed")))
        for name in moved[:MOST_ROWS]
    ]
    flow.table(columns, rows)
    _rest(flow, len(moved), "test")


def event_dots(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Persons with each event, of all who are at risk; by arm where the audience may know it."""
    status = status_of(trial, content, Kind.ADVERSE_EVENT)
    if status is None:
        return
    people = followed(status)
    rates = so_far.event_rates(status, people)
    flow.heading("Adverse events by class and term", keep=270, bookmark=f"Events so far ({trial.trial})")
    if not rates or not people:
        flow.note("No adverse event names a subject.")
        return
    arms = sorted({one.arm for one in people if one.arm}) if content.policy.arm else []
    sizes = {arm: sum(one.arm == arm for one in people) for arm in arms}
    note = f"Persons with the event of {wording.plural(len(people), 'subject')}; each counts once for a term."
    if arms:
        note += " " + ", ".join(f"{arm}: {count}" for arm, count in sizes.items()) + "."
    flow.note(note)
    flow.space(4)
    columns = [
        Column("Term, class", 60, bold=True),
        Column("Persons", 16, "right"),
        Column("Share", 16, "right"),
    ]
    columns += [Column("of these serious", 16, "right"), *(Column(arm, 18, "right") for arm in arms[:4])]
    rows: list[tuple[Cell, ...]] = []
    for one in rates[:MOST_ROWS]:
        said = f"{one.serious}, {one.unknown} unknown" if one.unknown else str(one.serious)
        serious: Cell = Flag(said, "up") if one.serious else said
        by_arm = [f"{one.by_arm.get(arm, 0)} ({one.by_arm.get(arm, 0) / sizes[arm]:.0%})" for arm in arms[:4]]
        share = f"{one.persons / len(people):.1%}"
        rows.append((Pair(one.term, one.system_organ_class), str(one.persons), share, serious, *by_arm))
    _dots(flow, rates, people)
    flow.table(columns, rows)
    _rest(flow, len(rates), "term")


def _dots(flow: Flow, rates: Sequence[so_far.TermRate], people: Sequence[Followed]) -> None:
    """The most frequent terms, one in a row; those with a serious event stand out."""
    shown = list(rates[:15])
    if len(shown) < 2:
        return
    dots = [plots.Dot(one.term, 100 * one.persons / len(people), one.serious > 0) for one in shown]
    title, axis = "The most frequent terms", "Subjects with the event, %"
    height = plots.dots_height(len(dots))
    drawn = plots.dots(dots, axis, "With a serious event", "Without", WIDTH)
    says = wording.dots_say(title, axis, [(dot.name, dot.value, dot.stands_out) for dot in dots])
    rows = tuple(
        (one.term, f"{dot.value:.1f}", str(one.serious)) for one, dot in zip(shown, dots, strict=True)
    )
    flow.charts([Chart(title, drawn, WIDTH, height, says, ("Term", axis, "of these serious"), rows)])


def qtc(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    status = status_of(trial, content, Kind.ECG)
    if status is not None:
        _outliers(
            flow,
            trial,
            "QTc outliers",
            so_far.qtc_outliers(status),
            "Longest corrected QT over 450, 480 or 500 ms, or a rise of more than 30 or 60 ms since the "
            f"baseline (ICH E14). {_BASELINE}",
            so_far.qtc_measured(status),
        )


def pressures(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    status = status_of(trial, content, Kind.VITALS)
    if status is not None:
        _outliers(
            flow,
            trial,
            "Blood pressure outliers",
            so_far.pressure_outliers(status),
            "Systolic below 90 or 180 mmHg and more, diastolic below 60 or 120 mmHg and more.",
            so_far.pressures_measured(status),
        )


def _outliers(
    flow: Flow, trial: TrialFigures, title: str, found: Sequence[Outlier], rule: str, measured: Measured
) -> None:
    flow.heading(title, bookmark=f"{title} ({trial.trial})")
    left_out = wording.plural(measured.unusable, "result")
    if not measured.usable:
        what = (
            f"{left_out} could not be assessed: {_UNUSABLE}."
            if measured.unusable
            else "Nothing was measured."
        )
        flow.note(f"{what} This does not say that all was normal.")
        return
    flow.note(rule + (f" Not assessed: {left_out} ({_UNUSABLE})." if measured.unusable else ""))
    if not found:
        flow.note("Nobody is beyond these limits.")
        return
    flow.space(4)
    columns = (
        Column("Subject, site", 24, bold=True, names=True),
        Column("Test", 14),
        Column("Value", 16, "right"),
        Column("Baseline", 16, "right"),
        Column("Collected", 18),
        Column("Why", 34),
    )
    rows = [
        (
            Pair(one.subject, f"Site {one.site}" if one.site else "No site"),
            one.test,
            f"{wording.amount(one.value)} {one.unit}",
            "unknown" if math.isnan(one.baseline) else f"{wording.amount(one.baseline)} {one.unit}",
            "unknown" if one.collected == "~" else wording.collected_date(one.collected),
            one.why,
        )
        for one in found[:MOST_ROWS]
    ]
    flow.table(columns, rows)
    _rest(flow, len(found), "value")


_BASELINE = "The baseline is the result that its source calls so, else the first."
_UNUSABLE = "in another unit or without one, beyond a limit of quantification, or in words"


# --- conduct -------------------------------------------------------------------------------------


def enrolment(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Who came when, against the target of the parameters, with a projection at the last quarter's pace."""
    status = status_of(trial, content, Kind.SUBJECT)
    if status is None:
        return
    flow.heading("Enrolment", keep=170, bookmark=f"Enrolment ({trial.trial})")
    people = followed(status)
    reached = so_far.enrolment(people, content.last_day)
    later = sum(one.enrolled is not None and one.enrolled > content.last_day for one in people)
    if later:
        dated = wording.plural(later, "subject")
        flow.note(
            f"{dated} with an enrolment dated after {wording.day(content.last_day.isoformat())}: not counted."
        )
    if not reached:
        flow.note("No subject has an enrolment date known to the day.")
        return
    first = reached[0][0]
    marks = [plots.Point((day - first).days, count) for day, count in reached]
    target = getattr(content.parameters, "target", None)
    x = plots.linear(f"Days since {wording.day(first.isoformat())}", [mark.x for mark in marks])
    y = plots.linear("Subjects enrolled", [mark.y for mark in marks], (float(target),) if target else ())
    flow.space(4)
    drawn = plots.scatter(marks, x, y, WIDTH, 150)
    flow.charts([points("Subjects enrolled", drawn, WIDTH, 150, marks, x, y)])
    if target is None:
        flow.note("The subscription names no target, so none is drawn and nothing is projected.")
        return
    until = so_far.projected(reached, target, content.last_day)
    said = f"Target {target}; {reached[-1][1]} enrolled. "
    if reached[-1][1] >= target and until is not None:
        said += f"The target was reached on {wording.day(until.isoformat())}."
    elif until is None:
        said += "Nobody came in the last 91 days: when the target is reached cannot be projected."
    else:
        said += f"At the pace of the last 91 days it is reached about {until.isoformat()}."
    flow.note(said)


def indicators(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Key risk indicators by site, each with its funnel."""
    status = status_of(trial, content)
    if status is None:
        return
    people = followed(status)
    flow.heading("Key risk indicators by site", keep=240, bookmark=f"Indicators ({trial.trial})")
    flow.note(
        "Events by person and year of observation, both of those whose time is known; z as gsm.core's "
        "Analyze_NormalApprox for rates, adjusted for overdispersion; beyond 2 is a sign, beyond 3 a strong "
        "one. A sign is a question to the site, no finding. Years, rates and z are rounded."
    )
    for title in so_far.indicators_of(content.filters):
        rates = so_far.site_rates(status, people, content.last_day, title)
        if not rates:
            flow.note(f"{title}: nothing is known of a site with a time of observation.")
        elif not sum(one.count for one in rates):
            flow.note(f"{title}: none is known of any site with a time of observation.")
        else:
            _funnel(flow, title, rates)
        if rates and (rest := so_far.in_no_rate(status, rates, title)):
            flow.note(f"{title}: {wording.count(rest)} of somebody whose time is not known, in no rate.")
    _unknown_seriousness(flow, status, content)


def open_questions(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """No kind of document carries a question to a site, so nothing is known of how long any is open."""
    if status_of(trial, content) is None:
        return
    flow.heading("Open questions to the sites", keep=20, bookmark=f"Open questions ({trial.trial})")
    flow.note(
        "How many are open, and for how long, is unknown: no document that arrives here carries the "
        "questions of data management. This does not say that there are none."
    )


def _unknown_seriousness(flow: Flow, status: TrialDataset, content: ReportContent) -> None:
    """Events in no rate of serious ones are told: those that do not say whether they are serious, and those
    that say No and are fatal or meet a criterion."""
    if not covers(content.filters, (Kind.ADVERSE_EVENT,)):
        return
    if unknown := so_far.unknown_seriousness(status):
        flow.note(
            f"{wording.plural(unknown, 'adverse event')} of unknown seriousness: not among the serious ones."
        )
    if doubtful := so_far.not_serious_by_word_alone(status):
        flow.note(
            f"{wording.plural(doubtful, 'adverse event')} answered No, yet fatal or with a criterion of "
            "seriousness: not among the serious ones."
        )


def _funnel(flow: Flow, title: str, rates: Sequence[SiteRate]) -> None:
    mu = sum(one.count for one in rates) / sum(one.years for one in rates)
    scales = [
        (one.rate - mu) / (one.z * math.sqrt(mu / one.years))
        for one in rates
        if one.z == one.z and abs(one.z) > 1e-9
    ]
    spread = scales[0] if scales else math.nan
    x = plots.linear("Years of observation at the site", [one.years for one in rates])
    y = plots.linear("Rate by person and year", [one.rate for one in rates], (mu,))
    curves = []
    if spread == spread:
        for limit in (-3.0, -2.0, 2.0, 3.0):
            curves.append(lambda years, limit=limit: mu + limit * spread * math.sqrt(mu / years))
    marks = [plots.Point(one.years, one.rate, f"Site {one.site}", one.flag != 0) for one in rates]
    flow.space(4)
    drawn = plots.scatter(marks, x, y, WIDTH, 170, curves)
    flow.charts([points(title, drawn, WIDTH, 170, marks, x, y)])
    flagged = [one for one in rates if one.flag]
    if flagged:
        columns = (
            Column("Site", 20, bold=True, names=True),
            Column("Events", 20, "right"),
            Column("Years", 20, "right"),
            Column("Rate", 20, "right"),
            Column("z", 20, "right"),
        )
        flow.table(
            columns,
            [
                (
                    one.site,
                    str(one.count),
                    f"{one.years:.1f}",
                    f"{one.rate:.2f}",
                    Flag(f"{one.z:.1f}".replace("-", "−"), "up" if one.z > 0 else "down"),
                )
                for one in flagged[:MOST_ROWS]
            ],
        )


# --- one site ------------------------------------------------------------------------------------


def own_site(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Each site that the reader has, beside the trial's median; no other site is named."""
    status = status_of(trial, content)
    if status is None:
        return
    measures = so_far.site_measures(status, content.last_day, content.filters)
    medians = content.medians.get(trial.trial, {})
    asked = content.filters.sites
    sites = [site for site in measures["People followed"] if not asked or site in asked]
    flow.heading("Your site beside the trial", bookmark=f"Your site ({trial.trial})")
    if not sites:
        flow.note("No subject of your site is known yet.")
        return
    flow.note(
        f"The median is that of all sites of the trial; it is told where there are {so_far.FEWEST_SITES} "
        f"sites or more, at least {so_far.FEWEST_SITES - 1} of them not yours. Shares are rounded to whole "
        "percent, rates to two digits."
    )
    for site in sites[:MOST_ROWS]:
        flow.space(6)
        columns = (
            Column(f"Site {site}", 50, bold=True),
            Column("Your site", 25, "right"),
            Column("Median of the trial", 25, "right"),
        )
        rows = [
            (name, _measure(name, values.get(site)), _measure(name, medians.get(name)))
            for name, values in measures.items()
        ]
        flow.table(columns, rows)
    _unknown_seriousness(flow, status, content)


def _measure(name: str, value: float | None) -> str:
    if value is None or value != value:
        return "unknown"
    if name.startswith("Share"):
        return f"{value:.0%}"
    return f"{value:.2f}" if " per " in name else wording.amount(value)


def _rest(flow: Flow, total: int, noun: str) -> None:
    if total > MOST_ROWS:
        flow.note(f"{wording.plural(total - MOST_ROWS, f'more {noun}')} not shown here: {ELSEWHERE}.")
