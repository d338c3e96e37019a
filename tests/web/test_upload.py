from __future__ import annotations

import numpy as np
import pytest

from softcam.web.limits import Limits
from softcam.web.refusals import Refusal
from softcam.web.upload import Pending, file_field
from tests.web.conftest import LIMITS, client_of, form, png

CRLF = b"\r\n"


def part(name: bytes, data: bytes, head: bytes = b"") -> bytes:
    disposition = b'Content-Disposition: form-data; name="' + name + b'"'
    return b"--b" + CRLF + disposition + head + CRLF + CRLF + data + CRLF


END = b"--b--" + CRLF


def test_the_field_is_given_byte_for_byte_whatever_it_holds():
    data = bytes(range(256)) * 300 + b"\r\n--bb\r\n--" + b"\r\n"
    body = part(b"other", b"1") + part(b"file", data, b'; filename="x.png"') + END
    assert file_field(body, b"b") == data
    assert file_field(bytearray(body), b"b") == data


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_form"),
        (b"nonsense", "bad_form"),
        (part(b"file", b"abc"), "bad_form"),
        (part(b"file", b"abc")[:-8], "bad_form"),
        (END, "no_file"),
        (part(b"other", b"abc") + END, "no_file"),
        (part(b"file", b"a") + part(b"file", b"b") + END, "no_file"),
        (part(b"x", b"a") * 9 + part(b"file", b"b") + END, "bad_form"),
        (b"--b\r\nno header\r\n\r\nabc\r\n" + END, "bad_form"),
        (b"--b\r\n" + b"A: b\r\n" * 500 + b"\r\nabc\r\n" + END, "bad_form"),
        (b"--b\r\nA: " + b"b" * 100_000 + b"\r\n\r\nabc\r\n" + END, "bad_form"),
    ],
)
def test_a_damaged_form_or_one_without_the_field_is_refused(body, code):
    with pytest.raises(Refusal) as raised:
        file_field(body, b"b")
    assert (raised.value.status, raised.value.code) == (422, code)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 415),
        ("", 415),
        ("multipart/form-data", 422),
        ("multipart/form-data; boundary=", 422),
        ("multipart/form-data; boundary=" + "x" * 3000, 422),
        ("text/plain; boundary=b", 415),
    ],
)
def test_other_bodies_are_refused(client, kind, status):
    body = part(b"file", png(np.zeros((4, 4), np.uint8))) + END
    answer = client.post("/v1/predict", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["reason"].endswith(".")


def test_a_body_that_is_announced_or_comes_too_large_is_refused():
    with client_of(body=100_000) as own:
        large = own.post("/v1/predict", files=form(bytes(400_000)))
        assert (large.status_code, large.json()["code"]) == (413, "too_large")
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        pieces = iter([part(b"file", bytes(50_000))] * 9)
        streamed = own.post("/v1/predict", content=pieces, headers=kind)
        assert (streamed.status_code, streamed.json()["code"]) == (413, "too_large")


def test_requests_and_bytes_in_work_are_bounded_and_given_back():
    pending = Pending(Limits(queue=2, pending=1000))
    with pending.request() as first, pending.request():
        with pytest.raises(Refusal) as raised, pending.request():
            pass
        assert raised.value.status == 503
        first.take(900)
        with pytest.raises(Refusal) as raised:
            first.take(200)
        assert (raised.value.status, raised.value.headers["Retry-After"]) == (503, "1")
        assert pending.bytes == 900
    assert (pending.requests, pending.bytes) == (0, 0)


def test_nothing_is_held_after_requests_of_every_kind():
    with client_of() as own:
        for data in (png(np.zeros((9, 9), np.uint8)), b"", b"no image", bytes(5 << 20)):
            own.post("/v1/predict", files=form(data))
        told = own.get("/metrics").text
    assert "softcam_pending_requests 0.0" in told
    assert "softcam_pending_bytes 0.0" in told


def test_no_upload_touches_the_disk(monkeypatch):
    import tempfile

    def never(*given, **named):
        raise AssertionError("a temporary file was made")

    with client_of() as own:
        monkeypatch.setattr(tempfile, "SpooledTemporaryFile", never)
        monkeypatch.setattr(tempfile, "NamedTemporaryFile", never)
        monkeypatch.setattr(tempfile, "mkstemp", never)
        large = np.random.default_rng(0).integers(0, 255, (1000, 1500), np.uint8)
        assert own.post("/v1/predict", files=form(png(large))).status_code == 200
    assert LIMITS.body > large.nbytes > 1 << 20  # more than forms usually keep in memory
