import re

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from softcam.deploy.export.exported import open_exported
from softcam.deploy.export.onnx_predictor import OnnxPredictor
from softcam.deploy.export.seal import UNSEALED, digest_of, seal
from softcam.deploy.export.write import onnx_bytes
from softcam.errors import InputError, ModelFileError, WorkError
from softcam.explanation.predictor import Predictor
from tests.deploy.export.sample import batch, by_hand, description, graph
from tests.deploy.export.test_protobuf import outside


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(graph(), description()))
    return path


def resealed(path, change):
    """Change a file as somebody would who knows how it is sealed."""
    model = onnx.load(path)
    change(model)
    for entry in model.metadata_props:
        if entry.key == "softcam_digest":
            entry.value = UNSEALED
    path.write_bytes(seal(model.SerializeToString()))
    return path


def refusal(path):
    with pytest.raises(ModelFileError) as caught:
        OnnxPredictor(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("shape", [(1, 8, 8), (5, 8, 8), (2, 4, 12)])
def test_it_computes_what_the_graph_says(file, shape):
    images = batch(*shape)
    predictor = OnnxPredictor(file, threads=1)
    assert isinstance(predictor, Predictor)
    logits, evidence = predictor.predict(images)
    expected = by_hand(images)
    np.testing.assert_allclose(logits, expected[0], atol=1e-6)
    np.testing.assert_allclose(evidence, expected[1], atol=1e-6)
    assert logits.dtype == evidence.dtype == np.float32


def test_the_file_holds_all_that_a_model_file_holds(file):
    predictor = open_exported(file)
    assert predictor.info == description().info
    assert predictor.info.thresholds == {"diseased": 0.4}
    assert predictor.digest == digest_of(file.read_bytes())


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_changed_file_is_refused(file, place):
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 0x10
    file.write_bytes(data)
    text = refusal(file)
    assert any(word in text for word in ("digest is wrong", "damaged", "no ONNX graph that"))


def test_other_weights_of_the_same_size_are_refused(file):
    data = file.read_bytes()
    old, new = (np.float32(value).tobytes() for value in (1.5, 1.25))
    assert data.count(old) == 1
    file.write_bytes(data.replace(old, new))
    assert "digest is wrong" in refusal(file)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    text = refusal(file)
    assert any(word in text for word in ("is empty", "damaged, cut short", "no ONNX graph that"))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "no such file" in refusal(tmp_path / "folder.onnx")


def test_a_foreign_graph_is_refused(tmp_path):
    path = tmp_path / "foreign.onnx"
    onnx.save(graph(), path)
    assert "no ONNX graph that softcam exported" in refusal(path)


def test_a_file_larger_than_any_of_ours_is_not_read(tmp_path):
    path = tmp_path / "huge.onnx"
    with path.open("wb") as stream:
        stream.truncate(2**31)  # takes no room: it has no content
    assert "2.0 GiB" in refusal(path)


def _no_evidence(model):
    del model.graph.output[1]


def _other_input(model):
    model.graph.input[0].name = model.graph.node[0].input[0] = "pixels"


def _two_inputs(model):
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[1].name = "more"


def _other_channels(model):
    model.CopyFrom(
        graph(channels=1) if not model.metadata_props else _with(model, graph(channels=1))
    )


def _with(model, other):
    other.metadata_props.extend(model.metadata_props)
    return other


def _unknown_operation(model):
    model.graph.node[0].op_type = "RunThis"


def _foreign_domain(model):
    model.graph.node[0].domain = "evil"
    model.opset_import.add(domain="evil", version=1)


def _elsewhere(model):
    outside(model.graph.initializer[0])


def _absurd(model):
    for entry in model.metadata_props:
        if entry.key == "softcam":
            entry.value = entry.value.replace('"outputs":2', '"outputs":99999999')


def _endless_weights(model):
    model.graph.initializer[0].dims[0] = 2**40


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_endless_weights, "does not take this graph"),
        (_no_evidence, "the outputs logits, not images, logits and evidence"),
        (_other_input, "the inputs pixels"),
        (_two_inputs, "the inputs images, more"),
        (_other_channels, "do not fit 3 channels"),
        (_unknown_operation, "does not take this graph"),
        (_foreign_domain, "does not take this graph"),
        (_elsewhere, "takes values from other files"),
        (_absurd, "its description is not valid"),
    ],
)
def test_a_file_that_was_made_to_deceive_is_refused(file, change, reason):
    assert re.search(reason, refusal(resealed(file, change)))


def test_a_graph_whose_logits_are_not_the_means_of_its_maps_is_found_out(file):
    def lie(model):
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        weights["axes"].raw_data = np.array([2, 3], dtype=np.int64).tobytes()
        model.graph.node[2].op_type = "ReduceMax"

    predictor = OnnxPredictor(resealed(file, lie))
    with pytest.raises(WorkError, match="are not the means of its maps"):
        predictor.predict(batch())


def test_maps_larger_than_any_memory_are_an_error_and_no_crash(file):
    def blow_up(model):
        size = np.array([1, 2, 2**21, 2**21], dtype=np.int64)
        model.graph.initializer.append(numpy_helper.from_array(size, "size"))
        model.graph.node[1].output[0] = "small"
        model.graph.node[2].input[0] = "small"
        kept = helper.make_node("ReduceMean", ["small", "axes"], ["cell"], keepdims=1)
        model.graph.node.extend([kept, helper.make_node("Expand", ["cell", "size"], ["evidence"])])

    predictor = OnnxPredictor(resealed(file, blow_up))
    with pytest.raises(WorkError, match="onnxruntime failed on a batch"):
        predictor.predict(batch(1))


def test_a_graph_that_gives_no_numbers_is_found_out(file):
    def poison(model):
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        weights["bias"].raw_data = np.array([np.nan, 0], dtype=np.float32).tobytes()

    predictor = OnnxPredictor(resealed(file, poison))
    with pytest.raises(WorkError, match="no numbers"):
        predictor.predict(batch())


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (batch(channels=1), r"\(B, 3, H, W\)"),
        (batch()[0], r"\(B, 3, H, W\)"),
        (batch(count=0), "1 to 4096 images"),
        (batch(height=7), "multiples of 2 pixels"),
        (batch(height=2), "sides of 4 to 4096"),
    ],
)
def test_a_batch_that_the_graph_does_not_take_is_refused(file, images, reason):
    with pytest.raises(InputError, match=reason):
        OnnxPredictor(file).predict(images)


def test_a_torch_program_is_not_opened(tmp_path):
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK")
    with pytest.raises(ModelFileError, match="unpickling"):
        open_exported(path)
    with pytest.raises(ModelFileError, match=r"ends in \.onnx or \.xml"):
        open_exported(tmp_path / "model.bin")
