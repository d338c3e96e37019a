from __future__ import annotations

import errno

import pytest

from softcam.errors import InputError
from softcam.files import folder_for, lock_name, locked, reason_of, replacing, write_atomically


def test_a_file_is_written_in_utf_8_and_replaced(tmp_path):
    path = tmp_path / "note.txt"
    assert write_atomically(path, "first") == path
    write_atomically(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["note.txt"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken").mkdir()  # the last step, moving into place, fails on a folder
    with pytest.raises(InputError, match="taken: cannot write here"):
        write_atomically(tmp_path / "taken", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"missing/note\.txt: cannot write here"):
        write_atomically(tmp_path / "missing" / "note.txt", "x")


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
    path = tmp_path / "note.txt"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_written_in_pieces_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "weights"
    with replacing(path) as stream:
        stream.write(b"old")
        stream.flush()
        assert not path.exists()
    with pytest.raises(KeyError), replacing(path) as stream:
        stream.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]


def test_a_folder_is_locked_while_a_command_works_in_it(tmp_path):
    folder = tmp_path / "new" / "out"
    with locked(folder, "scoring"):
        with pytest.raises(InputError, match="another softcam scoring is at work"):
            locked(folder, "scoring").__enter__()
        with locked(folder, "sweep"):
            pass
    with locked(folder, "scoring"):
        pass
    assert (folder / lock_name("scoring")).is_file()


def test_a_new_folder_goes_again_where_nothing_came_to_lie_in_it(tmp_path):
    with pytest.raises(InputError), folder_for(tmp_path / "new"):
        raise InputError("nothing to write.")
    assert not (tmp_path / "new").exists()
    with folder_for(tmp_path / "kept") as folder:
        (folder / "file").touch()
    (tmp_path / "old").mkdir()
    with folder_for(tmp_path / "old"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "old"}


def test_the_reason_is_the_system_s_also_where_a_library_raises_its_own():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert reason_of(full) == "No space left on device"
    try:
        try:
            raise full
        except OSError as error:
            raise OSError("failed to write an element") from error
    except OSError as error:
        assert reason_of(error) == "No space left on device"
    assert reason_of(OSError("odd")) == "odd"
