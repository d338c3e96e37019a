"""Requests made up from the OpenAPI document: every answer is one that the document has."""

from __future__ import annotations

import hashlib

import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks

from softcam.web.app import create_app
from softcam.web.models import serve_predictor
from softcam.web.settings import Settings
from tests.web.conftest import LIMITS, Blocks, client_of, form, png
from tests.web.live import serving
from tests.web.test_cases import CASE

IMAGES = [png(np.zeros((4, 5), np.uint8)), png(np.full((9, 3, 3), 200, np.uint8))]
for kind in ("image/png", "image/jpeg", "image/tiff", "application/dicom"):
    schemathesis.openapi.media_type(kind, st.sampled_from(IMAGES))
load_all_checks()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    (folder / "a.png").write_bytes(IMAGES[0])
    cases = tmp_path_factory.mktemp("cases") / "cases.db"
    with serving(Settings(folder=folder, cases=cases, limits=LIMITS)) as port:
        yield f"http://127.0.0.1:{port}"


made_up = schemathesis.openapi.from_dict(
    create_app({"blocks": serve_predictor("blocks", Blocks())}, Settings()).openapi()
)
# Whether a file has a third frame, no schema can say.
EXCLUDED = [schemathesis.checks.positive_data_acceptance]
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@made_up.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_every_answer_is_one_of_the_documents(case, url):
    case.call_and_validate(base_url=url, excluded_checks=EXCLUDED)


@pytest.mark.slow
@made_up.parametrize()
@settings(max_examples=500, deadline=None, suppress_health_check=QUIET)
def test_every_answer_of_many_is_one_of_the_documents(case, url):
    case.call_and_validate(base_url=url, excluded_checks=EXCLUDED)


# An id that is made up is no case's: here it is that of one which was just saved.
of_cases = made_up.include(path_regex=r"^/v1/cases/\{id\}")
HTTP = httpx.Client()  # one for all: each of its own would read the system's certificates anew
# It may be the id alone that was made up to be refused.
WITH_ID = [*EXCLUDED, schemathesis.checks.negative_data_rejection]


@of_cases.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_every_answer_about_saved_cases_is_one_of_the_documents(case, url):
    case.path_parameters["id"] = saved(url)
    answer = case.call_and_validate(base_url=url, excluded_checks=WITH_ID)
    assert b"no_such_case" not in answer.content


@pytest.mark.slow
@of_cases.parametrize()
@settings(max_examples=500, deadline=None, suppress_health_check=QUIET)
def test_every_answer_of_many_about_saved_cases_is_one_of_the_documents(case, url):
    case.path_parameters["id"] = saved(url)
    answer = case.call_and_validate(base_url=url, excluded_checks=WITH_ID)
    assert b"no_such_case" not in answer.content


def saved(url: str) -> str:
    """Save a case with an image, and give its id."""
    about = {**CASE, "sha256": hashlib.sha256(IMAGES[0]).hexdigest()}
    id_ = HTTP.post(f"{url}/v1/cases", json=about).raise_for_status().json()["id"]
    HTTP.put(f"{url}/v1/cases/{id_}/image", files=form(IMAGES[0])).raise_for_status()
    return str(id_)


def test_the_document_names_every_route_and_its_refusals(client):
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/models",
        "/v1/predict",
        "/v1/folder",
        "/v1/folder/{id}/predict",
        "/v1/folder/{id}/annotation",
        "/v1/cases",
        "/v1/cases.csv",
        "/v1/cases/{id}",
        "/v1/cases/{id}/image",
    }
    predict = document["paths"]["/v1/predict"]["post"]
    assert {"200", "401", "408", "413", "415", "422", "429", "503"} <= set(predict["responses"])
    assert set(predict["responses"]["200"]["content"]) == {
        "application/json",
        "application/x-npz",
        "image/png",
    }
    assert "security" not in predict


def test_a_server_with_a_token_says_so_in_its_document():
    given = Settings(token="abcdefghijklmnopqrstuvwxyz", limits=LIMITS)
    with client_of(settings=given) as own:
        document = own.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/v1/predict"]["post"]["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]
