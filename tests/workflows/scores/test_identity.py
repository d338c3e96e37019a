import hashlib

from softcam.data.table import read_table
from softcam.workflows.scores.identity import (
    digest_files,
    digest_predictor,
    digest_table,
    files_of,
)
from tests.workflows.scores.small import PREPARED, BlockMeans, draw_table


def test_a_model_is_known_by_its_bytes_and_those_beside_a_graph(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert files_of(tmp_path) == [tmp_path / "model.safetensors"]
    assert digest_files(files_of(tmp_path)) == hashlib.sha256(b"weights").hexdigest()
    graph, weights = tmp_path / "m.xml", tmp_path / "m.bin"
    graph.write_bytes(b"graph ")
    weights.write_bytes(b"weights")
    assert files_of(graph) == [graph, weights]
    assert digest_files(files_of(graph)) == hashlib.sha256(b"graph weights").hexdigest()
    onnx, data = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    onnx.write_bytes(b"")
    data.write_bytes(b"")
    assert data in files_of(onnx)
    assert files_of(tmp_path / "nowhere") == []


def test_a_predictor_without_a_file_is_known_by_what_it_says():
    digest = digest_predictor(BlockMeans(), PREPARED)
    assert digest == digest_predictor(BlockMeans(seconds=0.01), PREPARED)
    other = BlockMeans()
    other.predict = lambda batch: tuple(2 * part for part in BlockMeans().predict(batch))
    assert digest != digest_predictor(other, PREPARED)
    assert digest != digest_predictor(BlockMeans(classes=("a", "b")), PREPARED)


def test_a_table_is_known_by_images_labels_splits_patients_and_order(tmp_path):
    path = draw_table(tmp_path / "data", 4)
    text = path.read_text()

    def digest(changed):
        path.write_text(changed)
        return digest_table(read_table(path, require_labels=False))

    first = digest(text)
    assert digest(text) == first
    head, *rows = text.splitlines()
    changes = [
        text.replace("000.png,0", "000.png,1"),
        text.replace("train,p0", "val,p0", 1),
        text.replace(",p1", ",p9", 1),
        "\n".join([head, *rows[::-1]]),
        "\n".join([head, *rows[:-1]]),
    ]
    assert len({first, *(digest(change) for change in changes)}) == 1 + len(changes)
