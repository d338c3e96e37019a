import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from softcam.deploy.export.protobuf import ScanError, scan
from tests.deploy.export.sample import graph


def outside(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return tensor


def test_metadata_is_read_as_onnx_reads_it():
    model = graph()
    for key, value in (("softcam", '{"a": "ü"}'), ("other", ""), ("long", "x" * 70_000)):
        model.metadata_props.add(key=key, value=value)
    found = scan(model.SerializeToString())
    assert found.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert found.has_graph
    assert not found.external


def _weights(model):
    outside(model.graph.initializer[0])


def _constant(model):
    value = outside(numpy_helper.from_array(np.zeros(3, np.float32), "c"))
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=value))


def _branch(model):
    inner = graph().graph
    outside(inner.initializer[1])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner))


def _function(model):
    value = outside(numpy_helper.from_array(np.zeros(3, np.float32), "c"))
    node = helper.make_node("Constant", [], ["c"], value=value)
    opset = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("d", "f", [], ["c"], [node], opset))


def _only_the_location(model):
    outside(model.graph.initializer[0]).data_location = TensorProto.DEFAULT


@pytest.mark.parametrize("hide", [_weights, _constant, _branch, _function, _only_the_location])
def test_values_in_other_files_are_found_wherever_they_hide(hide):
    model = graph()
    hide(model)
    assert scan(model.SerializeToString()).external


def test_a_file_that_ends_early_is_no_file():
    whole = graph().SerializeToString()
    refused = 0
    for end in range(1, len(whole)):
        try:
            found = scan(whole[:end])
        except ScanError:
            refused += 1
        else:  # between two fields of the model itself
            assert not found.external
    assert refused > 0.9 * len(whole)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"PK\x03\x04zip", b"\xff" * 30, b"\x0b"])
def test_other_bytes_are_no_file(data):
    with pytest.raises(ScanError):
        scan(data)


def test_graphs_in_graphs_end_somewhere():
    model = graph()
    for _ in range(14):
        outer = graph()
        outer.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=model.graph))
        model = outer
    with pytest.raises(ScanError, match="nested"):
        scan(model.SerializeToString())
