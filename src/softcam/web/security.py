"""Who may ask: the host that is named, the page that asks, the token; headers that bind browsers.

Without a token the server listens on loopback only, and what keeps a foreign page in the user's
browser away is the check of `Host` (against names that are made to point here) and of `Origin`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from softcam.web.refusals import Refusal
from softcam.web.settings import Settings, is_loopback

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_WILDCARDS = ("0.0.0.0", "::", "[::]")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

PUBLIC = ("/", "/healthz", "/readyz", "/openapi.json")
PUBLIC_FOLDER = "/static/"


def is_public(path: str) -> bool:
    """Whether a path is answered without a token: the page's own files, and whether we live."""
    return path in PUBLIC or path.startswith(PUBLIC_FOLDER)


class Guard:
    """Checks requests.

    Args:
        settings: Address, token and further names.
    """

    def __init__(self, settings: Settings) -> None:
        self._digest = None if settings.token is None else _digest(settings.token)
        host = settings.host.strip("[]").lower()
        own = f"[{host}]" if ":" in host else host
        names = {*_LOOPBACK, own, *(name.lower() for name in settings.allowed_hosts)}
        # A page that a name was made to point here does not know the token, so that any name is
        # as good as another; and which names this machine has, it does not know itself.
        free = (
            settings.token is not None
            and not settings.allowed_hosts
            and not is_loopback(settings.host)
        )
        self._names = None if free else names - set(_WILDCARDS)

    def check_host(self, hosts: Sequence[str]) -> None:
        """Check the `Host` header.

        Args:
            hosts: Its values; there must be one.

        Raises:
            Refusal: 421 for a name that is not ours.
        """
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            raise Refusal(421, "wrong_host", "The request must name one valid host.")
        if self._names is not None and match[1].lower() not in self._names:
            raise Refusal(
                421,
                "wrong_host",
                "The server is not called so; use its own address, or start it with --allow-host.",
            )

    def check_origin(self, host: str, origins: Sequence[str], fetch_site: str) -> None:
        """Check that it is not another site's page that asks.

        Args:
            host: The `Host` header.
            origins: The `Origin` headers; browsers send one with what changes something.
            fetch_site: The `Sec-Fetch-Site` header, or "".

        Raises:
            Refusal: 403 for another site.
        """
        own = {f"http://{host}".lower(), f"https://{host}".lower()}
        if any(origin.lower() not in own for origin in origins) or fetch_site in (
            "cross-site",
            "same-site",
        ):
            raise Refusal(
                403, "foreign_origin", "Pages of other sites may not use this server; use its own."
            )

    def check_token(self, authorization: Sequence[str]) -> None:
        """Check the `Authorization` header, in a time that does not depend on what is right.

        Args:
            authorization: Its values; there must be one.

        Raises:
            Refusal: 401.
        """
        if self._digest is None:
            return
        given = authorization[0] if len(authorization) == 1 else ""
        scheme, _, token = given.partition(" ")
        # Digests have one length, which compare_digest may tell.
        same = hmac.compare_digest(_digest(token.strip()), self._digest)
        if not (same and scheme.lower() == "bearer"):
            raise Refusal(
                401,
                "token_needed",
                "The request needs the server's token, as Authorization: Bearer TOKEN.",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
