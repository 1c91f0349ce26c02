"""A hostile file costs its own verdict and nothing else; the order and the rest stand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reporting_pipeline.media import sandbox
from reporting_pipeline.media.sandbox import Limits, MediaFile, MediaWorkers, WorkerStartError
from reporting_pipeline.media.worker import LENGTHS, frame_head
from reporting_pipeline_tests.media.here import verify_file
from reporting_pipeline_tests.media.made_files import (
    bomb_png,
    declared,
    encoded,
    pdf,
    pdf_of_nested_forms,
    pdf_with_picture,
    scene,
)
from reporting_pipeline_tests.waiting import PATIENCE, wait_until

PHOTO = declared(encoded(scene(), "JPEG"), "photo.jpg")
SHEET = declared(pdf(pages=2), "sheet.pdf")
HOSTILE = declared(pdf_of_nested_forms(), "hostile.pdf")
SMALL = Limits(memory_bytes=256 << 20)


def process_ids(pool: MediaWorkers) -> list[int]:
    """The workers that run now; each starts with the first file that needs it."""
    return [process.pid for slot in pool._all if (process := slot.process) is not None]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(workers=2, limits=SMALL, max_side=200) as pool:
        yield pool


def test_verdicts_come_in_order_and_agree_with_the_pure_function(workers: MediaWorkers) -> None:
    files = [
        PHOTO,
        MediaFile(None, "gone.png", "0" * 64, 1),
        SHEET,
        declared(PHOTO.content[:3000] if PHOTO.content else b"", "cut.jpg"),
        declared(b"<html></html>", "web.pdf"),
        declared(bomb_png(12_000, 12_000), "bomb.png"),
        declared(b"<svg/>", "logo.svg"),
        declared(b"fine", "note.txt"),
        SHEET._replace(sha256="0" * 64),
    ] * 3
    assert list(workers.verify(files)) == [verify_file(*file) for file in files]


def test_an_inspection_carries_the_thumbnail_and_the_pages(workers: MediaWorkers) -> None:
    inspection = workers.inspect(*SHEET)
    assert inspection.verdict.status == "ok"
    assert inspection.thumbnail is not None
    assert inspection.thumbnail.pages == 2
    assert inspection.thumbnail.jpeg.startswith(b"\xff\xd8")
    assert workers.inspect(*PHOTO._replace(size=1)).thumbnail is None


def test_what_has_no_preview_is_ok_and_says_why(workers: MediaWorkers) -> None:
    inspection = workers.inspect(*declared(pdf_with_picture(11_000), "scan.pdf"))
    assert (inspection.verdict.status, inspection.thumbnail) == ("ok", None)
    assert inspection.verdict.reason.startswith("No preview")


def test_a_pdf_that_eats_memory_is_corrupt_and_the_rest_goes_on(workers: MediaWorkers) -> None:
    inspections = list(workers.inspect_each([PHOTO, HOSTILE, SHEET, PHOTO, SHEET]))
    assert [each.verdict.status for each in inspections] == ["ok", "corrupt", "ok", "ok", "ok"]
    assert "more than 256 MB of memory" in inspections[1].verdict.reason
    assert [each.thumbnail is None for each in inspections] == [False, True, False, False, False]


def test_an_image_within_the_pixel_limit_but_beyond_the_memory_is_corrupt() -> None:
    with MediaWorkers(workers=1, limits=Limits(memory_bytes=32 << 20)) as pool:
        verdict, after = pool.verify([declared(bomb_png(8000, 8000), "large.png"), PHOTO])
    assert verdict.status == "corrupt"
    assert "more than 32 MB of memory" in verdict.reason
    assert after.status == "ok"


def test_a_file_that_eats_computing_time_is_corrupt() -> None:
    unlimited = Limits(memory_bytes=1 << 40, cpu_seconds=1, wall_seconds=600)
    with MediaWorkers(workers=1, limits=unlimited) as pool:
        verdict, after = pool.verify([HOSTILE, PHOTO])
    assert verdict.status == "corrupt"
    assert "more than 1 seconds of computing" in verdict.reason
    assert after.status == "ok"


def test_the_time_of_earlier_files_is_not_held_against_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker goes on long after the limit of one file, where each file takes a small part of it."""
    monkeypatch.setattr(sandbox, "FILES_PER_WORKER", 1_000_000)  # a quick machine needs thousands
    with MediaWorkers(workers=1, limits=Limits(cpu_seconds=1, wall_seconds=600)) as pool:
        pool.inspect(*PHOTO)
        first = process_ids(pool)
        while cpu_seconds(first[0]) < 3:
            assert {verdict.status for verdict in pool.verify([PHOTO] * 10)} == {"ok"}
            assert process_ids(pool) == first


def test_a_file_that_never_ends_is_corrupt() -> None:
    with MediaWorkers(workers=1, limits=Limits(wall_seconds=0.5)) as pool:
        with pytest.MonkeyPatch.context() as stuck:
            stuck.setattr(sandbox, "_BOOTSTRAP", scripted_worker("import time; time.sleep(100_000)"))
            (verdict,) = pool.verify([SHEET])
        pool._all[0]._limits = Limits()  # the next one is given the time that it needs
        (after,) = pool.verify([PHOTO])
    assert verdict.status == "corrupt"
    assert "more than 0.5 seconds" in verdict.reason
    assert after.status == "ok"


def test_a_worker_killed_in_the_middle_is_replaced_and_its_file_tried_again() -> None:
    with MediaWorkers(workers=1) as pool, ThreadPoolExecutor(1) as threads:
        pool.inspect(*PHOTO)
        (victim,) = process_ids(pool)
        os.kill(victim, signal.SIGSTOP)
        future = threads.submit(pool.inspect, *SHEET)
        time.sleep(0.3)  # the file is on its way into the stopped worker
        assert not future.done()
        os.kill(victim, signal.SIGKILL)
        verdict = future.result(PATIENCE).verdict
        assert (verdict.status, verdict.reason) == ("ok", "")
        assert process_ids(pool) != [victim]
        assert pool.inspect(*PHOTO).verdict.status == "ok"


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    used = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def scripted_worker(script: str) -> str:
    """A bootstrap of a worker that says it is ready, takes a task, and then runs `script`."""
    return (
        "import json, os, sys; sys.path[:] = json.loads(sys.argv[1]); "
        "from reporting_pipeline.media.worker import frame_head; "
        f"os.write(0, frame_head({{'ready': True}}, 0)); os.read(0, 1); {script}"
    )


@pytest.mark.parametrize(
    ("death", "attempts", "words"),
    [
        ("SIGKILL", 2, "was killed twice"),
        ("SIGSEGV", 2, "crashes the program"),
        ("SIGTRAP", 2, "1024 MB of memory"),
        ("SIGXCPU", 1, "20 seconds of computing"),
    ],
)
def test_a_file_whose_worker_dies_again_is_corrupt_and_is_not_tried_a_third_time(
    death: str, attempts: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = tmp_path / "tally"
    script = f"open({str(tally)!r}, 'a').write('x'); import signal; os.kill(os.getpid(), signal.{death})"
    with MediaWorkers(workers=1) as pool:
        monkeypatch.setattr(sandbox, "_BOOTSTRAP", scripted_worker(script))
        verdict = pool.inspect(*SHEET).verdict
        monkeypatch.undo()
        assert verdict.status == "corrupt"
        assert words in verdict.reason
        assert len(tally.read_text()) == attempts
        assert pool.inspect(*SHEET).verdict.status == "ok"


def test_an_idle_worker_that_was_killed_is_replaced_without_a_word() -> None:
    with MediaWorkers(workers=1) as pool:
        pool.inspect(*PHOTO)
        (before,) = process_ids(pool)
        os.kill(before, signal.SIGKILL)
        wait_until("the worker is gone", lambda: gone(before))
        assert pool.inspect(*PHOTO).verdict.status == "ok"
        assert process_ids(pool) != [before]


def test_workers_killed_again_and_again_lose_no_file() -> None:
    files = [declared(bomb_png(3000, 3000), "scan.png"), SHEET] * 40
    statuses = []
    with MediaWorkers(workers=2, max_side=100) as pool:
        for verdict in pool.verify(files):
            statuses.append(verdict.status)
            if len(statuses) % 10 == 0:  # further apart than files are in flight: none meets it twice
                for pid in process_ids(pool)[:1]:
                    os.kill(pid, signal.SIGKILL)
    assert statuses == ["ok"] * 80


def test_a_worker_killed_while_it_starts_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "started-before"
    path = repr(str(mark))
    once = f"import os\nif not os.path.exists({path}): open({path}, 'w'); os.kill(os.getpid(), 9)\n"
    monkeypatch.setattr(sandbox, "_BOOTSTRAP", once + sandbox._BOOTSTRAP)
    with MediaWorkers(workers=1) as pool:
        assert pool.inspect(*SHEET).verdict.status == "ok"
    assert mark.exists()


def test_one_process_serves_many_files_and_is_worn_out_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "FILES_PER_WORKER", 10)
    seen = set()
    with MediaWorkers(workers=1) as pool:
        for _ in range(25):
            assert pool.inspect(*SHEET).verdict.status == "ok"
            seen.update(process_ids(pool))
    assert len(seen) == 3


def test_what_needs_no_decoder_starts_no_process(workers: MediaWorkers) -> None:
    files = [declared(b"fine", "a.txt"), SHEET._replace(size=3), MediaFile(None, "a.pdf", "", 0)]
    assert [verdict.status for verdict in workers.verify(files)] == ["ok", "corrupt", "missing"]
    assert process_ids(workers) == []


def test_only_a_few_files_are_held_at_a_time(workers: MediaWorkers) -> None:
    pulled = 0

    def files() -> Iterator[MediaFile]:
        nonlocal pulled
        for _ in range(40):
            pulled += 1
            yield SHEET

    for taken, _ in enumerate(workers.verify(files())):
        assert pulled - taken <= 4
    assert pulled == 40


def test_an_error_of_the_caller_s_files_reaches_the_caller(workers: MediaWorkers) -> None:
    def files() -> Iterator[MediaFile]:
        yield SHEET
        raise ConnectionError("the store is away")

    with pytest.raises(ConnectionError, match="the store is away"):
        list(workers.verify(files()))
    assert workers.inspect(*SHEET).verdict.status == "ok"


def test_many_threads_may_share_the_workers(workers: MediaWorkers) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda file: workers.inspect(*file), [SHEET, PHOTO] * 30))
    assert [each.thumbnail.pages for each in results if each.thumbnail] == [2, 1] * 30


def test_a_worker_is_confined_and_knows_no_secret(
    workers: MediaWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDGRID_API_KEY", "a secret")
    workers.inspect(*SHEET)
    (pid,) = process_ids(workers)
    process = Path(f"/proc/{pid}")
    assert process.joinpath("environ").read_bytes() == b"LC_ALL=C.UTF-8\0"
    limits = {
        line[:26].strip(): line[26:].split()[0]
        for line in process.joinpath("limits").read_text().splitlines()
    }
    assert (limits["Max core file size"], limits["Max file size"]) == ("0", "0")
    assert int(limits["Max address space"]) < 1 << 30
    names = [os.readlink(each) for each in process.joinpath("fd").iterdir()]
    # A set of rules can only ever close more.
    harmless = ("socket:", "/dev/null", "anon_inode:[landlock-ruleset]")
    assert all(name.startswith(harmless) for name in names), names


def test_a_worker_ends_with_its_parent() -> None:
    program = (
        "import os, sys\n"
        "from reporting_pipeline.media.sandbox import MediaWorkers\n"
        "from reporting_pipeline_tests.media.made_files import declared, pdf\n"
        "pool = MediaWorkers(workers=1)\n"
        "pool.inspect(*declared(pdf(), 'a.pdf'))\n"
        "sys.stdout.write(str(pool._all[0].process.pid)); sys.stdout.flush()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=PATIENCE, check=False
    )
    assert answer.returncode == -signal.SIGKILL
    pid = int(answer.stdout)
    wait_until("it is gone", lambda: gone(pid))


def test_no_worker_outlives_the_block() -> None:
    with MediaWorkers(workers=2) as pool:
        list(pool.verify([SHEET] * 8))
        started = process_ids(pool)
    assert started
    assert all(gone(pid) for pid in started)
    assert process_ids(pool) == []


def test_a_worker_imports_only_what_it_needs() -> None:
    program = (
        "import sys\n"
        "import reporting_pipeline.media.worker, reporting_pipeline.media.decoding\n"
        "import reporting_pipeline.media.thumbnails, reporting_pipeline.media.verdicts\n"
        "heavy = {'pandas', 'numpy', 'dagster', 'pydantic', 'boto3', 'pymongo'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=PATIENCE, check=False
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("program", ["/nonexistent/python", "/bin/false"])
def test_a_machine_that_cannot_start_workers_condemns_no_file(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MediaWorkers(workers=1) as pool:
        monkeypatch.setattr(sys, "executable", program)
        with pytest.raises(WorkerStartError, match="no media worker"):
            pool.inspect(*SHEET)
        monkeypatch.undo()
        assert pool.inspect(*SHEET).verdict.status == "ok"


@pytest.mark.parametrize(
    "answer",
    [
        LENGTHS.pack(2, 1 << 40) + b"{}",
        LENGTHS.pack(1 << 31, 0),
        LENGTHS.pack(2, 0) + b"[]",
        LENGTHS.pack(4, 0) + b"\xff\xfe\x00x",
        frame_head({"status": "root", "reason": ""}, 0),
        frame_head({"status": "ok"}, 0),
        LENGTHS.pack(60_000, 0) + b"[" * 60_000,
        frame_head({"status": "ok", "reason": "", "width": float("inf"), "height": 1, "pages": 1}, 1) + b"j",
        frame_head({"status": "ok", "reason": "", "width": "x", "height": 1, "pages": 1}, 1) + b"j",
        b"",
    ],
)
def test_an_answer_that_is_none_of_ours_is_the_death_of_the_worker(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_BOOTSTRAP", scripted_worker(f"os.write(0, {answer!r})"))
    with MediaWorkers(workers=1, limits=Limits(wall_seconds=300)) as pool:
        verdict = pool.inspect(*SHEET).verdict
    assert verdict.status == "corrupt"
    assert "cannot be opened safely" in verdict.reason
