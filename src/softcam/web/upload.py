"""The body of a request: bounded in size and time, and never on the disk.

A request may be refused before its body is read; what the client still sends is then thrown away by
the connection (see `connection`), so that it comes to reading the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from softcam.web.body import read_body
from softcam.web.limits import Limits
from softcam.web.refusals import Refusal, busy

_SLACK = 64 << 10  # what a form adds around the file
_PARTS = 8


class Pending:
    """How many requests are in work, and how many bytes of bodies are in memory.

    All of it happens on the event loop's thread.

    Args:
        limits: How many of each there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def request(self) -> Iterator[Held]:
        """Count a request in.

        Raises:
            Refusal: 503 where there are too many.
        """
        if self.requests >= self._limits.queue:
            raise busy("Too many requests are being answered; try again in a moment.")
        held = Held(self, self._limits.pending)
        self.requests += 1
        try:
            yield held
        finally:
            self.requests -= 1
            self.bytes -= held.bytes


class Held:
    """The bytes that a request holds."""

    def __init__(self, pending: Pending, most: int) -> None:
        self._pending = pending
        self._most = most
        self.bytes = 0

    def take(self, count: int) -> None:
        """Count bytes in.

        Raises:
            Refusal: 503 where all requests together hold too many.
        """
        if self._pending.bytes + count > self._most:
            raise busy("Too many uploads are in memory; try again in a moment.")
        self._pending.bytes += count
        self.bytes += count


async def read_file(request: Request, limits: Limits, held: Held) -> bytes:
    """Read the multipart field `file` of a request.

    Args:
        request: The request.
        limits: Bytes and seconds.
        held: Where the bytes are counted.

    Returns:
        The file's bytes.

    Raises:
        Refusal: 408, 413, 415 or 422: the body is slow, large, no form, or has no file.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data":
        raise Refusal(
            415,
            "not_a_form",
            "The body must be multipart/form-data with the image in the field file.",
        )
    if not boundary:
        raise Refusal(422, "bad_form", "The multipart form has no boundary; send a whole form.")
    too_large = Refusal(
        413,
        "too_large",
        f"The body is larger than the {limits.body} bytes allowed; send a smaller file.",
    )
    body = await read_body(request, limits.body_seconds, limits.body + _SLACK, too_large, held.take)
    return file_field(body, boundary)


def file_field(body: bytes | bytearray, boundary: bytes) -> bytes:
    """Take the field `file` out of a multipart form.

    Args:
        body: The whole form.
        boundary: What its parts are divided by.

    Returns:
        The field's bytes.

    Raises:
        Refusal: 422 if the form is damaged, or has no such field, or several.
    """
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_field,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_headers_finished": form.headers_finished,
                "on_part_data": form.data,
                "on_end": form.end,
            },
            max_size=len(body) + 1,
        )
        parser.write(body)  # type: ignore[arg-type]  # it only slices and searches
        parser.finalize()
    except FormParserError:
        raise Refusal(
            422, "bad_form", "The multipart form is damaged; send a whole form."
        ) from None
    if not form.ended:
        raise Refusal(422, "bad_form", "The multipart form is cut off; send a whole form.")
    if len(form.files) != 1:
        count = len(form.files)
        raise Refusal(422, "no_file", f"The form has {count} fields named file; send one image.")
    return b"".join(form.files[0])


class _Form:
    """Keeps the parts named `file`; of the others nothing."""

    def __init__(self) -> None:
        self.files: list[list[memoryview]] = []
        self.ended = False
        self._parts = 0
        self._field = self._value = b""
        self._disposition = b""
        self._wanted = False

    def begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS:
            raise Refusal(422, "bad_form", f"The form has more than {_PARTS} fields; send one.")
        self._field = self._value = self._disposition = b""
        self._wanted = False

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._wanted = options.get(b"name") == b"file"
        if self._wanted:
            self.files.append([])

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self.files[-1].append(memoryview(data)[start:end])

    def end(self) -> None:
        self.ended = True
