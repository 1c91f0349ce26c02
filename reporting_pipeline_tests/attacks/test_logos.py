"""A file that calls itself a logo: nothing but its pixels is kept, and what is no picture is refused."""

from __future__ import annotations

import io
import struct
import zlib
from base64 import b64encode

import pytest
import requests
from PIL import Image

from reporting_pipeline_tests.attacks.world import World

HOSTILE = b"<html><script>alert(1)</script></html>%PDF-1.7 PK\x03\x04"


def png(width: int = 40, height: int = 20, colour: str = "navy") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(made, "PNG")
    return made.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG with another chunk before its end."""
    whole = png()
    return whole[:-12] + chunk(kind, content) + whole[-12:]


def announced(width: int, height: int, bits: int = 8, rows: bytes = b"") -> bytes:
    """A small PNG that says how large it is."""
    head = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


def jpeg(**more: object) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (40, 20), "navy").save(made, "JPEG", **more)
    return made.getvalue()


def located() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = HOSTILE.decode("latin-1")
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 0.0)}
    return jpeg(exif=exif, comment=HOSTILE)


def set_logo(world: World, image: bytes, organisation: str = "default") -> requests.Response:
    admin = world.person("admin", "all")
    return admin.put(f"/api/organisations/{organisation}/logo", json={"image": b64encode(image).decode()})


def kept(world: World) -> bytes:
    logo = (world.database.organisations.find_one({"_id": "default"}) or {})["logo"]
    return world.objects.get(logo["key"])


@pytest.mark.parametrize(
    "image",
    [
        png() + HOSTILE,
        with_chunk(b"tEXt", b"Comment\0" + HOSTILE),
        with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + HOSTILE),
        with_chunk(b"eXIf", b"II*\0" + HOSTILE),
        jpeg() + HOSTILE,
        jpeg(comment=HOSTILE),
        located(),
    ],
    ids=["after a PNG", "tEXt", "iTXt", "eXIf", "after a JPEG", "comment", "EXIF with a place"],
)
def test_of_a_picture_its_pixels_alone_are_kept(world: World, image: bytes) -> None:
    assert set_logo(world, image).status_code == 200
    stored = kept(world)
    assert stored.startswith(b"\xff\xd8\xff")
    for part in (b"<html", b"script", b"%PDF", b"PK\x03\x04", b"Exif", b"http"):
        assert part not in stored
    with Image.open(io.BytesIO(stored)) as opened:
        assert (dict(opened.getexif()), opened.size) == ({}, (40, 20))


@pytest.mark.parametrize(
    "image",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"GIF89a" + png(),
        b"\x89PNG\r\n\x1a\n" + HOSTILE,
        b"\xff\xd8\xff" + b"\0" * 5_000,
        announced(50_000, 50_000),
        announced(2**31 - 1, 1),
        announced(30_000, 30_000, rows=b"\0" * 30_000_000),
        announced(0, 10),
        png(4_000, 20),
        png(40, 20)[:60],
        b"",
        b"%!PS-Adobe-3.0 EPSF\n(/etc/passwd) run",
    ],
    ids=[
        *("SVG", "GIF", "head alone", "JPEG of nothing", "huge", "wide", "bomb", "no width", "line"),
        *("cut", "empty", "PostScript"),
    ],
)
def test_what_is_no_picture_for_a_page_is_refused_with_what_to_do(world: World, image: bytes) -> None:
    before = world.database.organisations.find_one({"_id": "default"})
    answer = set_logo(world, image)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "#/image"
    assert world.database.organisations.find_one({"_id": "default"}) == before


def test_the_logo_of_another_organisation_or_without_the_right_is_not_set(world: World) -> None:
    assert set_logo(world, png(), "../default").status_code in (404, 422)
    image = {"image": b64encode(png()).decode()}
    for role in ("subscriber", "analyst", "manager", "service"):
        asked = world.person(role, "all").put("/api/organisations/default/logo", json=image)
        assert asked.status_code == 403, role
    assert world.api.as_("usr_admin_other").put(
        "/api/organisations/default/logo", json=image
    ).status_code in (403, 404)


@pytest.mark.parametrize(
    "colour",
    [
        "#00527f;}body{display:none",
        "#00527f\n",
        "red",
        "url(//x)",
        "#00527f/*",
        "#FFFFFF",
        "＃00527f",
        "#0०527f",
    ],
)
def test_a_colour_is_six_digits_and_no_style(world: World, colour: str) -> None:
    answer = world.person("admin", "all").put(
        "/api/organisations/default",
        json={"name": "default", "allowed_domains": ["default.example"], "report_colour": colour},
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/report_colour")
