"""Requests for reports without any server: datasets made in memory, thumbnails from a dictionary."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

from PIL import Image

from benchmarks import synthetic
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.documents import FileVerdict
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.stores.documents import validated

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
WIDTH, HEIGHT = 640, 480


class Trials:
    """Datasets of synthetic trials, made when asked for, with the thumbnails of their pictures."""

    def __init__(self) -> None:
        self.period = Period.last_closed(Cadence.WEEKLY, NOW)
        self.thumbnails: dict[str, bytes] = {}

    def dataset(self, number: int) -> TrialDataset:
        records, verdicts, media = [], {}, {}
        for arrival in synthetic.arrivals(number, self.period, synthetic.PICTURES):
            record = {**validated(arrival.record, arrival.content, NOW), "updated_at": self.period.end_at}
            records.append(record)
            if arrival.content is not None:
                verdicts[record["_id"]] = FileVerdict("ok", "", "jpg")
                digest = record["file"]["sha256"]
                media[digest] = self._thumbnail(digest, arrival.content)
        return TrialDataset(
            trial=synthetic.trial_id(number),
            title="Synthetic trial",
            period=self.period,
            tables=tidy_documents(records, verdicts, self.period),
            version=sha256(str(number).encode()).hexdigest()[:16],
            data_as_of=self.period.end_at,
            media=media,
        )

    def read(self, key: str) -> bytes:
        """What the renderer reads from the object store."""
        return self.thumbnails[key]

    def requests(self, trials: int, filter_sets: int, readers: int) -> Iterator[ReportRequest]:
        """`readers` requests for each of `trials` x `filter_sets` bodies, those of a body together."""
        for trial in range(trials):
            dataset = self.dataset(trial)
            for choice in range(filter_sets):
                for reader in range(readers):
                    number = trial + trials * (choice + synthetic.FILTER_SETS * reader)
                    yield self._request(number, trials, dataset)

    def _request(self, number: int, trials: int, dataset: TrialDataset) -> ReportRequest:
        user = synthetic.user(number)
        return ReportRequest(
            subscription=synthetic.subscription(number, user, NOW, trials),
            owner_name=user["name"],
            organisation_name="Benchmark",
            period=self.period,
            datasets=(dataset,),
            document_id=f"rep_{number:020x}",
            code_version="benchmark",
        )

    def _thumbnail(self, digest: str, content: bytes) -> Thumbnail:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(content)).resize((WIDTH, HEIGHT)).save(buffer, "JPEG", quality=80)
        key = f"media/{digest}.jpg"
        self.thumbnails[key] = buffer.getvalue()
        return Thumbnail(digest, key, WIDTH, HEIGHT)
