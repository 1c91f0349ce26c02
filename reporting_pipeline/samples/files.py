"""Documents with generated files, attached to the documents of a week: the trials themselves have none.

Each is a document of its own (kind ecg, imaging, lab_sheet or note; `synthetic` is true) about a real
subject of that week. A week's files follow from its trial and its Monday alone, whatever has arrived of
it, so a later load completes the same week. A few have deliberate faults, told in their titles, so
that the verification of files has something to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Literal
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.samples.pictures import ecg_strip, lab_sheet, scan
from reporting_pipeline.samples.seeds import seeded
from reporting_pipeline.stores.documents import Arrival, document_id, documents_by_id, file_key
from reporting_pipeline.stores.mongo import Database, Record

CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "pdf": "application/pdf", "txt": "text/plain"}

#: Of a week's files: how many in a hundred are of each kind.
SHARES = {Kind.ECG: 35, Kind.IMAGING: 25, Kind.LAB_SHEET: 20, Kind.NOTE: 20}
#: The documents that a file of each kind is attached to.
ATTACHED_TO = {
    Kind.ECG: (Kind.VISIT, Kind.VITALS),
    Kind.IMAGING: (Kind.VISIT,),
    Kind.LAB_SHEET: (Kind.LAB,),
    Kind.NOTE: (Kind.ADVERSE_EVENT, Kind.DISPOSITION, Kind.VISIT),
}
NOTES = (
    "Subject reports feeling well. Patch changed in the morning, application site without irritation.",
    "Caregiver called: mild redness at the application site since yesterday, no treatment needed.",
    "Visit moved by two days because of transport; the window of the protocol is kept.",
    "Subject was restless during the ECG; tracing repeated after ten minutes of rest.",
    "Concomitant medication unchanged. Diary returned complete, adherence 96 %.",
    "Blood drawn from the left arm on the second attempt. Sample sent to the central laboratory at noon.",
    "Query 14 answered: onset of the event corrected from the caregiver's diary.",
)


@dataclass(frozen=True)
class FileDocument:
    """A document on its way with a file that is made only when it is needed."""

    record: Record
    make: Callable[[], bytes] = field(repr=False)
    stored: bool = True  # False: the record names a file that is not there


@dataclass(frozen=True)
class WeekOfFiles:
    """What the files of one week of one trial are made from."""

    trial: str
    monday: date
    records: Sequence[Record]  # the week's documents without files, all that will ever arrive
    zone: ZoneInfo
    region: Literal["head", "chest"]
    notes: Callable[[Random, str], str]  # a note's text, by site

    def documents(self, count: int, faults: bool) -> Iterator[FileDocument]:
        """About `count` documents with files, and three with faults when asked for."""
        chance = seeded("files", self.trial, self.monday)
        for kind, share in SHARES.items():
            among = self._of(ATTACHED_TO[kind])
            for base in chance.sample(among, min(len(among), round(count * share / 100))):
                yield self._document(kind, base)
        if faults:
            yield from self._faulty(chance)

    def _of(self, kinds: Iterable[Kind]) -> list[Record]:
        wanted = {kind.value for kind in kinds}
        return sorted(
            (record for record in self.records if record["kind"] in wanted), key=lambda record: record["_id"]
        )

    def _document(self, kind: Kind, base: Record) -> FileDocument:
        seed = ("file", kind, base["_id"])  # each making starts from it afresh
        caption = f"{base['subject']}   {base['title'][:40]}   {base['collected'][:10]}"
        if kind is Kind.ECG:
            record = self._record(kind, base, "ECG strip", "ecg.png")
            return FileDocument(record, lambda: ecg_strip(seeded(*seed), _plain(caption)))
        if kind is Kind.IMAGING:
            turned = seeded(*seed, "turned").random() < 0.3
            record = self._record(kind, base, f"{self.region.title()} CT, axial slice", "scan.jpg")
            caption = _plain(base["subject"])
            return FileDocument(record, lambda: scan(seeded(*seed), self.region, caption, turned))
        if kind is Kind.LAB_SHEET:
            return FileDocument(
                self._record(kind, base, "Laboratory report", "laboratory.pdf"), lambda: lab_sheet(base)
            )
        text = self.notes(seeded(*seed), base["site"])
        record = self._record(kind, base, "Site note", "note.txt", note=text)
        return FileDocument(record, lambda: f"{caption}\n\n{text}\n".encode())

    def _faulty(self, chance: Random) -> Iterator[FileDocument]:
        visits, labs = self._of([Kind.VISIT]), self._of([Kind.LAB])
        if len(visits) < 2 or not labs:
            return
        lost, cut = chance.sample(visits, 2)
        page = b"<!DOCTYPE html><html><title>Sign in</title><p>Your session has expired.</p></html>\n"
        yield FileDocument(
            self._record(Kind.ECG, lost, "Deliberate fault: the file is missing", "ecg.png", "fault"),
            lambda: ecg_strip(seeded("lost", lost["_id"]), "lost"),
            stored=False,
        )
        yield FileDocument(
            self._record(Kind.IMAGING, cut, "Deliberate fault: truncated JPEG", "scan.jpg", "fault"),
            lambda: _cut(scan(seeded("cut", cut["_id"]), self.region, _plain(cut["subject"]))),
        )
        base = chance.choice(labs)
        yield FileDocument(
            self._record(
                Kind.LAB_SHEET, base, "Deliberate fault: a web page named .pdf", "laboratory.pdf", "fault"
            ),
            lambda: page + base["_id"].encode(),
        )

    def _record(
        self, kind: Kind, base: Record, title: str, name: str, role: str = "file", note: str | None = None
    ) -> Record:
        identifier = document_id(base["trial"], kind, role, base["_id"])
        day = base["collected"][:10]
        return {
            "_id": identifier,
            "organisation": base["organisation"],
            "trial": base["trial"],
            "site": base["site"],
            "subject": base["subject"],
            "kind": kind.value,
            "title": f"{title}, {base['title']}",
            "received_at": self._after(base["received_at"], identifier),
            "collected": base["collected"],
            "note": note,
            "synthetic": True,
            "data": {},
            "file": {
                "name": f"{base['subject']}_{day}_{name}",
                "content_type": CONTENT_TYPES[name.rpartition(".")[2]],
            },
        }

    def _after(self, received_at: datetime, identifier: str) -> datetime:
        """Some minutes after the document it belongs to, and on the same day."""
        later = received_at + timedelta(minutes=seeded("minutes", identifier).randint(5, 90))
        same_day = later.astimezone(self.zone).date() == received_at.astimezone(self.zone).date()
        return later if same_day else received_at


def standard_note(chance: Random, site: str) -> str:
    """A note in English, whatever the site."""
    return chance.choice(NOTES)


def pending(database: Database, documents: Iterable[FileDocument], now: datetime) -> Iterator[Arrival]:
    """The arrivals by `now` among `documents` that do not stand yet; only their files are made."""
    arrived = {one.record["_id"]: one for one in documents if one.record["received_at"] <= now}
    for standing in documents_by_id(database, arrived):
        del arrived[standing]
    for one in arrived.values():
        yield _arrival(one)


def by_week(records: Iterable[Record], zone: ZoneInfo) -> dict[date, list[Record]]:
    """`records` by the Monday of the local week in which they arrive."""
    weeks: dict[date, list[Record]] = {}
    for record in records:
        day = record["received_at"].astimezone(zone).date()
        weeks.setdefault(day - timedelta(days=day.weekday()), []).append(record)
    return weeks


def local_instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """`minutes` after midnight on the local `day`, in UTC."""
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    return local.astimezone(UTC)


def _arrival(one: FileDocument) -> Arrival:
    content = one.make()
    if one.stored:
        return Arrival(one.record, content)
    digest = sha256(content).hexdigest()
    file = one.record["file"]
    key = file_key(one.record["trial"], digest, file["name"])
    return Arrival({**one.record, "file": {**file, "key": key, "size": len(content), "sha256": digest}})


def _cut(picture: bytes) -> bytes:
    return picture[: len(picture) * 2 // 3]


def _plain(text: str) -> str:
    """What the pictures' built-in font can draw."""
    return text.encode("ascii", "replace").decode("ascii")
