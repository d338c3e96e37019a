"""The routes that tell how the server is: alive, ready, which models, how much it did."""

from __future__ import annotations

from fastapi import APIRouter, Response

from softcam.web.engine import Engine
from softcam.web.metrics import Measured
from softcam.web.problems import problems
from softcam.web.schemas import ModelsOut, StatusOut

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def status_routes(engine: Engine, measured: Measured) -> APIRouter:
    """Give the routes."""
    router = APIRouter()

    @router.get(
        "/healthz", summary="Whether the server lives", responses=problems(), tags=["status"]
    )
    async def healthz() -> StatusOut:
        return StatusOut()

    @router.get(
        "/readyz",
        summary="Whether requests can be answered",
        responses=problems(503),
        tags=["status"],
    )
    async def readyz() -> StatusOut:
        engine.check_ready()
        return StatusOut()

    @router.get(
        "/metrics",
        summary="Counts and times in Prometheus's text format",
        response_class=Response,
        responses={200: {"content": {_TEXT: {"schema": {"type": "string"}}}}, **problems(401)},
        tags=["status"],
    )
    async def metrics() -> Response:
        return Response(measured.text(), media_type=_TEXT)

    @router.get(
        "/v1/models",
        summary="The models that are served",
        responses=problems(401),
        tags=["models"],
    )
    async def models() -> ModelsOut:
        return ModelsOut(models=engine.described())

    return router
