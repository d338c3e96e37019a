from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from softcam.web.settings import Settings
from tests.web.conftest import LIMITS, client_of, form, png

CASE = {
    "verdict": "accepted",
    "comment": "As expected.",
    "sha256": "a" * 64,
    "width": 100,
    "height": 60,
    "model": "blocks",
    "called": ["bright"],
    "probabilities": {"plain": 0.25, "bright": 0.75},
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("cases") / "cases.db"
    with client_of(settings=Settings(cases=path, limits=LIMITS)) as made:
        yield made


def test_a_case_is_saved_changed_listed_and_deleted(own):
    saved = own.post("/v1/cases", json=CASE)
    assert saved.status_code == 201
    id_ = saved.json()["id"]
    assert own.get(f"/v1/cases/{id_}").json() == saved.json()
    told = own.put(
        f"/v1/cases/{id_}",
        json={"verdict": "corrected", "correct": ["plain"], "revision": 1, "reader": "AB"},
    ).json()
    assert (told["verdict"], told["revision"], told["reader"]) == ("corrected", 2, "AB")
    listed = own.get("/v1/cases", params={"sha256": "a" * 64}).json()
    assert (listed["total"], listed["cases"][0]["id"]) == (1, id_)
    late = own.put(f"/v1/cases/{id_}", json={"verdict": "accepted", "revision": 1})
    assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")
    assert own.delete(f"/v1/cases/{id_}").status_code == 204
    assert own.get(f"/v1/cases/{id_}").json()["code"] == "no_such_case"
    assert own.delete(f"/v1/cases/{id_}").status_code == 404


def test_the_image_of_a_case_is_kept_if_it_is_that_image(own, image):
    data = png(image)
    digest = hashlib.sha256(data).hexdigest()
    id_ = own.post("/v1/cases", json={**CASE, "sha256": digest}).json()["id"]
    assert own.get(f"/v1/cases/{id_}/image").json()["code"] == "no_such_image"
    other = own.put(f"/v1/cases/{id_}/image", files=form(png(image + 1)))
    assert (other.status_code, other.json()["code"]) == (409, "another_image")
    page = own.put(f"/v1/cases/{id_}/image", files=form(b"<html>"))
    assert (page.status_code, page.json()["code"]) == (415, "unsupported_format")
    assert own.put(f"/v1/cases/{id_}/image", files=form(data)).json()["has_image"]
    kept = own.get(f"/v1/cases/{id_}/image")
    assert kept.content == data
    assert kept.headers["content-type"] == "application/octet-stream"
    assert "attachment" in kept.headers["content-disposition"]


def test_all_cases_come_as_a_table_that_runs_nothing(own):
    own.post("/v1/cases", json={**CASE, "comment": "=HYPERLINK()"})
    answer = own.get("/v1/cases.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    text = answer.content.decode("utf-8-sig")
    assert text.startswith("id,created,")
    assert "'=HYPERLINK()" in text


def test_a_full_log_says_so_and_a_case_can_still_be_deleted(tmp_path, image):
    data = png(np.random.default_rng(0).integers(0, 255, (600, 600), np.uint8))
    about = {**CASE, "sha256": hashlib.sha256(data).hexdigest()}
    settings = Settings(cases=tmp_path / "cases.db", limits=replace(LIMITS, log=600_000))
    with client_of(settings=settings) as small:
        first, second = (small.post("/v1/cases", json=about).json()["id"] for _ in range(2))
        assert small.put(f"/v1/cases/{first}/image", files=form(data)).status_code == 200
        full = small.put(f"/v1/cases/{second}/image", files=form(data))
        assert (full.status_code, full.json()["code"]) == (507, "case_log_full")
        assert "--max-cases" in full.json()["reason"]
        assert small.get(f"/v1/cases/{second}").json()["has_image"] is False
        assert small.delete(f"/v1/cases/{first}").status_code == 204
        assert small.put(f"/v1/cases/{second}/image", files=form(data)).status_code == 200
        assert small.get(f"/v1/cases/{second}/image").content == data


def test_an_image_that_is_sent_counts_as_memory_in_use(tmp_path, image):
    data = png(image)
    settings = Settings(cases=tmp_path / "cases.db", limits=LIMITS)
    with client_of(settings=settings) as own:
        about = {**CASE, "sha256": hashlib.sha256(data).hexdigest()}
        path = f"/v1/cases/{own.post('/v1/cases', json=about).json()['id']}/image"
        assert own.put(path, files=form(data)).status_code == 200
    settings = replace(settings, limits=replace(LIMITS, pending=len(data) - 1))
    with client_of(settings=settings) as own:
        answer = own.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")


def test_classes_without_end_make_no_table_without_end(tmp_path):
    settings = Settings(cases=tmp_path / "cases.db", limits=LIMITS)
    with client_of(settings=settings) as own:
        for number in range(12):
            names = {f"{number}-{index}": 0.5 for index in range(500)}
            assert own.post("/v1/cases", json={**CASE, "probabilities": names}).status_code == 201
        rows = list(csv.reader(io.StringIO(own.get("/v1/cases.csv").content.decode("utf-8-sig"))))
    assert len(rows) == 13
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows[0]) < 1030
    assert rows[-1][rows[0].index("other probabilities")].startswith("11-0: 0.5; 11-1: 0.5")


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "perhaps"},
        {"sha256": "A" * 64},
        {"sha256": "../../etc/passwd"},
        {"width": 0},
        {"width": "100"},
        {"comment": "a" * 10_001},
        {"comment": None},
        {"probabilities": {"a": 1.5}},
        {"called": ["a" * 201]},
        {"frame": 0},
        {"surprise": 1},
    ],
)
def test_what_is_no_case_is_refused_without_repeating_it(own, change):
    before = own.get("/v1/cases?limit=0").json()["total"]
    answer = own.post("/v1/cases", json={**CASE, **change})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_body")
    assert answer.json()["reason"].endswith(".")
    assert "passwd" not in answer.text
    assert "surprise" not in answer.text
    assert own.get("/v1/cases?limit=0").json()["total"] == before


def test_a_body_that_is_no_json_or_too_long_is_refused(own):
    answer = own.post("/v1/cases", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_body")
    plain = own.post("/v1/cases", content=json.dumps(CASE), headers={"Content-Type": "text/plain"})
    assert (plain.status_code, plain.json()["code"]) == (415, "not_json")
    long = {**CASE, "comment": "a" * (1 << 20)}
    assert own.post("/v1/cases", json=long).json()["code"] == "too_large"


def test_a_foreign_page_can_save_and_read_nothing(own):
    foreign = {"Origin": "http://evil.example"}
    assert own.post("/v1/cases", json=CASE, headers=foreign).status_code == 403
    assert own.delete("/v1/cases/x", headers=foreign).status_code == 403
    assert own.get("/v1/cases.csv", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_with_a_token_no_case_is_told_without(tmp_path):
    token = "t" * 24
    settings = Settings(cases=tmp_path / "cases.db", token=token, limits=LIMITS)
    with client_of(settings=settings) as locked:
        for method, path in (
            ("GET", "/v1/cases"),
            ("GET", "/v1/cases.csv"),
            ("POST", "/v1/cases"),
            ("PUT", "/v1/cases/x"),
            ("DELETE", "/v1/cases/x"),
            ("GET", "/v1/cases/x/image"),
        ):
            assert locked.request(method, path).status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert locked.post("/v1/cases", json=CASE, headers=bearer).status_code == 201


def test_logs_hold_nothing_of_a_case(own, caplog):
    with caplog.at_level(logging.DEBUG):
        own.post("/v1/cases", json={**CASE, "comment": "Mrs Miller", "label": "Miller"})
        own.post("/v1/cases", json={**CASE, "comment": 5, "label": "Miller"})
    assert "Miller" not in caplog.text


def test_without_a_file_there_are_no_cases(client):
    for answer in (client.get("/v1/cases"), client.post("/v1/cases", json=CASE)):
        assert (answer.status_code, answer.json()["code"]) == (404, "no_cases")


def test_a_method_that_an_address_has_not_is_told_with_those_that_it_has(own):
    answer = own.post("/v1/cases/abc")
    assert (answer.status_code, answer.json()["code"]) == (405, "no_such_method")
    assert answer.headers["allow"] == "DELETE, GET, PUT"
    assert own.delete("/v1/predict").headers["allow"] == "POST"
