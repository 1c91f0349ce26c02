"""What a verdict says of a file is what was done with it: opened, not opened, or found bad."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from reporting_pipeline.media.decoding import Undecodable, check_image
from reporting_pipeline.media.sandbox import MediaWorkers
from reporting_pipeline.media.thumbnails import thumbnail
from reporting_pipeline.media.verdicts import check_content
from reporting_pipeline_tests.media.made_files import declared

NAME = "DOE^JANE"


def dicom(*, modality: str = "CT", frames: int = 1, private: str = "", **tags: Any) -> bytes:
    """A Part 10 file of a grey ramp with a patient's name in its tags; `private` in one of its maker's."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.PatientName, made.PatientID, made.PatientBirthDate = NAME, "4711", "19500101"
    made.Modality, made.Rows, made.Columns = modality, 32, 64
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    if frames > 1:
        made.NumberOfFrames = frames
    made.PixelData = np.tile(np.arange(64, dtype="uint16") * 60, (32 * frames, 1)).tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    if private:
        made.private_block(0x0011, "A MAKER", create=True).add_new(0x01, "LO", private)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"garbage" * 40, "scan.dcm"),
        (dicom()[:400], "scan.dcm"),
        (b"\0\0\0\x18ftypheic", "photo.HEIC"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "logo.svg"),
        (b"PK\x03\x04", "table.xlsx"),
        (b"anything", "README"),
    ],
)
def test_a_file_that_was_not_opened_is_not_called_intact(content: bytes, name: str) -> None:
    with MediaWorkers(workers=1) as workers:
        (verdict,) = workers.verify([declared(content, name)])
    assert verdict.status == "not_inspected"
    assert verdict.reason.startswith("Not inspected: ")


def test_a_dicom_picture_is_shown_without_what_names_the_person() -> None:
    content = dicom(frames=3)
    with MediaWorkers(workers=1) as workers:
        item = declared(content, "scan.dcm")
        found = workers.inspect(item.content, item.name, item.sha256, item.size)
    assert found.verdict.status == "ok"
    assert found.thumbnail is not None
    assert (found.thumbnail.width, found.thumbnail.height, found.thumbnail.pages) == (64, 32, 3)
    assert NAME.encode() not in found.thumbnail.jpeg
    assert NAME not in found.verdict.reason
    shown = Image.open(io.BytesIO(found.thumbnail.jpeg)).convert("L")
    dark, bright = shown.getpixel((1, 16)), shown.getpixel((62, 16))
    assert isinstance(dark, int)
    assert isinstance(bright, int)
    assert dark < 30 < 220 < bright


@pytest.mark.parametrize(
    "tags",
    [
        {"BurnedInAnnotation": "YES"},
        {"modality": "US"},
        {"modality": "OT"},
        {"modality": ""},
        {"SOPClassUID": SecondaryCaptureImageStorage},
        {"SOPClassUID": MultiFrameTrueColorSecondaryCaptureImageStorage},
        {"ConversionType": "WSD"},
        {"ConversionType": "DF", "modality": "DX"},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "SCREEN SAVE"]},
        {"RecognizableVisualFeatures": "YES", "BurnedInAnnotation": "NO"},
    ],
    ids=str,
)
def test_a_dicom_picture_that_may_name_the_person_is_not_shown(tags: dict[str, Any]) -> None:
    content = dicom(**tags)
    assert check_content(content, "dcm").reason == "No preview: the picture may show who it is of."
    with pytest.raises(Undecodable, match="may show who it is of"):
        thumbnail(content, "dcm")
    assert thumbnail(dicom(modality="US", BurnedInAnnotation="NO"), "dcm").width == 64
    assert thumbnail(dicom(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"]), "dcm").width == 64
    assert thumbnail(dicom(ImageType=["DERIVED", "SECONDARY"], BurnedInAnnotation="NO"), "dcm").width == 64


def test_a_tiff_of_several_pages_says_how_many_it_has() -> None:
    pages = [Image.new("L", (40, 30), shade) for shade in (0, 100, 200)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    assert thumbnail(buffer.getvalue(), "tiff").pages == 3


def test_a_reason_says_the_same_in_every_process() -> None:
    """Pillow's own words hold the address of a stream."""
    with pytest.raises(Undecodable) as raised:
        check_image(b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "png")
    assert "0x" not in str(raised.value)
    assert "BytesIO" not in str(raised.value)
