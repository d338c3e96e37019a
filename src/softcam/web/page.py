"""The page's own files, read once at the start: what a client names never reaches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from softcam.web.refusals import Refusal
from softcam.web.security import PAGE_POLICY

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_START = "index.html"


@dataclass(frozen=True)
class _File:
    content: bytes
    type: str


def page_routes() -> list[Route]:
    """Give the routes of `/` and `/static/NAME`."""
    files = _files()

    def answer(name: str) -> Response:
        file = files.get(name)
        if file is None:
            raise Refusal(404, "not_found", "There is nothing here.")
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
        return Response(file.content, media_type=file.type, headers=headers)

    async def start(request: Request) -> Response:
        return answer(_START)

    async def static(request: Request) -> Response:
        return answer(request.path_params["name"])

    return [Route("/", start), Route("/static/{name}", static)]


def _files() -> dict[str, _File]:
    found = {}
    for item in (resources.files("softcam.web") / "static").iterdir():
        kind = _TYPES.get("." + item.name.rpartition(".")[2])
        if kind is not None and item.is_file():
            found[item.name] = _File(item.read_bytes(), kind)
    return found
