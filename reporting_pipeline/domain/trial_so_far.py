"""Figures of a trial so far: baseline and worst results, events, rates by site.

Pure: in go the tables of a `trial_status` (as its audience may see them), out come small frames and records.
Unknown stays unknown: a person without an enrolment date is in no rate over time and is counted as such.

Sources: eDISH and Hy's law: FDA, Drug-Induced Liver Injury: Premarketing Clinical Evaluation (2009). QTc:
ICH E14 (2005), 2.1.3. Blood pressure: FDA, Standard Safety Tables and Figures: Integrated Guide (2022).
Site rates and funnels: gsm.kri and gsm.core (Gilead BioStats), Analyze_NormalApprox for rates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Any

import pandas as pd

from reporting_pipeline.domain.clinical import numbers
from reporting_pipeline.domain.clinical.codes import NO
from reporting_pipeline.domain.clinical.units import same_unit
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.figures import KIND_OF, covers
from reporting_pipeline.domain.followed import Followed, Person, followed, full_date, persons_of
from reporting_pipeline.domain.subscriptions import Filters

BLOOD = frozenset({"", "BLOOD", "SERUM", "PLASMA", "SERUM OR PLASMA"})
HYS_TRANSAMINASE, HYS_BILIRUBIN = 3.0, 2.0  # times the upper limit of normal
QTC_LIMITS, QTC_RISES = (450.0, 480.0, 500.0), (30.0, 60.0)  # ms
QTC_CODES = frozenset({"QTC", "QTCB", "QTCF", "QTCBAG", "QTCFAG", "QTCBR", "QTCFR"})
#: test -> (below this, from this on), mmHg
PRESSURES: Mapping[str, tuple[float, float]] = {"SYSBP": (90.0, 180.0), "DIABP": (60.0, 120.0)}
#: Sites of which the median may be told to one of them: with fewer it would tell the others' numbers.
FEWEST_SITES = 5
Medians = Mapping[str, float | None]  # by measure
FLAGS = (2.0, 3.0)  # |z| of gsm.kri's thresholds
NOT_CODED = "Not coded"
_MILLISECONDS, _MERCURY = "ms", "mmHg"

# --- events --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TermRate:
    """Persons with an event of one class and term, of all who are at risk."""

    system_organ_class: str
    term: str
    persons: int
    serious: int  # persons of whom one is stated to be serious
    unknown: int  # persons of whom none is, and one does not say
    by_arm: Mapping[str, int]


def event_rates(status: TrialDataset, people: list[Followed]) -> list[TermRate]:
    """By class and term, most persons first. An event of nobody known counts for no person."""
    arms = {(one.site, one.subject): one.arm for one in people}
    found: dict[tuple[str, str], dict[Person, str]] = {}
    columns = ("system_organ_class", "preferred_term", "term", "site", "subject", "serious")
    for soc, preferred, term, site, subject, serious in _rows(status.tables["adverse_events"], columns):
        if subject:
            who = found.setdefault((soc or NOT_CODED, preferred or term or NOT_CODED), {})
            said = serious if serious in STATED else ""
            person = status.people[site, subject]
            who[person] = max(who.get(person, "no"), said, key=_GRAVEST.index)
    rates = []
    for (soc, term), who in found.items():
        by_arm: dict[str, int] = {}
        for person in who:
            arm = arms.get(person, "")
            by_arm[arm] = by_arm.get(arm, 0) + 1
        said = Counter(who.values())
        rates.append(TermRate(soc, term, len(who), said["yes"], said[""], by_arm))
    return sorted(rates, key=lambda one: (-one.persons, one.system_organ_class, one.term))


STATED = ("yes", "no")
_GRAVEST = ("no", "", "yes")  # what is not stated may be serious


def unknown_seriousness(status: TrialDataset) -> int:
    """Adverse events that do not say whether they are serious."""
    return int((~status.tables["adverse_events"]["serious"].isin(STATED)).sum())


def not_serious_by_word_alone(status: TrialDataset) -> int:
    """Adverse events that are answered "not serious", and are fatal or meet a criterion of seriousness."""
    events = status.tables["adverse_events"]
    grave = events["fatal"].astype(bool) | (events["seriousness_criteria"] != "")
    return int((grave & (events["serious"] == NO)).sum())


def open_events(status: TrialDataset) -> int:
    """Adverse events without an end date that did not end in death; "not recovered" is one of them."""
    events = status.tables["adverse_events"]
    return int(((events["end"] == "") & ~events["fatal"].astype(bool)).sum())


# --- liver, QTc, blood pressure ------------------------------------------------------------------


@dataclass(frozen=True)
class LiverPoint:
    """The peaks of one person, times the upper limit of normal; not of one day."""

    site: str
    subject: str
    transaminase: float
    bilirubin: float

    @property
    def in_hys_range(self) -> bool:
        return self.transaminase >= HYS_TRANSAMINASE and self.bilirubin >= HYS_BILIRUBIN


#: CDISC's codes of the liver tests, and what laboratories and forms call them; BILDIR is another test.
_LIVER: Mapping[str, str] = {
    **dict.fromkeys(("ALT", "ALAT", "GPT", "SGPT", "AST", "ASAT", "GOT", "SGOT"), "t"),
    **dict.fromkeys(("BILI", "BILIRUBIN", "TBIL", "TBILI", "BILIT", "BILTOT"), "b"),
}


def liver_points(status: TrialDataset) -> tuple[list[LiverPoint], int]:
    """(persons with both peaks, worst first; how many others have a liver result and cannot be placed).

    Each result is held against its own limit, so the units of a test need not agree. Over a limit of
    quantification counts as that limit, the least it can be. Under one counts where even
    the limit is normal; else nothing is known.
    """
    peaks: dict[Person, dict[str, float]] = {}
    columns = ("test_code", "specimen", "high", "original_high", "site", "subject")
    for (code, specimen, standard_high, original_high, site, subject), number in zip(
        _rows(status.tables["labs"], columns), _numbers(status.tables["labs"]), strict=True
    ):
        value, sign, _, is_original = number
        high = original_high if is_original else standard_high
        which = _LIVER.get(code.strip().upper())
        if which is None or specimen.upper() not in BLOOD or not subject:
            continue
        own = peaks.setdefault(status.people[site, subject], {})
        usable = high == high and high > 0 and value == value and value >= 0
        if usable and (not sign.startswith("<") or value <= high):
            own[which] = max(own.get(which, 0.0), value / high)
    points = [
        LiverPoint(site, subject, own["t"], own["b"])
        for (site, subject), own in sorted(peaks.items())
        if len(own) == 2
    ]
    points.sort(key=lambda one: (not one.in_hys_range, -one.transaminase * one.bilirubin, one.subject))
    return points, len(peaks) - len(points)


@dataclass(frozen=True)
class Outlier:
    """One person's most remarkable value of one test."""

    site: str
    subject: str
    test: str
    value: float
    unit: str
    baseline: float  # NaN: there is none but this, or none that is dated
    collected: str
    why: str
    risen: float = math.nan  # the largest later value less the baseline


@dataclass(frozen=True)
class Measured:
    """Results of some tests: how many could be held against limits, and how many could not."""

    usable: int
    unusable: int  # in another unit or without one, under or over a limit of quantification, or in words


def qtc_measured(status: TrialDataset) -> Measured:
    return _measured(status, "ecgs", QTC_CODES, _MILLISECONDS)


def pressures_measured(status: TrialDataset) -> Measured:
    return _measured(status, "vitals", frozenset(PRESSURES), _MERCURY)


def _measured(status: TrialDataset, name: str, codes: frozenset[str], in_unit: str) -> Measured:
    called = (code.strip().upper() for code in status.tables[name]["test_code"])
    results = sum(_CALLED.get(code, code) in codes for code in called)
    usable = sum(len(series) for _, _, series in _series(status, name, codes, in_unit))
    return Measured(usable, results - usable)


def qtc_outliers(status: TrialDataset) -> list[Outlier]:
    """The longest corrected QT of each person and correction, and its rise since baseline, over a limit."""
    found = []
    for person, code, series in _series(status, "ecgs", QTC_CODES, _MILLISECONDS):
        worst, (baseline, risen) = max(series, key=lambda one: one.value), _risen(series)
        over = [limit for limit in QTC_LIMITS if worst.value > limit]
        rose = [rise for rise in QTC_RISES if risen > rise]
        if over or rose:
            parts = [f"over {over[-1]:.0f} ms"] if over else []
            parts += [f"rose by more than {rose[-1]:.0f} ms"] if rose else []
            why = ", ".join(parts)
            found.append(Outlier(*person, code, worst.value, "ms", baseline, worst.when, why, risen))
    return sorted(found, key=lambda one: (-one.value, one.site, one.subject, one.test))


def pressure_outliers(status: TrialDataset) -> list[Outlier]:
    """The lowest and the highest blood pressure of each person beyond the limits."""
    found = []
    for person, code, series in _series(status, "vitals", frozenset(PRESSURES), _MERCURY):
        low, high = PRESSURES[code]
        parts = _by_baseline(series) if len(series) > 1 else []
        baseline = parts[-1][0].value if parts else math.nan
        least, most = min(series, key=lambda one: one.value), max(series, key=lambda one: one.value)
        if least.value < low:
            why = f"below {low:.0f} mmHg"
            found.append(Outlier(*person, code, least.value, "mmHg", baseline, least.when, why))
        if most.value >= high:
            why = f"{high:.0f} mmHg or more"
            found.append(Outlier(*person, code, most.value, "mmHg", baseline, most.when, why))
    return sorted(found, key=lambda one: (-_beyond(one), one.test, one.site, one.subject))


def _beyond(one: Outlier) -> float:
    """How far a pressure lies outside, as a share of the limit."""
    low, high = PRESSURES[one.test]
    return (low - one.value) / low if one.value < low else (one.value - high) / high


#: What forms call the pressures, by CDISC's code.
_CALLED: Mapping[str, str] = {"SBP": "SYSBP", "DBP": "DIABP"}


@dataclass(frozen=True, order=True)
class _Point:
    """One result in a person's series, which is in order of collection."""

    when: str  # collected; _UNDATED where it is not known to the day
    value: float  # of a number, or how far outside its range it is
    baseline: bool = False  # as its source says
    state: str = ""  # of STATES; "" where it was not assessed


def _by_baseline(series: list[_Point]) -> list[tuple[_Point, list[_Point]]]:
    """Each baseline and what came after it, up to the next: a crossover has one for each period.

    Baselines are those that their source calls so; of several of one day the last, of none the first result.
    [] where no result has a date: which of them was first is not known.
    """
    dated = [one for one in series if one.when != _UNDATED]
    if not dated:
        return []
    stated = {one.when[:_DAY]: one for one in dated if one.baseline}  # of a day the last
    if not stated:
        return [(series[0], series[1:])]
    baselines = list(stated.values())
    parts = []
    for baseline, following in zip(baselines, [*baselines[1:], None], strict=True):
        later = [
            one
            for one in dated
            if _is_after(one.when, baseline.when)
            and (following is None or _is_after(following.when, one.when))
        ]
        parts.append((baseline, later))
    parts[-1][1].extend(one for one in series if one.when == _UNDATED)
    return parts


_DAY = len("2026-11-16")


def _is_after(when: str, baseline: str) -> bool:
    """On a later day, or where both have a time, later on that day."""
    exact = min(len(when), len(baseline))
    return when[:exact] > baseline[:exact]


def _risen(series: list[_Point]) -> tuple[float, float]:
    """(The value at baseline, the largest later value less it), of the period with the largest rise.

    NaN where there is none, or nothing else; without a later result the baseline is the last one.
    """
    parts = _by_baseline(series) if len(series) > 1 else []
    rises = [
        (max(one.value for one in later) - baseline.value, baseline) for baseline, later in parts if later
    ]
    if rises:
        risen, baseline = max(rises, key=lambda one: one[0])
        return baseline.value, risen
    return (parts[-1][0].value if parts else math.nan), math.nan


def _series(
    status: TrialDataset, name: str, codes: frozenset[str], in_unit: str
) -> Iterator[tuple[Person, str, list[_Point]]]:
    """Exact values of the table `name` in a unit, however it is spelled, by person and test."""
    found: dict[tuple[Person, str], list[_Point]] = {}
    columns = ("test_code", "site", "subject", "collected", "baseline")
    table = status.tables[name]
    for (code, site, subject, when, baseline), (value, comparator, unit, _) in zip(
        _rows(table, columns), _numbers(table), strict=True
    ):
        usable = subject and value == value and not comparator and unit and same_unit(unit, in_unit)
        test = _CALLED.get(code.strip().upper(), code.strip().upper())
        if usable and test in codes:
            point = _Point(_moment(when), float(value), bool(baseline))
            found.setdefault((status.people[site, subject], test), []).append(point)
    for (person, code), series in sorted(found.items()):
        yield person, code, sorted(series)


def _numbers(results: pd.DataFrame) -> Iterator[tuple[float, str, str, bool]]:
    """(Number, comparator, unit, whether it is the original) of each result: in standard units, else, where
    it has none, as it was collected."""
    columns = ("value", "comparator", "unit", "text_result", "original_result", "original_unit")
    for value, sign, unit, standard, original, original_unit in _rows(results, columns):
        if value == value:
            yield value, sign, unit, False
            continue
        is_original = not standard or (standard == original and not same_unit(unit, original_unit))
        text = original if is_original else standard
        limit, number = numbers.censored(text), numbers.plain(text)
        in_unit = original_unit if is_original else unit
        if limit is not None:
            yield limit.limit, limit.comparator, in_unit, is_original
        else:
            yield math.nan if number is None else number, sign, in_unit, is_original


def _moment(collected: str) -> str:
    """When it was collected; what is not known to the day comes last, for it is nobody's first result."""
    return collected if full_date(collected) else _UNDATED


_UNDATED = "~"


# --- shifts --------------------------------------------------------------------------------------

STATES = ("LOW", "NORMAL", "HIGH")


def shifts(status: TrialDataset) -> pd.DataFrame:
    """Baseline against worst later result of each person, by laboratory test.

    The baseline is the last result before it that its source calls so (--BLFL, --LOBXFL), else the first.
    index: test; columns: "NORMAL to HIGH" and so on for all of STATES, and "not assessed" (persons of whom
    the baseline or every later result has no flag and no usable range, or who have no date); counts of
    persons with two results or more.
    """
    found: dict[str, dict[Person, list[_Point]]] = {}
    columns = ("specimen", "flag", "assessed", "ratio", "site", "subject", "collected", "baseline")
    named = zip(status.facts["labs"].tests.tolist(), _rows(status.tables["labs"], columns), strict=True)
    for test, (specimen, flag, assessed, ratio, site, subject, when, baseline) in named:
        if subject:
            name = f"{test} ({specimen.lower()})" if specimen and not test.endswith(")") else test
            size = ratio if ratio == ratio else 0.0
            own = found.setdefault(name, {}).setdefault(status.people[site, subject], [])
            own.append(_Point(_moment(when), size, bool(baseline), _state(flag) if assessed else ""))
    names = [f"{before} to {after}" for before in STATES for after in STATES]
    rows = {}
    for test, people in sorted(found.items()):
        counts = dict.fromkeys([*names, "not assessed"], 0)
        for results in people.values():
            if len(results) > 1:
                counts[_shift(sorted(results))] += 1
        rows[test] = counts
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*names, "not assessed"])


def _shift(results: list[_Point]) -> str:
    assessed = [
        (one.state != "NORMAL", one.value, f"{baseline.state} to {one.state}")
        for baseline, later in _by_baseline(results)
        for one in later
        if one.state and baseline.state
    ]
    return max(assessed)[2] if assessed else "not assessed"


def _state(flag: str) -> str:
    """LOW, NORMAL or HIGH; "" for a flag that says abnormal without a direction."""
    first = flag.split(" ")[0] if flag else ""
    return first if first in STATES else ""


# --- sites ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SiteRate:
    """One site's indicator: a rate per person and year, with its z as gsm.core works it out."""

    site: str
    count: int
    years: float
    rate: float
    z: float

    @property
    def flag(self) -> int:
        """-2, -1, 0, 1, 2: beyond gsm.kri's thresholds of 2 and 3."""
        size = sum(abs(self.z) > limit for limit in FLAGS) if self.z == self.z else 0
        return int(math.copysign(size, self.z)) if size else 0


SERIOUS_EVENTS = "Serious adverse events"
#: What is counted by site: title -> table, column ("" for every row), value that counts, and the values of
#: which the trial must have one: where nobody ever says "missed", no visit is known to be kept.
INDICATORS: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "Adverse events": ("adverse_events", "", "", ()),
    SERIOUS_EVENTS: ("adverse_events", "serious", "yes", STATED),
    "Protocol deviations": ("deviations", "", "", ()),
    "Visits missed": ("visits", "visit_status", "missed", ("missed",)),
}


def indicators_of(filters: Filters) -> list[str]:
    """The indicators of INDICATORS whose kind of document the filters leave in."""
    return [name for name, (table, *_) in INDICATORS.items() if covers(filters, (KIND_OF[table],))]


def site_rates(status: TrialDataset, people: list[Followed], until: date, indicator: str) -> list[SiteRate]:
    """The rate of each site with a time of observation, highest z first; [] where nothing is known.

    Numerator and denominator are of the same persons: an event of somebody whose time is not known, or of
    nobody who is named, is in no rate. Nor is a site with events of which none says what is counted.
    mu = sum of counts / sum of years; z0 = (rate - mu) / sqrt(mu / years); phi = mean of z0 squared;
    z = z0 / sqrt(phi). One site alone, or no event at all, has no z.
    """
    table, column, value, told_by = INDICATORS[indicator]
    frame = status.tables[table]
    told = frame[column].isin(told_by).any() if column else not frame.empty
    timed = {(one.site, one.subject): days for one in people if (days := one.days(until)) is not None}
    years: dict[str, float] = {}
    for (site, _), days in timed.items():
        if site:
            years[site] = years.get(site, 0.0) + days / 365.25
    if indicator == SERIOUS_EVENTS:
        for site in _sites_that_never_say(status, frame, frame[column].isin(told_by)):
            years.pop(site, None)
    counted = frame[frame[column] == value] if column else frame
    counts = Counter(one[0] for one in persons_of(status, counted) if one in timed)
    total, time = sum(counts.get(site, 0) for site in years), sum(years.values())
    if not years or not told:  # of what nobody ever sent, nothing is known: no rate of 0
        return []
    mu = total / time
    raw = {
        site: (counts.get(site, 0) / own - mu) / math.sqrt(mu / own) if mu and len(years) > 1 else math.nan
        for site, own in years.items()
    }
    squares = [z * z for z in raw.values() if z == z]
    phi = sum(squares) / len(squares) if squares else math.nan
    rates = [
        SiteRate(
            site,
            int(counts.get(site, 0)),
            own,
            counts.get(site, 0) / own,
            raw[site] / math.sqrt(phi) if phi == phi and phi > 0 else math.nan,
        )
        for site, own in years.items()
    ]
    return sorted(rates, key=lambda one: (-(one.z if one.z == one.z else -math.inf), one.site))


def in_no_rate(status: TrialDataset, rates: list[SiteRate], indicator: str) -> int:
    """How many of what is counted stand in none of `rates`."""
    table, column, value, _ = INDICATORS[indicator]
    frame = status.tables[table]
    total = int((frame[column] == value).sum()) if column else len(frame)
    return total - sum(one.count for one in rates)


def _sites_that_never_say(status: TrialDataset, rows: pd.DataFrame, stated: pd.Series) -> set[str]:
    """Sites with rows, of which none is `stated`."""
    speaking = {site for site, _ in persons_of(status, rows[stated])}
    return {site for site, _ in persons_of(status, rows)} - speaking


def site_measures(
    status: TrialDataset, until: date, filters: Filters | None = None
) -> dict[str, dict[str, float]]:
    """measure -> site -> value, of the filters' kinds; a site without people followed has no rate."""
    filters = filters or Filters()
    people = followed(status)
    measures = {
        "People followed": {site: 0.0 for site in sorted({one.site for one in people if one.site})},
    }
    for one in people:
        if one.site:
            measures["People followed"][one.site] += 1
    for indicator in indicators_of(filters):
        rates = site_rates(status, people, until, indicator)
        measures[f"{indicator} per person and year"] = {one.site: one.rate for one in rates}
    if covers(filters, (Kind.VISIT,)):
        done, due = _visits(status)
        measures["Share of visits done"] = {site: done.get(site, 0) / count for site, count in due.items()}
    return measures


def _visits(status: TrialDataset) -> tuple[dict[str, int], dict[str, int]]:
    """(visits done, visits done or missed) by site; none where nobody ever says that one was missed."""
    visits = status.tables["visits"]
    if not (visits["visit_status"] == "missed").any():
        return {}, {}
    done = visits[visits["visit_status"] == "done"]["site"].tolist()
    settled = visits[visits["visit_status"].isin(["done", "missed"])]["site"].tolist()
    return Counter(done), Counter(settled)


def site_medians(measures: Mapping[str, Mapping[str, float]], own: Sequence[str] | None) -> Medians:
    """The median over a whole trial's `site_measures` by measure; None where it would tell of too few sites.

    `own`: the sites that the reader sees, None for all. Their values can be taken out of the median, so what
    counts is how many others there are.
    """
    return {
        name: median(values.values()) if _tells_of_no_site(values.keys(), own) else None
        for name, values in measures.items()
    }


def _tells_of_no_site(sites: Collection[str], own: Sequence[str] | None) -> bool:
    others = set(sites) - set(own or ())
    return len(sites) >= FEWEST_SITES and (own is None or len(others) >= FEWEST_SITES - 1)


def enrolment(people: list[Followed], until: date) -> list[tuple[date, int]]:
    """(day, persons enrolled by then), days up to `until` on which somebody was."""
    days = sorted(one.enrolled for one in people if one.enrolled is not None and one.enrolled <= until)
    return [(day, place) for place, day in enumerate(days, 1) if place == len(days) or days[place] != day]


def projected(enrolled: list[tuple[date, int]], target: int, until: date, over_days: int = 91) -> date | None:
    """When `target` is reached at the pace of the last `over_days`; None when nobody came in that time."""
    reached = enrolled[-1][1] if enrolled else 0
    if reached >= target:
        return next(day for day, count in enrolled if count >= target)
    since = date.fromordinal(until.toordinal() - over_days)
    before = max((count for day, count in enrolled if day <= since), default=0)
    pace = (reached - before) / over_days
    if pace <= 0:
        return None
    days = math.ceil((target - reached) / pace)
    return date.fromordinal(until.toordinal() + days) if days < 36_525 else None


def _rows(table: pd.DataFrame, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[column].tolist() for column in columns), strict=True)
