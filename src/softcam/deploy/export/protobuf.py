"""What an ONNX file holds, read off its bytes before any runtime sees it.

An ONNX file is a Protocol Buffers message: fields of a number and a value, some of them messages
in turn. Only the fields named here are entered; the rest is stepped over.

Source: the encoding is that of Protocol Buffers; the field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_DEPTH = 32
"""Deepest nesting of graphs in graphs; ours have none."""

# For each kind of message: field number to the kind of message that stands there.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor
_METADATA = 14  # of a model


class ScanError(ValueError):
    """The bytes are no Protocol Buffers message."""


@dataclass(frozen=True)
class Contents:
    """What an ONNX file says of itself.

    Attributes:
        metadata: Its `metadata_props`.
        external: Whether a tensor's values lie in another file.
        has_graph: Whether there is a graph at all.
    """

    metadata: dict[str, str]
    external: bool
    has_graph: bool


def scan(data: bytes) -> Contents:
    """Read the description of an ONNX file and look for values in other files.

    Args:
        data: The whole file.

    Returns:
        What was found.

    Raises:
        ScanError: If the bytes end too early or are no such file.
    """
    view = memoryview(data)
    metadata: dict[str, str] = {}
    external = has_graph = False
    for number, value in _fields(view):
        if number == _METADATA and isinstance(value, memoryview):
            entry = {key: text for key, text in _fields(value) if isinstance(text, memoryview)}
            key, text = (_text(entry.get(field, memoryview(b""))) for field in (1, 2))
            metadata[key] = text
        kind = _INSIDE["model"].get(number)
        if kind is not None and isinstance(value, memoryview):
            has_graph |= kind == "graph"
            external |= _points_outside(value, kind, 0)
    return Contents(metadata, external, has_graph)


def _points_outside(view: memoryview, kind: str, depth: int) -> bool:
    if depth > _DEPTH:
        raise ScanError("graphs are nested too deeply")
    if kind == "tensor":
        return any(
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
            for number, value in _fields(view)
        )
    inside = _INSIDE[kind]
    return any(
        _points_outside(value, inside[number], depth + 1)
        for number, value in _fields(view)
        if number in inside and isinstance(value, memoryview)
    )


def _text(view: memoryview) -> str:
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError as error:
        raise ScanError("a text is not UTF-8") from error


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Step through a message: field numbers with whole numbers or bytes."""
    place, end = 0, len(view)
    while place < end:
        tag, place = _varint(view, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, place = _varint(view, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(view, place)
        else:
            length = {1: 8, 5: 4}.get(wire, -1)
        if length < 0 or place + length > end or number == 0:
            raise ScanError("the bytes end within a field, or are no such file")
        yield number, view[place : place + length]
        place += length


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; gives it and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(view):
            raise ScanError("the bytes end within a number")
        byte = view[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ScanError("a number has too many digits")
