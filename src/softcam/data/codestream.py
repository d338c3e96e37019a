"""Compressed pixels, looked over before a decoder believes them.

Decoders allocate what the compressed data ask for, CharLS never comes back from a stream that was
cut off, and gdcm ends the whole process on some that are damaged. So sizes, markers and tables are
checked here, in the few bytes that hold them.
"""

from __future__ import annotations

import struct
from itertools import pairwise

Size = tuple[int, int, int, int]
"""Rows, columns, components and bits per sample."""

_MAX_TILES = 65_535  # what JPEG 2000 itself allows
_SOI, _EOI, _SOS, _DHT, _JPEG_LS, _LOSSLESS = 0xD8, 0xD9, 0xDA, 0xC4, 0xF7, 0xC3
_RESTARTS = range(0xD0, 0xD8)


def jpeg_size(data: bytes, *, whole: bool = False, lossless: bool = False) -> Size | None:
    """Read a JPEG or JPEG-LS stream's size from its frame header.

    Args:
        data: The stream.
        whole: Whether it has to run to its end marker.
        lossless: Whether it is to be lossless JPEG (ISO 10918-1, process 14), whose tables and
            scan are then checked too.

    Returns:
        Its size, or None if the stream is damaged or cut off.
    """
    data = data.rstrip(b"\0")
    if not data.startswith(bytes((0xFF, _SOI))):
        return None
    if whole and not data.endswith(bytes((0xFF, _EOI))):
        return None
    size: Size | None = None
    tables: set[int] = set()
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        body = data[place + 4 : place + 2 + length]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if length < 2 or len(body) != length - 2:
            return None
        if marker == _SOS:
            if size is None or (lossless and not _is_scan(body, size[2], tables)):
                return None
            return None if lossless and not _is_entropy(data[place + 2 + length : -2]) else size
        if marker == _DHT and lossless:
            found = _huffman_tables(body)
            if found is None:
                return None
            tables |= found
        elif marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in (_DHT, 0xC8, 0xCC)):
            if size is not None or len(body) < 6 or (lossless and marker != _LOSSLESS):
                return None
            precision, rows, columns, components = struct.unpack_from(">BHHB", body)
            size = rows, columns, components, precision
            # Each component has an identifier, its sampling and a table; lossless is never sampled.
            if len(body) != 6 + 3 * components:
                return None
            if lossless and (set(body[7::3]) != {0x11} or not 2 <= precision <= 16):
                return None
        place += 2 + length
    return None


def jpeg2000_size(data: bytes) -> Size | None:
    """Read a JPEG 2000 stream's size from its SIZ marker, or None if it makes no sense."""
    # Some writers leave the JP2 boxes around the codestream.
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(data) < start + 43:
        return None
    size = struct.unpack_from(">8IHB", data, start + 8)
    x1, y1, x0, y0, tile_x, tile_y, tile_x0, tile_y0, components, depth = size
    if min(tile_x, tile_y) < 1 or x1 <= x0 or y1 <= y0 or max(tile_x0 - x0, tile_y0 - y0) > 0:
        return None
    tiles = -(-(x1 - tile_x0) // tile_x) * -(-(y1 - tile_y0) // tile_y)
    return (y1 - y0, x1 - x0, components, (depth & 127) + 1) if tiles <= _MAX_TILES else None


def is_rle(data: bytes, plane: int, segments: int) -> bool:
    """Whether RLE pixels expand to what the frame needs, and not to more.

    Args:
        data: The frame (PS3.5 annex G).
        plane: Pixels of the frame.
        segments: Byte planes of the frame, which have a segment each.
    """
    header = struct.unpack_from("<16I", data) if len(data) >= 64 else (0,) * 16
    bounds = [*header[1 : segments + 1], len(data)]
    limit = plane + 128  # one run of padding is harmless
    return (
        header[0] == segments
        and bounds[0] >= 64
        and bounds == sorted(bounds)
        and all(_rle_length(data[a:b], limit + 1) <= limit for a, b in pairwise(bounds))
    )


def _is_scan(body: bytes, components: int, tables: set[int]) -> bool:
    """Whether a lossless scan holds all components and names tables and a predictor there are."""
    if len(body) != 4 + 2 * components or body[0] != components:
        return False
    named = {selector >> 4 for selector in body[2 : 2 * components + 1 : 2]}
    predictor, end, shift = body[-3:]
    return named <= tables and 1 <= predictor <= 7 and end == 0 and shift < 16


def _is_entropy(data: bytes) -> bool:
    """Whether coded data hold no marker but restarts."""
    place = data.find(b"\xff")
    while 0 <= place < len(data) - 1:
        if data[place + 1] != 0 and data[place + 1] not in _RESTARTS:
            return False
        place = data.find(b"\xff", place + 2)
    return place < 0


def _huffman_tables(body: bytes) -> set[int] | None:
    """The numbers of the DC tables in a DHT segment, or None if a table is no Huffman code."""
    found = set()
    while body:
        counts = body[1:17]
        values = body[17 : 17 + sum(counts)]
        room = 1.0 - sum(count / (2 << i) for i, count in enumerate(counts))
        if len(counts) < 16 or len(values) < sum(counts) or not values or room < 0:
            return None
        if body[0] > 3 or max(values) > 16 or len(set(values)) < len(values):
            return None
        found.add(body[0])
        body = body[17 + len(values) :]
    return found


def _rle_length(segment: bytes, limit: int) -> int:
    """Length of an RLE segment when expanded, counted no further than to a limit."""
    place = total = 0
    while place < len(segment) and total < limit:
        head = segment[place]
        if head < 128:
            place += head + 2
            total += head + 1
        else:
            place += 1 if head == 128 else 2
            total += 0 if head == 128 else 257 - head
    return total
