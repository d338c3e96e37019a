from __future__ import annotations

from pathlib import Path

import pytest

from softcam.errors import InputError
from softcam.web.limits import Limits
from softcam.web.settings import Settings, is_loopback, read_token

TOKEN = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "server.example", ""])
def test_other_machines_are_served_with_a_token_only(host):
    with pytest.raises(InputError, match="token"):
        Settings(host=host)
    assert Settings(host=host, token=TOKEN).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_token(host):
    assert is_loopback(host)
    assert Settings(host=host).token is None


def test_the_token_comes_from_the_file_then_from_the_environment(tmp_path):
    file = tmp_path / "token.txt"
    file.write_text(TOKEN + "\n")
    assert read_token(file, {"SOFTCAM_TOKEN": "x" * 20}) == TOKEN
    assert read_token(None, {"SOFTCAM_TOKEN": "x" * 20}) == "x" * 20
    assert read_token(None, {}) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"two words of a token", b"\xff" * 30])
def test_a_token_file_without_a_good_token_is_refused_by_name(tmp_path, content):
    file = tmp_path / "token.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"token\.txt") as raised:
        read_token(file, {})
    said = str(raised.value)
    assert said.endswith(".") and "two words" not in said and "short" not in said.split("too")[0]


def test_a_missing_token_file_or_folder_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt"):
        read_token(tmp_path / "nowhere.txt", {})
    with pytest.raises(InputError, match=r"--token-file"):
        read_token(tmp_path, {})
    with pytest.raises(InputError, match="none-there"):
        Settings(folder=tmp_path / "none-there")


def test_an_empty_environment_variable_is_no_token():
    with pytest.raises(InputError, match="SOFTCAM_TOKEN is empty"):
        read_token(None, {"SOFTCAM_TOKEN": ""})


def test_the_token_is_not_in_the_settings_text():
    assert TOKEN not in repr(Settings(token=TOKEN, folder=Path()))


def test_limits_that_would_refuse_everything_are_refused():
    with pytest.raises(InputError, match="queue"):
        Limits(queue=0)
    with pytest.raises(InputError, match="rate"):
        Limits(rate=float("nan"))
    with pytest.raises(InputError, match="--port"):
        Settings(port=70_000)
