import os
import pickle
import zipfile

import pytest
import torch

from softcam.errors import InputError
from softcam.training.checkpoints import AtomicCheckpoints, clear_unfinished, read_checkpoint

GOOD = {"state_dict": {"weight": torch.arange(6.0)}, "callbacks": {"a": (1, None, "x")}}


class _Planted:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpoints().save_checkpoint(GOOD, path)
    found = AtomicCheckpoints().load_checkpoint(path, weights_only=False)
    assert torch.equal(found["state_dict"].pop("weight"), torch.arange(6.0))
    assert found == {"state_dict": {}, "callbacks": {"a": (1, None, "x")}}
    assert [item.name for item in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("form", ["zip", "legacy", "plain", "inside"])
def test_code_in_a_checkpoint_is_refused_and_not_run(form, tmp_path):
    path, witness = tmp_path / "last.ckpt", tmp_path / "witness"
    planted = _Planted(witness)
    if form == "plain":
        path.write_bytes(pickle.dumps(planted))
    elif form == "inside":
        torch.save({**GOOD, "callbacks": {"a": planted}}, path)
    else:
        torch.save(planted, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(InputError, match=r"last\.ckpt: .* could run code; it is refused"):
        read_checkpoint(path)
    assert not witness.exists()
    pickle.loads(pickle.dumps(planted))  # noqa: S301 - it would have run
    assert witness.exists()


def test_a_damaged_checkpoint_is_refused_wherever_it_breaks(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save(GOOD, path)
    whole = path.read_bytes()
    for length in {0, 1, 10, *range(100, len(whole) - 1, len(whole) // 12)}:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"last\.ckpt: is damaged"):
            read_checkpoint(path)
    path.write_bytes(os.urandom(500))
    with pytest.raises(InputError, match="is damaged"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(InputError, match="is damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1, 2], {"weights": 1}, torch.zeros(2)])
def test_other_data_is_no_checkpoint(content, tmp_path):
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="is no checkpoint of a training run"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint(GOOD, path)
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)):
        AtomicCheckpoints().save_checkpoint({**GOOD, "bad": lambda: None}, path)
    assert "bad" not in read_checkpoint(path)
    assert [item.name for item in tmp_path.iterdir()] == ["last.ckpt"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".last.ckpt.x1y2").touch()
    (tmp_path / "last.ckpt").touch()
    clear_unfinished(tmp_path)
    clear_unfinished(tmp_path / "missing")
    assert [item.name for item in tmp_path.iterdir()] == ["last.ckpt"]
