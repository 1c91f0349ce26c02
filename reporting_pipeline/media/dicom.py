"""DICOM images: the picture of the first frame, and nothing of what the file says about a person.

Reads Part 10 files with `pydicom`, in the worker process only. No text of the file leaves this module: names,
dates and numbers of patients stand in its tags. Nor does a picture that may have them burnt in: where
the file says so, or says nothing and is of a modality that commonly does.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

from PIL import Image

#: Modalities whose pictures are the bare output of a scanner, where they come from it.
_BARE = frozenset({"CR", "CT", "DX", "MG", "MR", "NM", "PT", "RG", "XA"})
#: Secondary Capture Image Storage and its multi-frame siblings (PS3.4, B.5): a picture of a screen, of a film
#: or of a sheet, whatever modality it names.
_CAPTURED = "1.2.840.10008.5.1.4.1.1.7"
_PREAMBLE = 128
_MAGIC = b"DICM"


class UnreadableDicom(ValueError):
    """The file is DICOM as far as can be told, but holds no picture that can be shown; says why."""


@dataclass(frozen=True)
class DicomFrame:
    """The first frame as 8-bit grey or RGB; `private`: it may name a person and must not be shown."""

    image: Image.Image
    frames: int
    private: bool


def is_dicom(content: bytes) -> bool:
    return content[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC


def first_picture(content: bytes, most_pixels: int) -> DicomFrame:
    """Raises UnreadableDicom, and MemoryError for the worker to report."""
    import pydicom  # 0.3 seconds that only these files cost

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(content))
            return _picture(dataset, most_pixels)
    except (MemoryError, UnreadableDicom):
        raise
    except Exception as error:  # what the library raises depends on the transfer syntax
        raise UnreadableDicom(
            f"its pixel data are damaged, or packed in a way that is not read here ({type(error).__name__})"
        ) from error


def _picture(dataset: Any, most_pixels: int) -> DicomFrame:
    from pydicom.pixels.processing import apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    rows, columns = int(dataset.get("Rows", 0) or 0), int(dataset.get("Columns", 0) or 0)
    if "PixelData" not in dataset or rows < 1 or columns < 1:
        raise UnreadableDicom("it holds no picture")
    if rows * columns > most_pixels:
        raise UnreadableDicom(f"its picture has too many pixels ({columns} x {rows})")
    pixels = pixel_array(dataset, index=0)
    samples = int(dataset.get("SamplesPerPixel", 1) or 1)
    grey = samples == 1
    if grey:
        pixels = apply_voi_lut(pixels, dataset)
    image = Image.fromarray(_eight_bits(pixels), "L" if grey else "RGB")
    if grey and str(dataset.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        image = image.point(lambda value: 255 - value)
    return DicomFrame(image, int(dataset.get("NumberOfFrames", 1) or 1), _may_name_a_person(dataset))


def _eight_bits(pixels: Any) -> Any:
    import numpy as np

    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    values = pixels.astype("float32")
    low, high = float(values.min()), float(values.max())
    span = high - low
    scaled = (values - low) * (255 / span) if span > 0 else values * 0 + 128
    return np.ascontiguousarray(scaled.round().astype("uint8"))


def _may_name_a_person(dataset: Any) -> bool:
    """Whether words that name a person may be burnt in, or the person can be known by how they look."""
    if _word(dataset, "RecognizableVisualFeatures") == "YES":
        return True
    said = _word(dataset, "BurnedInAnnotation")
    if said in ("YES", "NO"):
        return said == "YES"
    return _word(dataset, "Modality") not in _BARE or _is_captured(dataset)


def _is_captured(dataset: Any) -> bool:
    """Whether it was made from another picture, with what stood on that: by its class, how it was converted
    (PS3.3, C.8.6.1), or its type, whose second word is SECONDARY then (C.7.6.1.1.2), as of a dose report."""
    header = getattr(dataset, "file_meta", None) or {}
    kind = str(dataset.get("SOPClassUID") or header.get("MediaStorageSOPClassUID") or "").strip()
    made_of = {str(one).strip().upper() for one in _values(dataset, "ImageType")}
    captured = kind == _CAPTURED or kind.startswith(f"{_CAPTURED}.") or "ConversionType" in dataset
    return captured or bool(made_of & {"SECONDARY", "SCREEN SAVE"})


def _values(dataset: Any, name: str) -> list[Any]:
    """What a tag holds, as a list: one value comes alone."""
    found = dataset.get(name)
    return [] if found is None else [found] if isinstance(found, str) else list(found)


def _word(dataset: Any, name: str) -> str:
    return str(dataset.get(name, "") or "").strip().upper()
