from __future__ import annotations

import pytest

from softcam.web.refusals import Refusal
from softcam.web.security import Guard
from softcam.web.settings import Settings
from tests.web.conftest import LIMITS, client_of, form

TOKEN = "abcdefghijklmnopqrstuvwxyz"


def status_of(check, *given) -> int:
    try:
        check(*given)
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
        ("127.0.0.1:8000:9", 421),
    ],
)
def test_on_loopback_only_loopback_names_are_answered(host, status):
    assert status_of(Guard(Settings()).check_host, [host]) == status


def test_two_hosts_or_none_are_refused():
    guard = Guard(Settings())
    assert status_of(guard.check_host, []) == 421
    assert status_of(guard.check_host, ["localhost", "evil.example"]) == 421


def test_names_can_be_added_and_with_a_token_any_name_of_this_machine_will_do():
    named = Guard(Settings(allowed_hosts=("Reader.example",)))
    assert status_of(named.check_host, ["reader.example:8000"]) == 200
    open_ = Guard(Settings(host="0.0.0.0", token=TOKEN))
    assert status_of(open_.check_host, ["any.example"]) == 200
    both = Guard(Settings(host="0.0.0.0", token=TOKEN, allowed_hosts=("a.example",)))
    assert status_of(both.check_host, ["any.example"]) == 421
    assert status_of(both.check_host, ["0.0.0.0"]) == 421


@pytest.mark.parametrize(
    ("origins", "site", "status"),
    [
        ([], "", 200),
        (["http://localhost:8000"], "same-origin", 200),
        (["http://localhost:9000"], "same-site", 403),
        (["null"], "", 403),
        (["http://evil.example"], "cross-site", 403),
        (["http://localhost:8000", "http://evil.example"], "", 403),
        ([], "cross-site", 403),
        ([], "none", 200),
    ],
)
def test_pages_of_other_sites_are_turned_away(origins, site, status):
    check = Guard(Settings()).check_origin
    assert status_of(check, "localhost:8000", origins, site) == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([f"Bearer {TOKEN}"], 200),
        ([f"bearer  {TOKEN}"], 200),
        ([], 401),
        ([""], 401),
        ([f"Basic {TOKEN}"], 401),
        ([TOKEN], 401),
        ([f"Bearer {TOKEN[:-1]}"], 401),
        ([f"Bearer {TOKEN}x"], 401),
        (["Bearer \udcff\u00e9"], 401),
        ([f"Bearer {TOKEN}", f"Bearer {TOKEN}"], 401),
    ],
)
def test_only_the_token_opens(given, status):
    assert status_of(Guard(Settings(token=TOKEN)).check_token, given) == status


@pytest.fixture(scope="module")
def locked():
    with client_of(settings=Settings(token=TOKEN, limits=LIMITS)) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/predict"),
        ("GET", "/v1/models"),
        ("GET", "/v1/folder"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
        ("GET", "//v1/models"),
        ("GET", "/static/../v1/models"),
    ],
)
def test_everything_but_the_page_and_the_probes_needs_the_token(locked, method, path):
    answer = locked.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "token_needed"


def test_the_token_is_taken_from_the_header_alone(locked):
    assert locked.get(f"/v1/models?token={TOKEN}").status_code == 401
    assert locked.get("/v1/models", headers={"Cookie": f"token={TOKEN}"}).status_code == 401
    good = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.get("/v1/models", headers=good).status_code == 200
    assert locked.post("/v1/predict", headers=good, files=form(b"x")).status_code == 415


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/openapi.json"])
def test_the_page_and_the_probes_need_no_token(locked, path):
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/v1/models", "/nothing", "/static/x", "/metrics"])
def test_every_answer_binds_the_browser(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert headers["cache-control"] == ("no-cache" if path == "/" else "no-store")
    assert "server" not in headers


def test_refusals_of_the_gate_bind_the_browser_too(client):
    answer = client.get("/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["cache-control"]) == (421, "no-store")
    assert client.post("/v1/predict", headers={"Origin": "null"}).status_code == 403
