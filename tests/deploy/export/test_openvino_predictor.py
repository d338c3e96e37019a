from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from softcam.deploy.export.exported import open_exported
from softcam.deploy.export.openvino_predictor import OpenVinoPredictor
from softcam.deploy.export.seal import UNSEALED, digest_of, seal
from softcam.deploy.export.write import openvino_bytes, openvino_model, write_files
from softcam.errors import InputError, ModelFileError
from softcam.explanation.predictor import Predictor
from tests.deploy.export.sample import batch, by_hand, description, graph


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.xml"
    write_files(path, *openvino_bytes(openvino_model(graph()), description()))
    return path


def refusal(path):
    with pytest.raises(ModelFileError) as caught:
        OpenVinoPredictor(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


def resealed(path, change):
    """Change a pair as somebody would who knows how it is sealed."""
    old = digest_of(path.read_bytes())
    graph, weights = change(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    empty = UNSEALED.partition(":")[2].encode()
    path.write_bytes(seal(graph.replace(old.encode(), empty), weights))
    path.with_suffix(".bin").write_bytes(weights)
    return path


@pytest.mark.parametrize("shape", [(1, 8, 8), (5, 8, 8), (2, 4, 12)])
def test_it_computes_what_the_graph_says(file, shape):
    images = batch(*shape)
    predictor = OpenVinoPredictor(file, threads=1)
    assert isinstance(predictor, Predictor)
    logits, evidence = predictor.predict(images)
    expected = by_hand(images)
    np.testing.assert_allclose(logits, expected[0], atol=1e-6)
    np.testing.assert_allclose(evidence, expected[1], atol=1e-6)


def test_answers_stay_when_the_next_batch_is_run(file):
    predictor = OpenVinoPredictor(file)
    logits, evidence = predictor.predict(batch(seed=1))
    kept = logits.copy(), evidence.copy()
    predictor.predict(batch(seed=2))
    np.testing.assert_array_equal(logits, kept[0])
    np.testing.assert_array_equal(evidence, kept[1])


def test_several_threads_get_their_own_answers(file):
    predictor = OpenVinoPredictor(file)
    batches = [batch(seed=seed) for seed in range(32)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(predictor.predict, batches))
    for images, (logits, evidence) in zip(batches, found, strict=True):
        np.testing.assert_allclose(logits, by_hand(images)[0], atol=1e-6)
        np.testing.assert_allclose(evidence, by_hand(images)[1], atol=1e-6)


def test_the_file_holds_all_that_a_model_file_holds(file):
    predictor = open_exported(file)
    assert predictor.info == description().info
    assert predictor.digest == digest_of(file.read_bytes())


def test_changed_weights_are_refused(file):
    weights = file.with_suffix(".bin")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert "digest is wrong" in refusal(file)


def test_a_changed_graph_is_refused(file):
    file.write_bytes(file.read_bytes().replace(b'"2, 2"', b'"1, 1"'))
    assert "digest is wrong" in refusal(file)


def test_a_missing_or_empty_half_is_refused(file):
    weights = file.with_suffix(".bin")
    weights.write_bytes(b"")
    assert "is empty" in refusal(file)
    weights.unlink()
    assert f"{weights}: no such file" in refusal(file)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.99])
def test_a_graph_that_was_cut_short_is_refused(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    assert any(w in refusal(file) for w in ("is empty", "or cut short", "digest is wrong"))


def test_a_foreign_graph_is_refused(tmp_path):
    import openvino

    path = tmp_path / "foreign.xml"
    openvino.save_model(openvino_model(graph()), path)
    assert "no OpenVINO graph that softcam exported" in refusal(path)
    path.write_text("<html>not a graph</html>")
    assert "no OpenVINO graph that softcam exported" in refusal(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda g, w: (g, w[:16]), "does not take this graph"),
        (lambda g, w: (g.replace(b'type="Convolution"', b'type="RunThis"'), w), "does not take"),
        (lambda g, w: (g.replace(b'names="evidence"', b'names="pictures"'), w), "not images"),
        (lambda g, w: (g.replace(b"&quot;outputs&quot;:2", b"&quot;outputs&quot;:7"), w), "fit"),
        (
            lambda g, w: (g.replace(b"&quot;in_chans&quot;:3", b"&quot;in_chans&quot;:0"), w),
            "valid",
        ),
        (lambda g, w: (g.replace(b"</layers>", b""), w), "does not take this graph"),
    ],
)
def test_a_pair_that_was_made_to_deceive_is_refused(file, change, reason):
    before = file.read_bytes()
    path = resealed(file, change)
    assert path.read_bytes() != before
    assert reason in refusal(path)


def test_a_batch_that_the_graph_does_not_take_is_refused(file):
    with pytest.raises(InputError, match="multiples of 2"):
        OpenVinoPredictor(file).predict(batch(width=9))
