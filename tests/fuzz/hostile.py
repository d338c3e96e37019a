"""Makers of hostile requests: the same random numbers make the same request."""

from __future__ import annotations

import numpy as np

from tests.fuzz.damage import BOMBS, LYING, RANDOM, bomb
from tests.fuzz.hostile_cases import CASE_KINDS
from tests.fuzz.messages import END, FORM, Asked, Maker, part, request
from tests.fuzz.whole import Whole

_BOMBS = [name for name, (suffix, _) in BOMBS.items() if suffix != ".nii.gz"]
_QUERIES = (
    "",
    "?maps=true&regions=both&image=shown",
    "?image=full",
    "?format=npz",
    "?frame=2",
    "?frame=1&threshold=0.5",
    "?regions=contrast&contrast=true",
    "?model=blocks",
    "?model=%00",
    "?frame=999999999999999999999",
    "?threshold=1e999",
    "?class=%ff%fe&format=png",
    "?" + "a=b&" * 500,
    "?model=" + "x" * 5000,
    "?frame=1&frame=2&frame[]=3",
    "?format=../../etc/passwd",
)
_PATHS = (
    "/../../../etc/passwd",
    "/static/../../../../etc/passwd",
    "/static/..%2f..%2f..%2fetc%2fpasswd",
    "/static/%2e%2e/%2e%2e/app.py",
    "/static//etc/passwd",
    "/static/..\\..\\windows\\win.ini",
    "/v1/folder/../../etc/passwd/predict",
    "/v1/folder/%2e%2e%2f%2e%2e%2fetc%2fpasswd/predict",
    "/v1/folder/%00/predict",
    "/v1/folder/" + "a" * 5000 + "/predict",
    "//v1/predict",
    "/v1//predict",
    "/v1/predict/",
    "/v1/predict%00.png",
    "/%ff%fe%00",
    "/v1/folder/C:%5c/predict",
    "http://evil.example/v1/predict",
    "/;/v1/models",
    "/.git/config",
    "/openapi.json/..",
    "*",
)


def damaged_file(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    whole = images[str(rng.choice(list(images)))]
    damages = [RANDOM[str(rng.choice(list(RANDOM)))], LYING[whole.format]]
    damage = damages[int(rng.random() < 0.5)]
    query = _QUERIES[int(rng.integers(6))].encode()
    body = part(damage(whole.data, rng)) + END
    return Asked("damaged file", (request(body, target=b"/v1/predict" + query),))


def bombs(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    return Asked("bomb", (request(part(bomb(str(rng.choice(_BOMBS)))) + END),))


def damaged_form(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    body = part(images["png grey"].data) + END
    choice = int(rng.integers(9))
    if choice < 4:
        body = RANDOM[str(rng.choice(list(RANDOM)))](body, rng)
        return Asked("damaged form", (request(body),))
    odd = (
        part(b"a" * 100) * int(rng.integers(2, 3000)) + END,
        part(b"x", more=b"; " + b"a=b; " * 3000) + END,
        END[:-4] + b"\r\n" + b"X-A: b\r\n" * 2000 + b"\r\nx\r\n" + END,
        part(b"x", name=b"../../etc/passwd", more=b'; filename="../../../tmp/owned"') + END,
        b"\r\n" * 30_000,
    )[choice - 4]
    return Asked("damaged form", (request(odd),))


def wrong_type(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    kinds = (
        b"application/json",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        FORM.replace(b"form-data", b"mixed"),
        b"multipart/form-data",
        b'multipart/form-data; boundary="' + b"x" * 4000 + b'"',
        b"multipart/form-data; boundary=" + bytes(rng.integers(128, 256, 30).tolist()),
        b"\xff\xfe",
        b"",
    )
    encoded = b"Content-Encoding: gzip\r\n" if rng.random() < 0.3 else b""
    body = part(images["png grey"].data) + END
    kind = kinds[int(rng.integers(len(kinds)))]
    return Asked("wrong type", (request(body, kind=kind, headers=encoded),))


def path_trick(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    target = (str(rng.choice(_PATHS)) + str(rng.choice(_QUERIES))).encode("latin-1")
    method = rng.choice([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"TRACE", b"X"])
    return Asked("path trick", (request(b"", target=target, method=bytes(method)),))


def odd_query(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    query = str(rng.choice(_QUERIES))
    noise = "".join(f"%{value:02x}" for value in rng.integers(0, 256, 40))
    target = f"/v1/predict{query}{'&' if query else '?'}{noise}={noise}".encode()
    return Asked("odd query", (request(part(images["png grey"].data) + END, target=target),))


def huge_head(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    size = int(rng.choice([10_000, 40_000, 200_000, 1_000_000]))
    lines = b"X-A: " + b"a" * size + b"\r\n" if rng.random() < 0.5 else b"A: b\r\n" * (size // 6)
    return Asked("huge head", (request(b"", headers=lines, method=b"GET", target=b"/"),))


def foreign(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    names = (b"evil.example", b"localhost.evil.example", b"", b"127.0.0.1:99999999", b"a b", b"[::")
    headers = (
        b"Origin: http://evil.example\r\n",
        b"Origin: null\r\n",
        b"Sec-Fetch-Site: cross-site\r\n",
        b"Host: evil.example\r\n",
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil.example\r\n",
        b"Authorization: Bearer " + b"\xff" * 50 + b"\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    )
    host = bytes(rng.choice(names)) if rng.random() < 0.5 else b"localhost"
    extra = headers[int(rng.integers(len(headers)))]
    return Asked("foreign", (request(part(b"x") + END, host=host, headers=extra),))


def no_http(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    choices = (
        rng.bytes(int(rng.integers(1, 3000))),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.bytes(400),
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        RANDOM["bytes flipped"](request(part(b"x") + END), rng),
        request(b"", method=b"GET", target=b"/healthz") * 50,
        b"\r\n" * 10_000,
    )
    data = choices[int(rng.integers(len(choices)))]
    # Bytes that happen to begin a request wait for its end until they are cut off.
    return Asked("no http", (data + b"\r\n\r\n",))


def slow(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    whole = request(part(images["png grey"].data) + END, length=200_000)
    cut = int(rng.integers(1, len(whole)))
    pieces = tuple(whole[i : i + 40] for i in range(0, min(cut, 400), 40))
    return Asked("slow", pieces, pause=0.3)


def vanishing(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    whole = request(part(images["png grey"].data) + END)
    cut = int(rng.integers(1, len(whole) + 1))
    return Asked("vanishing", (whole[:cut],), leave=True)


def too_large(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    if rng.random() < 0.5:
        return Asked("too large", (request(b"", length=1 << 62),))
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    head = request(b"", headers=b"Transfer-Encoding: chunked\r\n")
    head = head.replace(b"Content-Length: 0\r\n", b"")
    return Asked("too large", (head + chunk * 12 + b"0\r\n\r\n",))


def good(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    names = [name for name, whole in images.items() if whole.format in ("PNG", "JPEG", "DICOM")]
    whole = images[str(rng.choice(names))]
    frame = b"" if whole.frame is None else b"&frame=%d" % whole.frame
    body = part(b"1", b"other", b"") + part(whole.data) + END
    target = b"/v1/predict?maps=true" + frame
    return Asked("good", (request(body, target=target),), statuses=(200,))


KINDS: dict[Maker, int] = {
    damaged_file: 30,
    bombs: 1,
    damaged_form: 12,
    wrong_type: 6,
    path_trick: 14,
    odd_query: 6,
    huge_head: 5,
    foreign: 6,
    no_http: 7,
    slow: 2,
    vanishing: 4,
    too_large: 2,
    good: 5,
    **CASE_KINDS,
}
"""Makers of requests, and how often each is chosen."""


def make(seed: int, number: int, images: dict[str, Whole]) -> Asked:
    """Make a request; the same seed and number give the same."""
    maker, rng = maker_of(seed, number)
    return maker(rng, images)


def maker_of(seed: int, number: int) -> tuple[Maker, np.random.Generator]:
    """Choose who makes a request, and give the random numbers for it."""
    rng = np.random.default_rng([seed, number])
    kinds, weights = list(KINDS), np.array(list(KINDS.values()), float)
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))], rng
