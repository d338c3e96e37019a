from __future__ import annotations

import numpy as np

from softcam.web.metrics import Measured
from tests.web.conftest import client_of, form, png


def samples(text: str) -> dict[str, float]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_requests_batches_and_refusals_are_counted_by_route():
    with client_of() as own:
        for _ in range(3):
            own.post("/v1/predict", files=form(png(np.zeros((9, 9), np.uint8))))
        own.post("/v1/predict", files=form(b"nothing"))
        own.get("/Jane/Doe")
        text = own.get("/metrics").text
    told = samples(text)
    assert told['softcam_requests_total{route="/v1/predict",status="200"}'] == 3
    assert told['softcam_requests_total{route="/v1/predict",status="415"}'] == 1
    assert told['softcam_requests_total{route="other",status="404"}'] == 1
    assert told['softcam_refusals_total{code="unsupported_format"}'] == 1
    assert told['softcam_request_seconds_count{route="/v1/predict"}'] == 4
    assert told["softcam_batch_images_sum"] == 3
    assert told["softcam_decode_seconds_count"] == 3
    assert told["softcam_decoders"] == 1
    assert "Jane" not in text


def test_two_servers_count_apart():
    first, second = Measured(), Measured()
    first.answered("/", 200, 0.1)
    assert 'route="/"' in first.text().decode()
    assert 'route="/"' not in second.text().decode()


def test_a_server_that_stops_is_not_ready():
    with client_of() as own:
        engine = own.app.state.engine
        assert own.get("/readyz").json() == {"status": "ok"}
        engine.running = False
        answer = own.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert own.get("/healthz").status_code == 200


def test_a_model_is_described_with_what_tells_its_version(client):
    (model,) = client.get("/v1/models").json()["models"]
    assert model == {
        "name": "blocks",
        "version": "",
        "digest": "abc",
        "task": "binary",
        "classes": ["plain", "bright"],
        "positive": "bright",
        "thresholds": {"bright": 0.6},
        "input_size": [32, 32],
        "architecture": None,
    }
