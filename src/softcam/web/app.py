"""The application: gate, routes and page put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import metadata

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from softcam.errors import SoftcamError
from softcam.web.cases import cases_routes
from softcam.web.cases_store import CaseStore
from softcam.web.engine import Engine
from softcam.web.folder import Folder
from softcam.web.gate import Gate
from softcam.web.marks import find_marks, marks_routes
from softcam.web.metrics import Measured
from softcam.web.models import ServedModel
from softcam.web.page import page_routes
from softcam.web.predict import predict_routes
from softcam.web.refusals import Refusal
from softcam.web.security import Guard
from softcam.web.settings import Settings
from softcam.web.status import status_routes
from softcam.web.upload import Pending

_ABOUT = (
    "Image classifiers that show their evidence: the mean of a class's evidence map is its logit."
)


def create_app(models: Mapping[str, ServedModel], settings: Settings) -> FastAPI:
    """Put the application together; its lifespan starts and ends processes and threads.

    Args:
        models: Models by name; the first is taken where a request names none.
        settings: Address, token, folder and limits.
    """
    measured = Measured()
    engine = Engine(models, settings.limits, measured)
    pending = Pending(settings.limits)
    folder = None if settings.folder is None else Folder(settings.folder, settings.limits.body)
    marks = find_marks(settings.folder, settings.table)
    store = None
    if settings.cases is not None:
        store = CaseStore(settings.cases, settings.limits.log)
    measured.gauge("softcam_pending_requests", "In work.", lambda: pending.requests)
    measured.gauge("softcam_pending_bytes", "Bodies in memory.", lambda: pending.bytes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            try:
                await asyncio.to_thread(engine.start)
            except SoftcamError as error:
                app.state.failure = error  # uvicorn would tell only that it failed
                raise
            yield
        finally:
            await asyncio.to_thread(engine.stop)
            if store is not None:
                await asyncio.to_thread(store.close)

    app = FastAPI(
        title="softcam",
        version=metadata.version("softcam"),
        description=_ABOUT,
        lifespan=lifespan,
        # The documentation's pages would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        routes=list(page_routes()),
    )
    app.state.engine = engine
    if settings.token is not None:
        _describe_token(app)
    app.include_router(status_routes(engine, measured))
    app.include_router(predict_routes(engine, folder, pending))
    app.include_router(marks_routes(folder, marks))
    app.include_router(cases_routes(store, pending, settings.limits))
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Gate, guard=Guard(settings), limits=settings.limits, measured=measured)
    return app


async def _http(request: Request, error: Exception) -> Response:
    """Give Starlette's own refusals (no such route, no such method) the form of ours."""
    assert isinstance(error, HTTPException)
    said = {404: ("not_found", "There is nothing here."), 405: ("no_such_method", "")}
    code, reason = said.get(error.status_code, ("refused", "The request cannot be answered."))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers = {"Allow": _methods(request) or headers.get("Allow", "GET")}
        reason = f"This address takes {headers['Allow']}."
    return Refusal(error.status_code, code, reason, headers=headers).response()


def _methods(request: Request) -> str:
    """List what an address takes; Starlette names but the methods of the first of its routes."""
    path = getattr(request.scope.get("route"), "path", "")
    return ", ".join(
        sorted(method.upper() for method in request.app.openapi()["paths"].get(path, {}))
    )


async def _invalid(request: Request, error: Exception) -> Response:
    """Say which parameter is wrong, without what was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = first["loc"][-1] if first["loc"] else "parameter"
    said = first["msg"][:1].lower() + first["msg"][1:]
    return Refusal(422, "bad_parameter", f"The parameter {place} is wrong: {said}.").response()


def _describe_token(app: FastAPI) -> None:
    """Say in the OpenAPI document that requests need the token."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        document = made()
        parts = document.setdefault("components", {})
        parts.setdefault("securitySchemes", {})["token"] = {"type": "http", "scheme": "bearer"}
        for path, methods in document["paths"].items():
            if not path.startswith(("/healthz", "/readyz")):
                for operation in methods.values():
                    operation["security"] = [{"token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change it
