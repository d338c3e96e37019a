from __future__ import annotations

import json
import re

import numpy as np
import pytest

from softcam.data.geometry import Geometry
from softcam.data.steps import Pad
from softcam.evidence.info import Task
from softcam.explanation.document import cell_size, image_digest
from softcam.explanation.explain import explain


def test_the_document_is_strict_json_and_holds_exact_parts(softcam_model, image):
    explanation = explain(softcam_model, image, name="scan.png")
    document = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert document["image"] == {
        "name": "scan.png",
        "width": 48,
        "height": 24,
        "sha256": image_digest(explanation),
        "plane": None,
    }
    assert document["predicted"] == list(explanation.predicted)
    assert document["evidence"]["cell_in_input_pixels"] == [4, 4]
    assert document["evidence"]["cell_in_file_pixels"] == [6, 6]
    assert sum(document["probabilities"].values()) == pytest.approx(1)
    assert Geometry.from_dict(document["geometry"]) == explanation.geometry
    for index, entry in enumerate(document["classes"]):
        assert entry["own"]["logit"] == pytest.approx(float(explanation.logits[index]), abs=1e-6)
        regions = explanation.regions(index, contrast=True)
        assert [r["contribution"] for r in entry["contrast"]["regions"]] == [
            r.contribution for r in regions
        ]
        values = explanation.class_evidence(index)
        assert entry["own"]["highest"] == float(values.max())
        assert entry["own"]["region_threshold"] == pytest.approx(max(0, values.max() / 2))


def test_undefined_shares_are_null(make_explanation):
    evidence = np.array([[[1.0, -1.0]], [[0.0, 0.0]]])
    document = make_explanation(evidence).to_dict()
    json.dumps(document, allow_nan=False)
    assert document["classes"][0]["own"]["regions"][0]["share"] is None
    assert document["classes"][1]["own"]["regions"] == []


def test_both_classes_of_a_one_logit_model_are_described(make_explanation):
    evidence = np.random.default_rng(0).normal(size=(1, 3, 3))
    document = make_explanation(evidence, task=Task.BINARY, classes=("n", "y")).to_dict()
    first, second = (entry["own"] for entry in document["classes"])
    assert first["logit"] == -second["logit"]
    assert first["highest"] == -second["lowest"]


def test_the_digest_tells_images_apart(make_explanation):
    image = np.zeros((40, 60), dtype=np.uint8)
    digests = {
        image_digest(make_explanation(np.ones((2, 2, 2)), image=i))
        for i in (image, image + 1, image.astype(np.uint16), np.stack([image] * 3, axis=2))
    }
    assert len(digests) == 4


def test_cells_are_measured_in_file_pixels(make_explanation):
    geometry = Geometry.of((40, 60), Pad(0, 10, 0, 10))
    assert cell_size(make_explanation(np.ones((2, 4, 6)), geometry=geometry)) == (10.0, 15.0)


def test_the_notebook_view_is_escaped_and_self_contained(make_explanation):
    html = make_explanation(
        np.random.default_rng(0).normal(size=(2, 3, 3)),
        classes=("<b>bold</b>", 'a "quoted" & class'),
        name="<script>alert(1)</script>.png",
    )._repr_html_()
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert '"quoted"' not in html
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', html)
    assert [s.startswith("data:image/png;base64,") for s in sources] == [True]
