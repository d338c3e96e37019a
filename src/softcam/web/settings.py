"""What `softcam serve` was told: address, token, folder; refused where it would not be safe."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from softcam.errors import InputError
from softcam.web.limits import Limits

TOKEN_VARIABLE = "SOFTCAM_TOKEN"
SHORTEST_TOKEN = 16
_LONGEST_TOKEN = 512
_MAKE_ONE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


@dataclass(frozen=True)
class Settings:
    """How the server is reached and what it may show.

    Attributes:
        host: The address that it listens on.
        port: The port; 0 for any that is free.
        token: What requests must carry in `Authorization: Bearer`; None for no token.
        folder: Images that may be listed and opened by their id; None for none.
        table: Table whose annotations are outlined; None for one that lies with the folder.
        cases: File that readers' cases are kept in; None for none.
        allowed_hosts: Further names that it may be called by, beside its own address.
        limits: How much it takes.

    Raises:
        InputError: It would listen to other machines without a token, or the folder is none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    folder: Path | None = None
    table: Path | None = None
    cases: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port: must be from 0 to 65535, not {self.port}.")
        if self.token is not None:
            _check_token("The token", self.token)
        elif not is_loopback(self.host):
            raise InputError(
                f"--host {self.host}: other machines could reach the server, so it needs a token; "
                f"give --token-file or {TOKEN_VARIABLE}, or use --host 127.0.0.1."
            )
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"--folder: {self.folder} is not a folder; name one with images.")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Read the token from a file or the environment.

    Args:
        file: A file that holds the token and nothing else, or None.
        environment: Where `SOFTCAM_TOKEN` may be; the file comes first.

    Returns:
        The token, or None if there is none.

    Raises:
        InputError: The file cannot be read, or the token is empty, too short or has odd characters.
    """
    if file is None:
        given = environment.get(TOKEN_VARIABLE)
        return None if given is None else _check_token(TOKEN_VARIABLE, given.strip())
    try:
        text = file.read_text("ascii").strip() if file.stat().st_size < 4096 else "x y"
    except OSError as error:
        raise InputError(
            f"--token-file: {file} cannot be read ({error.strerror}); {_MAKE_ONE}."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"--token-file: {file} holds no token in ASCII; {_MAKE_ONE}.") from error
    return _check_token(f"--token-file: {file}", text)


def _check_token(what: str, token: str) -> str:
    if not token:
        raise InputError(f"{what} is empty; {_MAKE_ONE}.")
    if len(token) < SHORTEST_TOKEN:
        raise InputError(
            f"{what} has a token of {len(token)} characters, which could be guessed; use "
            f"{SHORTEST_TOKEN} or more: {_MAKE_ONE}."
        )
    if len(token) > _LONGEST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise InputError(
            f"{what} must be one word of at most {_LONGEST_TOKEN} ASCII characters; {_MAKE_ONE}."
        )
    return token
