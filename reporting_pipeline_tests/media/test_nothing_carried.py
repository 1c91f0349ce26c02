"""What a file says beside its picture reaches no thumbnail, verdict or report: each kind that is opened.

Cameras, scanners and viewers write names, places and words into files. Pictures are drawn anew; what stands
in the picture itself is another matter (`media.dicom`).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.media.file_types import DECODED_TYPES
from reporting_pipeline.media.sandbox import Inspection, MediaWorkers
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline_tests.media.made_files import declared, encoded, pdf, scene
from reporting_pipeline_tests.media.test_told_truly import dicom
from reporting_pipeline_tests.reports.conftest import FILE, make_dataset, make_request
from reporting_pipeline_tests.reports.hidden import every_text

WORD = "QUOKKADOE"
XMP = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    f'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="{WORD}"/></rdf:RDF></x:xmpmeta>'
).encode()


def exif() -> Image.Exif:
    """A description, an artist, a place, and a small picture of its own with a comment."""
    made = Image.Exif()
    made[0x010E], made[0x013B], made[0x9286] = WORD, WORD, b"ASCII\0\0\0" + WORD.encode()
    made.get_ifd(0x8825)[0x001B] = WORD.encode()  # GPSProcessingMethod
    return made


def profile() -> bytes:
    """A colour profile whose description is a name."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made.replace(b"s\0R\0G\0B", b"Q\0U\0O\0K") + WORD.encode()


def jpg() -> bytes:
    small = encoded(scene(40, 30), "JPEG", comment=WORD.encode())
    made = encoded(scene(), "JPEG", exif=exif(), comment=WORD.encode(), icc_profile=profile(), xmp=XMP)
    iptc = (
        b"Photoshop 3.0\x008BIM\x04\x04\0\0"
        + struct.pack("!I", 5 + len(WORD))
        + b"\x1c\x02\x78\0\x09"
        + WORD.encode()
    )
    segment = b"\xff\xed" + struct.pack("!H", len(iptc) + 2) + iptc
    return made[:2] + segment + made[2:] + small  # what follows the picture: another one


def png() -> bytes:
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", WORD)
    told.add_text("Comment", WORD, zip=True)
    told.add_itxt("XML:com.adobe.xmp", XMP.decode())
    told.add(b"prVt", WORD.encode())
    return encoded(scene(), "PNG", pnginfo=told, exif=exif(), icc_profile=profile()) + WORD.encode()


def gif() -> bytes:
    return encoded(scene().quantize(8), "GIF", comment=WORD.encode()) + WORD.encode()


def tiff() -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (270, 271, 305, 315, 316, 33432, 65000):  # the last is a private one
        tags[tag] = WORD
        tags.tagtype[tag] = 2
    tags[700], tags.tagtype[700] = XMP, 1
    tags[33723], tags.tagtype[33723] = WORD.encode(), 7
    return encoded(scene(), "TIFF", tiffinfo=tags)


def bmp() -> bytes:
    return encoded(scene(), "BMP") + WORD.encode()


def webp() -> bytes:
    return encoded(scene(), "WEBP", exif=exif(), xmp=XMP, icc_profile=profile())


def of_pdf() -> bytes:
    with pikepdf.open(io.BytesIO(pdf())) as file:
        file.docinfo["/Title"] = file.docinfo["/Author"] = WORD
        with file.open_metadata() as told:
            told["dc:title"] = WORD
        file.attachments[f"{WORD}.txt"] = WORD.encode()
        file.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=f"app.alert('{WORD}')")
        file.pages[0].obj.PieceInfo = pikepdf.Dictionary(App=pikepdf.Dictionary(Private=WORD))
        note = pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Text, Contents=WORD, F=2, Rect=[0, 0, 1, 1]
        )
        file.pages[0].obj.Annots = pikepdf.Array([file.make_indirect(note)])
        buffer = io.BytesIO()
        file.save(buffer)
    return buffer.getvalue()


def dcm() -> bytes:
    request = Dataset()
    request.RequestedProcedureDescription = WORD
    made: dict[str, Any] = {
        "PatientName": WORD,
        "PatientID": WORD,
        "PatientAddress": WORD,
        "OtherPatientIDs": WORD,
        "ReferringPhysicianName": WORD,
        "InstitutionName": WORD,
        "ImageComments": WORD,
        "StudyDescription": WORD,
        "RequestAttributesSequence": Sequence([request]),
    }
    return dicom(private=WORD, **made)


FILES: dict[str, Callable[[], bytes]] = {
    "jpg": jpg,
    "png": png,
    "gif": gif,
    "tiff": tiff,
    "bmp": bmp,
    "webp": webp,
    "pdf": of_pdf,
    "dcm": dcm,
}


def inspected(kind: str) -> Inspection:
    with MediaWorkers(workers=1) as workers:
        item = declared(FILES[kind](), f"a.{kind}")
        return workers.inspect(item.content, item.name, item.sha256, item.size)


def test_each_kind_that_is_opened_is_looked_at_here() -> None:
    assert set(FILES) == DECODED_TYPES


@pytest.mark.parametrize("kind", sorted(FILES))
def test_nothing_but_the_picture_is_carried_on(kind: str) -> None:
    assert kind == "webp" or WORD in every_text(FILES[kind]()), "it is in the file"
    found = inspected(kind)
    assert found.verdict.status == "ok", found.verdict
    assert found.thumbnail is not None
    assert WORD not in found.verdict.reason
    assert WORD not in every_text(found.thumbnail.jpeg)
    assert Image.open(io.BytesIO(found.thumbnail.jpeg)).info.keys() <= {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
    }


@pytest.mark.parametrize("name", ["a.svg", "a.heic", "a.txt", "a.csv", "a.json", "a.docx"])
def test_what_is_not_drawn_is_told_of_by_nothing_of_its_content(name: str) -> None:
    content = {"a.docx": b"PK\x03\x04", "a.json": b"{"}.get(name, b"<") + WORD.encode()
    with MediaWorkers(workers=1) as workers:
        item = declared(content, name)
        found = workers.inspect(item.content, item.name, item.sha256, item.size)
    assert found.thumbnail is None
    assert WORD not in found.verdict.reason


def test_no_report_of_a_file_holds_what_it_said(tmp_path: Path) -> None:
    for kind in sorted(FILES):
        picture = inspected(kind).thumbnail
        assert picture is not None
        renderer = ReportRenderer({f"media/{FILE}.jpg": picture.jpeg}.__getitem__, tmp_path / kind)
        for form in (Format.PDF, Format.HTML):
            made = renderer.render(make_request(make_dataset(), format=form))
            assert WORD not in every_text(made.content), (kind, form)
