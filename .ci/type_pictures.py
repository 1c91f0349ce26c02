"""One page of each report type as a picture for the console and docs/report-types.md.

    python .ci/type_pictures.py [--out reporting_pipeline/console/static/types] [--docs docs/images]

Made by the renderer from the sample trial (`reporting_pipeline.samples.cdisc_pilot`) with its subjects, so
that what is shown is what is sent. Run it after a change of how reports look; the same data gives the same
pictures.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from PIL import Image

from reporting_pipeline.console.pictures import page_as_png
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.samples import cdisc_pilot
from reporting_pipeline.samples.cdisc_pilot import BUSIEST_WEEK, TRIAL, Shift
from reporting_pipeline.usecases.report_types import report_types
from reporting_pipeline.usecases.try_report import Arrivals, make_report

ROOT = Path(__file__).resolve().parents[1]
WEEKS = 718  # to 2026, a week whose days fall as those of the trial
ZONE = ZoneInfo("UTC")
WIDTH, HEIGHT = 320, 453  # pixels
#: The page that says most of a type; the first is a cover.
PAGES = {"my_participation": 1, "trial_activity": 2, "safety_summary": 2, "site_report": 2}
#: The page of a type that docs/report-types.md shows large, and its picture there.
LARGE = {
    "medical_review": (2, "report-medical-review.png"),
    "trial_conduct": (3, "report-trial-conduct.png"),
    "site_report": (2, "report-site.png"),
}
LARGE_WIDTH = 794  # pixels
SITES = {"site_report": ["710"]}
AUDIENCES = {"site_report": Audience.SITE, "my_participation": Audience.PARTICIPANT}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "reporting_pipeline/console/static/types")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs/images")
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    shift = Shift(WEEKS, ZONE)
    every = {one["_id"]: one for one in cdisc_pilot.records("default", shift, subjects=True)}
    start = BUSIEST_WEEK + timedelta(weeks=WEEKS)
    period = Period.from_key(Cadence.WEEKLY, start.isoformat(), "UTC")
    title = str(cdisc_pilot.trial_record("default", WEEKS)["title"])
    for name, kind in report_types().items():
        first = period.previous().start_at if not kind.needs_status else None
        records = {
            identifier: one
            for identifier, one in every.items()
            if one["received_at"] < period.end_at and (first is None or one["received_at"] >= first)
        }
        arrivals = Arrivals(period, {TRIAL: records}, Counter({period: len(records)}), kind.needs_status)
        parameters = {"table": "adverse_events"} if name == "data_listing" else {}
        report = make_report(
            arrivals,
            {TRIAL: title},
            Format.PDF,
            Understanding(),
            name,
            parameters,
            AUDIENCES.get(name, Audience.MONITOR),
            subject=_busiest(records) if kind.one_person else "",
            sites=SITES.get(name),
        )
        small = _page(report.content, PAGES.get(name, 2), WIDTH)
        _save(small.crop((0, 0, WIDTH, min(HEIGHT, small.height))), out / f"{name}.png", colours=48)
        if name in LARGE:
            number, picture = LARGE[name]
            _save(_page(report.content, number, LARGE_WIDTH), given.docs / picture, colours=128)
        print(f"{name}: {(out / f'{name}.png').stat().st_size:,} bytes")


def _page(pdf: bytes, number: int, width: int) -> Image.Image:
    """Page `number` (from 1), `width` pixels wide."""
    page = Image.open(BytesIO(page_as_png(pdf, number))).convert("RGB")
    return page.resize((width, round(page.height * width / page.width)), Image.Resampling.LANCZOS)


def _save(picture: Image.Image, target: Path, colours: int) -> None:
    reduced = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours)
    reduced.save(target, "PNG", optimize=True)


def _busiest(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The subject of whom most is known."""
    return Counter(str(one["subject"]) for one in records.values() if one.get("subject")).most_common(1)[0][0]


if __name__ == "__main__":
    main()
