"""What a report says of the trials so far, as tables of CSV, XLSX, JSON, Parquet and Dataset-JSON.

The PDF shows the same numbers, shortened where a page ends; here every row is. Each frame has `trial` first.
A number that is not known is NaN, a date that is not is "".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from reporting_pipeline.domain import look_first as rule
from reporting_pipeline.domain import trial_so_far as so_far
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.figures import covers
from reporting_pipeline.domain.followed import followed, full_date
from reporting_pipeline.reports.content import ReportContent

Rows = Iterator[dict[str, Any]]


def of_medical_review(content: ReportContent) -> dict[str, pd.DataFrame]:
    return {
        "look_first": _table(
            content, _look_first, ("place", "int"), "site", "subject", ("signs", "int"), "why"
        ),
        "liver": _table(
            content,
            _liver,
            *("site", "subject", ("transaminase", "float"), ("bilirubin", "float"), ("in_hys_range", "bool")),
        ),
        "event_rates": _table(
            content,
            _event_rates,
            *("system_organ_class", "preferred_term", "arm", ("persons", "int"), ("of_persons", "int")),
            *(("serious", "float"), ("unknown_seriousness", "float")),
        ),
        "shifts": _table(content, _shifts, "test", "baseline_to_worst", ("persons", "int")),
        "outliers": _table(
            content,
            _outliers,
            *(
                "site",
                "subject",
                "test",
                ("value", "float"),
                "unit",
                ("baseline", "float"),
                "collected",
                "why",
            ),
        ),
    }


def of_trial_conduct(content: ReportContent) -> dict[str, pd.DataFrame]:
    return {
        "enrolment": _table(content, _enrolment, "day", ("enrolled", "int")),
        "site_indicators": _table(
            content,
            _indicators,
            *("indicator", "site", ("events", "int"), ("years", "float"), ("rate", "float"), ("z", "float")),
        ),
    }


def of_site_report(content: ReportContent) -> dict[str, pd.DataFrame]:
    columns = ("site", "measure", ("value", "float"), ("median_of_trial", "float"))
    return {"site_beside_median": _table(content, _beside_median, *columns)}


def _table(
    content: ReportContent,
    rows: Callable[[TrialDataset, ReportContent], Rows],
    *columns: str | tuple[str, str],
) -> pd.DataFrame:
    """One table over all trials that are known so far; its types are there without rows, too."""
    kinds: Mapping[str, str] = {
        "trial": "object",
        **{one if isinstance(one, str) else one[0]: "object" if isinstance(one, str) else one[1]
           for one in columns},
    }  # fmt: skip
    found = [
        {"trial": trial, **row}
        for trial, status in sorted(content.statuses.items())
        for row in rows(status, content)
    ]
    for row in found:
        if row.keys() != kinds.keys():
            raise ValueError(f"a row has the columns {sorted(row)}, and its table {sorted(kinds)}")
    frame = pd.DataFrame.from_records(found, columns=list(kinds))
    return frame.astype({name: "int64" if kind == "int" else kind for name, kind in kinds.items()})


def _look_first(status: TrialDataset, content: ReportContent) -> Rows:
    for place, one in enumerate(rule.look_first(status), 1):
        yield {
            "place": place,
            "site": one.person.site,
            "subject": one.person.subject,
            "signs": len(one.signs),
            "why": "; ".join(one.signs.values()),
        }


def _liver(status: TrialDataset, content: ReportContent) -> Rows:
    for one in so_far.liver_points(status)[0]:
        yield {
            "site": one.site,
            "subject": one.subject,
            "transaminase": one.transaminase,
            "bilirubin": one.bilirubin,
            "in_hys_range": one.in_hys_range,
        }


def _event_rates(status: TrialDataset, content: ReportContent) -> Rows:
    """A row for all persons (`arm` ""), and one for each arm where the audience may know it."""
    if not covers(content.filters, (Kind.ADVERSE_EVENT,)):
        return
    people = followed(status)
    arms = sorted({one.arm for one in people if one.arm}) if content.policy.arm else []
    for one in so_far.event_rates(status, people):
        named = {"system_organ_class": one.system_organ_class, "preferred_term": one.term}
        yield {
            **named,
            "arm": "",
            "persons": one.persons,
            "of_persons": len(people),
            "serious": one.serious,
            "unknown_seriousness": one.unknown,
        }
        for arm in arms:
            size = sum(each.arm == arm for each in people)
            yield {
                **named,
                "arm": arm,
                "persons": one.by_arm.get(arm, 0),
                "of_persons": size,
                "serious": math.nan,  # counted over all arms alone
                "unknown_seriousness": math.nan,
            }


def _shifts(status: TrialDataset, content: ReportContent) -> Rows:
    for test, row in so_far.shifts(status).iterrows():
        for step, persons in row.items():
            yield {"test": str(test), "baseline_to_worst": str(step), "persons": int(persons)}


def _outliers(status: TrialDataset, content: ReportContent) -> Rows:
    for one in (*so_far.qtc_outliers(status), *so_far.pressure_outliers(status)):
        yield {
            "site": one.site,
            "subject": one.subject,
            "test": one.test,
            "value": one.value,
            "unit": one.unit,
            "baseline": one.baseline,
            "collected": one.collected if full_date(one.collected) else "",
            "why": one.why,
        }


def _enrolment(status: TrialDataset, content: ReportContent) -> Rows:
    for day, enrolled in so_far.enrolment(followed(status), content.last_day):
        yield {"day": day.isoformat(), "enrolled": enrolled}


def _indicators(status: TrialDataset, content: ReportContent) -> Rows:
    people = followed(status)
    for indicator in so_far.indicators_of(content.filters):
        for one in so_far.site_rates(status, people, content.last_day, indicator):
            yield {
                "indicator": indicator,
                "site": one.site,
                "events": one.count,
                "years": one.years,
                "rate": one.rate,
                "z": one.z,
            }


def _beside_median(status: TrialDataset, content: ReportContent) -> Rows:
    """The sites that the reader has and asked for; of others there is the median alone."""
    measures = so_far.site_measures(status, content.last_day, content.filters)
    medians, asked = content.medians.get(status.trial, {}), content.filters.sites
    for site in measures["People followed"]:
        if not asked or site in asked:
            for name, values in measures.items():
                yield {
                    "site": site,
                    "measure": name,
                    "value": values.get(site),
                    "median_of_trial": medians.get(name),
                }
