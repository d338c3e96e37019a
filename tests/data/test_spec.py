from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.spec import DatasetSpec, PartialSpec, merge_specs, read_spec
from softcam.errors import InputError
from softcam.evidence.info import Task
from tests.fuzz.tables import YAMLS


def _read(folder: Path, text: str) -> PartialSpec:
    path = folder / "dataset.yaml"
    path.write_text(text, encoding="utf-8")
    return read_spec(path)


def test_every_key_is_read(tmp_path: Path) -> None:
    text = (
        "task: Binary\nclasses: [normal, 2]\npositive: 2\nimages: pictures\n"
        "findings:\n  hard_exudate: 1\n  optic_disc: distractor\n  lung: organ\n"
    )
    assert _read(tmp_path, text) == PartialSpec(
        path=tmp_path / "dataset.yaml",
        task=Task.BINARY,
        classes=("normal", "2"),
        positive="2",
        findings={"hard_exudate": "1", "optic_disc": "distractor", "lung": "organ"},
        images="pictures",
    )


def test_a_mapping_keeps_its_order(tmp_path: Path) -> None:
    partial = _read(tmp_path, "classes:\n  2: severe\n  0: none\n  'x': none\n")
    assert partial.classes == ("severe", "none")
    assert partial.values == {"2": "severe", "0": "none", "x": "none"}


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert _read(tmp_path, "# nothing\n") == PartialSpec(tmp_path / "dataset.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tasks: binary\n", "unknown key 'tasks'"),
        ("task: regression\n", "multilabel"),
        ("classes: normal\n", "list of names"),
        ("classes: []\n", "empty"),
        ("classes: [no, yes]\n", "quotes"),
        ("classes: [a, a]\n", "twice"),
        ("classes: [a, organ]\n", "'organ'"),
        ("classes: [a, [b]]\n", "name or an integer"),
        ("classes: [a, ' ']\n", "name or an integer"),
        ("classes: {0: yes, 1: b}\n", "quotes"),
        ("positive: true\n", "quotes"),
        ("positive: 0.5\n", "positive"),
        ("findings: [a]\n", "optic_disc: distractor"),
        ("findings: {a: [1]}\n", r"findings\.a"),
        ("images: 3\n", "folder"),
        ("- a\n", "no keys"),
        ("task: [binary\n", "YAML"),
        ("task: !!python/object/apply:os.getcwd []\n", "YAML"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        _read(tmp_path, text)
    assert "dataset.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml does not exist"):
        read_spec(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("classes: [gesund, krank, \xe4]".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.yaml"):
        read_spec(tmp_path / "latin.yaml")


def test_findings_by_what_they_mean() -> None:
    findings = {"a": "ill", "b": "distractor", "c": "organ", "d": "", "e": "fine"}
    spec = DatasetSpec(Task.BINARY, ("fine", "ill"), "ill", findings)
    assert spec.findings_for("ill") == ("a", "d")
    assert spec.findings_for("fine") == ("d", "e")
    assert spec.distractors() == ("b",)
    assert spec.organs() == ("c",)


def test_merging_keeps_the_other_specs_classes_and_the_own_labels() -> None:
    spec = DatasetSpec(Task.BINARY, ("fine", "ill"), "ill", {"a": "ill"})
    own = PartialSpec(classes=("ill", "fine"), findings={"b": "0"}, images="x")
    merged = merge_specs(spec, own)
    assert merged.classes == ("fine", "ill")
    assert merged.values == {"0": "ill", "1": "fine"}
    assert merged.findings == {"a": "ill", "b": "0"}
    assert merged.images == "x"
    with pytest.raises(InputError, match="'worse'"):
        merge_specs(spec, PartialSpec(classes=("fine", "worse")))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", YAMLS)
def test_whatever_yaml_says_is_read_or_refused_in_a_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_bytes(YAMLS[name])
    try:
        read_spec(path)
    except InputError as error:
        assert str(error).startswith(str(path))
        assert str(error).isprintable()
        assert len(str(error)) < 1000


def test_twenty_thousand_classes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_bytes(YAMLS["many classes"])
    assert len(read_spec(path).classes) == 20_000
