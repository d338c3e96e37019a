import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from softcam.deploy.export.artefact import Artefact
from softcam.deploy.export.graph import Graph
from softcam.deploy.export.precision import (
    head_operations,
    quantised_onnx,
    quantised_openvino,
    with_half_constants,
    with_half_weights,
)
from softcam.deploy.export.write import openvino_bytes, openvino_model
from softcam.errors import WorkError
from tests.deploy.export.sample import batch, by_hand, description, graph


def wide() -> Graph:
    """The sample with a 4 -> 16 -> 3 backbone of random weights, large enough to be halved."""
    generator = np.random.default_rng(0)
    model = graph()
    first = generator.normal(size=(16, 3, 2, 2)).astype(np.float32)
    second = generator.normal(size=(3, 16, 3, 3)).astype(np.float32)
    pool, head, mean = model.graph.node
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(first, "mean"))
    model.graph.initializer.append(numpy_helper.from_array(second, "mix"))
    pool.output[0] = "hidden"
    more = [
        onnx.helper.make_node("Relu", ["hidden"], ["bent"], name="relu"),
        onnx.helper.make_node("Conv", ["bent", "mix"], ["features"], name="mix", pads=[1] * 4),
    ]
    del model.graph.node[:]
    model.graph.node.extend([pool, *more, head, mean])
    return Graph(model, frozenset({"pool", "relu", "mix"}), any_size=True)


def answers(model, images):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["logits", "evidence"], {"images": images})


def stored(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def test_half_weights_are_the_rounded_weights_of_the_backbone_alone():
    given = wide()
    before = given.model.SerializeToString()
    model = with_half_weights(given)
    assert given.model.SerializeToString() == before
    onnx.checker.check_model(model)
    weights, old = stored(model), stored(given.model)
    for name in ("mean", "mix"):
        np.testing.assert_array_equal(weights[f"{name}.half"], old[name].astype(np.float16))
        assert weights[f"{name}.half"].dtype == np.float16
    assert weights["weight"].dtype == weights["bias"].dtype == np.float32
    np.testing.assert_array_equal(weights["weight"], old["weight"])
    logits, evidence = answers(model, batch())
    exact = answers(given.model, batch())
    assert 0 < np.abs(evidence - exact[1]).max() < 1e-3 * np.abs(exact[1]).max()
    np.testing.assert_allclose(evidence.mean(axis=(2, 3)), logits, atol=1e-4)


def test_weights_beyond_half_precision_stay():
    given = wide()
    tensor = given.model.graph.initializer[0]
    large = stored(given.model)["mean"] * 1e5
    tensor.CopyFrom(numpy_helper.from_array(large, "mean"))
    assert stored(with_half_weights(given))["mean"].dtype == np.float32


def test_half_constants_of_openvino_round_the_same():
    given = wide()
    model = with_half_constants(openvino_model(given.model), given)
    halved = {
        op.get_friendly_name(): op.data
        for op in model.get_ordered_ops()
        if op.get_type_name() == "Constant" and op.data.dtype == np.float16
    }
    assert sorted(values.size for values in halved.values()) == [192, 432]
    found = Artefact("openvino", model, given).predict(batch())
    expected = answers(with_half_weights(given), batch())
    np.testing.assert_allclose(found[1], expected[1], atol=1e-3)
    full = openvino_bytes(openvino_model(given.model), description())[1]
    assert len(full) - len(openvino_bytes(model, description())[1]) == pytest.approx(
        2 * 624, abs=64
    )


def test_the_head_of_an_openvino_model_is_known():
    given = wide()
    model = openvino_model(given.model)
    head = set(head_operations(model, given))
    kinds = {op.get_friendly_name(): op.get_type_name() for op in model.get_ordered_ops()}
    found = [kinds[name] for name in head]
    assert found.count("Convolution") == found.count("ReduceMean") == 1
    assert "Relu" not in found


def calibration():
    return [batch(1, seed=seed) for seed in range(8)]


def test_eight_bits_stay_close_and_leave_the_head_alone():
    given = wide()
    model = quantised_onnx(given, calibration())
    logits, evidence = answers(model, batch(seed=3))
    exact = answers(given.model, batch(seed=3))[1]
    assert 0.98 < np.corrcoef(evidence.ravel(), exact.ravel())[0, 1] < 1
    np.testing.assert_allclose(evidence.mean(axis=(2, 3)), logits, atol=1e-4)
    heads = [node for node in model.graph.node if node.name in ("head", "mean")]
    assert [node.op_type for node in heads] == ["Conv", "ReduceMean"]
    # Its weights are read as they are, and what it gives is not rounded.
    assert heads[0].input[1] == "weight"
    assert heads[1].input[0] == "evidence"
    assert stored(model)["weight"].dtype == np.float32
    assert {values.dtype for values in stored(model).values()} >= {np.dtype(np.int8)}


def test_what_computes_sizes_is_not_rounded():
    given = wide()
    model = given.model
    make = onnx.helper.make_node
    extra = [
        make("Shape", ["images"], ["shape"], name="shape"),
        make("Cast", ["shape"], ["lengths"], name="cast", to=onnx.TensorProto.FLOAT),
        make("Add", ["lengths", "lengths"], ["sums"], name="sums"),
        make("ReduceMax", ["sums"], ["largest"], name="largest", keepdims=0),
        make("Mul", ["features", "largest"], ["scaled"], name="scaled"),
    ]
    model.graph.node[3].input[0] = "scaled"
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:3], *extra, *nodes[3:]])
    inside = frozenset(node.name for node in [*nodes[:3], *extra])
    quantised = quantised_onnx(Graph(model, inside, True), calibration())
    by_name = {node.name: node for node in quantised.graph.node}
    assert list(by_name["sums"].input) == ["lengths", "lengths"]
    assert by_name["largest"].input[0] == "sums"


@pytest.mark.slow
def test_nncf_stays_close_and_leaves_the_head_alone():
    given = wide()
    model = quantised_openvino(openvino_model(given.model), given, calibration())
    found = Artefact("openvino", model, given).predict(batch(seed=3))
    exact = answers(given.model, batch(seed=3))[1]
    assert 0.98 < np.corrcoef(found[1].ravel(), exact.ravel())[0, 1] < 1
    np.testing.assert_allclose(found[1].mean(axis=(2, 3)), found[0], atol=1e-4)


def test_what_cannot_be_quantised_is_said_in_a_sentence():
    given = wide()
    given.model.graph.node[0].op_type = "RunThis"
    with pytest.raises(WorkError, match="onnxruntime cannot quantise this model"):
        quantised_onnx(given, calibration())


def test_the_sample_is_computed_right():
    expected = by_hand(batch())
    np.testing.assert_allclose(answers(graph(), batch())[1], expected[1], atol=1e-6)
