"""What reportlab does not write of a PDF file, as bytes: packed objects, fonts, metadata, and the table.

Nothing here knows what a report is. References are object numbers; lengths are bytes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate
from xml.sax.saxutils import escape

import numpy as np
from PIL import ImageCms

from reporting_pipeline.reports.pdf.faces import EmbeddedFont
from reporting_pipeline.reports.pdf.typesetting import actual_text

#: Half the time of zlib's usual 6; a report grows by one per cent.
_DEFLATE_LEVEL = 4
#: Structure is so regular that the fastest level does.
_FAST = 1
#: Bytes. Setting zlib up costs more than a reader's cover and header save: one per cent of a file.
_WORTH_DEFLATING = 2_048
#: Of one object stream: a reader unpacks a whole one to find an element.
_OBJECTS_TOGETHER = 4_000
#: Type, place and generation (or place in the stream) of a cross-reference, in bytes.
_ENTRY = np.dtype([("type", "u1"), ("place", ">u4"), ("index", ">u2")])


class File:
    """Objects one after the other, and where each is. Numbers are reserved first or come of themselves."""

    def __init__(self, start: int = 0, first: int = 1) -> None:
        self.parts: list[bytes] = []
        self.length = start
        self.next = first
        self._places: dict[int, int] = {}
        self._packed: list[tuple[int, int, int]] = []  # first number, how many, in which object stream

    def raw(self, data: bytes) -> None:
        self.parts.append(data)
        self.length += len(data)

    def reserve(self, count: int = 1) -> int:
        """The first of so many numbers, for `put` or `pack`."""
        first = self.next
        self.next += count
        return first

    def put(self, number: int, data: bytes) -> None:
        self._places[number] = self.length
        self.raw(b"%d 0 obj\n%s\nendobj\n" % (number, data))

    def add(self, data: bytes) -> int:
        number = self.reserve()
        self.put(number, data)
        return number

    def pack(self, first: int, objects: Sequence[str]) -> None:
        """Objects of consecutive numbers, together and compressed."""
        for start in range(0, len(objects), _OBJECTS_TOGETHER):
            some = objects[start : start + _OBJECTS_TOGETHER]
            places = [0, *accumulate([len(one) + 1 for one in some])]
            numbers = range(first + start, first + start + len(some))
            index = " ".join([f"{number} {place}" for number, place in zip(numbers, places, strict=False)])
            body = "\n".join(some).encode("ascii")
            data = index.encode("ascii") + b"\n" + body
            entries = f"/Type/ObjStm/N {len(some)}/First {len(index) + 1}"
            self._packed.append((numbers[0], len(some), self.add(stream(entries, data, _FAST))))

    def finish(self, entries: str) -> int:
        """Write the table of what was put and packed, its own object too; its place.

        `entries`: of the trailer. Numbers that nothing was put under do not exist.
        """
        itself, place = self.reserve(), self.length
        self._places[itself] = place
        packed = {first + at: (2, holder, at) for first, many, holder in self._packed for at in range(many)}
        where = {0: (0, 0, 65535), **packed, **{n: (1, at, 0) for n, at in self._places.items()}}
        numbers = np.fromiter(sorted(where), np.int64)
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
        index = " ".join(f"{run[0]} {len(run)}" for run in runs)
        told = f"/Type/XRef/W[1 4 2]/Index[{index}]/Size {self.next}{entries}"
        data = np.array([where[number] for number in numbers.tolist()], _ENTRY).tobytes()
        self.raw(b"%d 0 obj\n%s\nendobj\n" % (itself, stream(told, data, _FAST)))
        return place


def stream(entries: str, content: bytes, level: int = _DEFLATE_LEVEL) -> bytes:
    """A stream object's bytes, compressed where that is worth it."""
    if len(content) < _WORTH_DEFLATING:
        return _framed(entries, content)
    return packed_stream(entries, zlib.compress(content, level))


def packed_stream(entries: str, packed: bytes) -> bytes:
    return _framed(f"{entries}/Filter/FlateDecode", packed)


def _framed(entries: str, content: bytes) -> bytes:
    """A last byte that looks like a line's end would be taken for the one before "endstream"."""
    if content[-1:] in (b"\r", b"\n"):
        content += b" "  # behind the end of what is packed, between operators: nothing
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries.encode("ascii"), len(content), content)


def text_string(text: str) -> str:
    """A PDF text string of any script."""
    return f"<{actual_text(text)}>"


def font_objects(font: EmbeddedFont, first: int) -> list[bytes]:
    """The five objects of a composite font whose numbers start at `first`."""
    name = font.base_name
    return [
        f"<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H "
        f"/DescendantFonts [{first + 1} 0 R] /ToUnicode {first + 4} 0 R >>".encode(),
        f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} "
        f"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
        f"/FontDescriptor {first + 2} 0 R /DW 1000 /W {font.widths} /CIDToGIDMap /Identity >>".encode(),
        f"<< /Type /FontDescriptor /FontName /{name} /Flags 4 /FontBBox {font.bounds} /ItalicAngle 0 "
        f"/Ascent {font.ascent} /Descent {font.descent} /CapHeight 714 /StemV 80 "
        f"/FontFile2 {first + 3} 0 R >>".encode(),
        packed_stream(f"/Length1 {font.font_file_length}", font.font_file),
        packed_stream("", font.to_unicode),
    ]


@lru_cache(maxsize=1)
def colour_profile() -> bytes:
    """sRGB as an ICC profile, without the moment at which it was made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = (2000).to_bytes(2) + (1).to_bytes(2) * 2 + bytes(6)
    profile[84:100] = bytes(16)  # the profile's own digest, over the moment too
    return stream("/N 3", bytes(profile))


_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text))


def metadata(
    title: str, subject: str, author: str, keywords: str, creator: str, producer: str, created: datetime
) -> bytes:
    """The XMP packet of a file that claims PDF/A-2a and PDF/UA-1; says the same as the information."""
    moment = f"{created:%Y-%m-%dT%H:%M:%SZ}"
    packet = _PACKET.format(
        title=_xml(title), subject=_xml(subject), author=_xml(author), keywords=_xml(keywords),
        creator=_xml(creator), producer=_xml(producer), moment=moment,
    )  # fmt: skip
    return _framed("/Type/Metadata/Subtype/XML", packet.encode())


#: The schema of pdfuaid is none that PDF/A knows, so it is described (ISO 19005-2, 6.6.2.3).
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" \
xmlns:pdf="http://ns.adobe.com/pdf/1.3/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" \
xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/" \
xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" \
xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" \
xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>{author}</rdf:li></rdf:Seq></dc:creator>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{subject}</rdf:li></rdf:Alt></dc:description>
<pdf:Keywords>{keywords}</pdf:Keywords><pdf:Producer>{producer}</pdf:Producer>
<xmp:CreatorTool>{creator}</xmp:CreatorTool>
<xmp:CreateDate>{moment}</xmp:CreateDate><xmp:ModifyDate>{moment}</xmp:ModifyDate>
<pdfaid:part>2</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance><pdfuaid:part>1</pdfuaid:part>
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">\
<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>\
<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix><pdfaSchema:schema>PDF/UA</pdfaSchema:schema>\
<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource"><pdfaProperty:category>internal\
</pdfaProperty:category><pdfaProperty:description>Part of PDF/UA</pdfaProperty:description>\
<pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>\
</rdf:li></rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def information(
    title: str, subject: str, author: str, keywords: str, creator: str, producer: str, created: datetime
) -> bytes:
    moment = f"(D:{created:%Y%m%d%H%M%S}Z)"
    entries: Mapping[str, str] = {
        "Title": text_string(title),
        "Subject": text_string(subject),
        "Author": text_string(author),
        "Keywords": text_string(keywords),
        "Creator": text_string(creator),
        "Producer": text_string(producer),
        "CreationDate": moment,
        "ModDate": moment,
    }
    return f"<< {' '.join(f'/{key} {value}' for key, value in entries.items())} >>".encode("ascii")


def content_name(path: str) -> str:
    """A resource name that a picture's bytes give, not the folder it lies in."""
    with open(path, "rb") as file:
        return "i" + sha256(file.read()).hexdigest()[:24]
