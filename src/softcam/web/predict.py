"""The routes that run a model: on an uploaded file, or on an image of the folder."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from softcam.web.answer import Picture, Regions, Wanted
from softcam.web.engine import Engine
from softcam.web.folder import Folder
from softcam.web.gate import HELD
from softcam.web.pieces import Pieces
from softcam.web.problems import problems
from softcam.web.refusals import Refusal
from softcam.web.schemas import FolderOut, ImageEntry, PredictionOut
from softcam.web.upload import Held, Pending, read_file

Format = Literal["json", "npz", "png"]

_NPZ = "application/x-npz"
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "A PNG, JPEG, TIFF or DICOM image.",
                        }
                    },
                },
                "encoding": {
                    "file": {"contentType": "image/png, image/jpeg, image/tiff, application/dicom"}
                },
            }
        },
    }
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": PredictionOut,
        "description": "What the model says, as JSON, as raw maps (npz) or as a picture (PNG).",
        "content": {_NPZ: _BINARY, "image/png": _BINARY},
    },
    **problems(401, 404, 408, 413, 415),
}


class Asked:
    """The parameters that both routes take."""

    def __init__(
        self,
        model: Annotated[
            str | None,
            Query(max_length=200, description="A name of /v1/models, or its first."),
        ] = None,
        frame: Annotated[
            int | None,
            Query(ge=1, le=999_999_999, description="Frame or page of the file, counted from 1."),
        ] = None,
        regions: Annotated[
            Regions, Query(description="Of which maps the evidence regions are listed.")
        ] = "own",
        threshold: Annotated[
            float | None,
            Query(
                ge=0,
                le=1e30,
                allow_inf_nan=False,
                description="Evidence from which a cell belongs to a region, in logit units; half "
                "of the strongest cell of each map if none.",
            ),
        ] = None,
        maps: Annotated[bool, Query(description="Whether JSON has the raw maps.")] = False,
        image: Annotated[
            Picture,
            Query(
                description="Whether JSON has the image as a PNG: as shown to the model, or for a "
                "grey DICOM over its full range."
            ),
        ] = "none",
        format: Annotated[
            Format | None, Query(description="The answer's format; without it, Accept decides.")
        ] = None,
        class_: Annotated[
            str | None,
            Query(alias="class", max_length=200, description="PNG: the class to draw."),
        ] = None,
        contrast: Annotated[
            bool, Query(description="PNG: the class against the others, not its own evidence.")
        ] = False,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> None:
        self.model = model
        self.format = format or _format(accept)
        self.class_ = class_
        self.contrast = contrast
        # The pixels go along with JSON only.
        self.wanted = Wanted(
            frame, regions, threshold, maps, image if self.format == "json" else "none"
        )


def _format(accept: str) -> Format:
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for kind in kinds:
        if kind == _NPZ:
            return "npz"
        if kind == "image/png":
            return "png"
        if kind in ("application/json", "application/*", "*/*"):
            return "json"
    return "json"


def predict_routes(engine: Engine, folder: Folder | None, pending: Pending) -> APIRouter:
    """Give the routes."""
    router = APIRouter(tags=["predict"])

    async def answer(data: bytes, asked: Asked, held: Held) -> Response:
        model = engine.model(asked.model)
        answered = await engine.answer(data, model, asked.wanted)
        if asked.format == "npz":
            return sent(await engine.npz(answered), _NPZ, held)
        if asked.format == "png":
            png = await engine.draw(data, answered, asked.wanted, asked.class_, asked.contrast)
            return sent(png, "image/png", held)
        out = await engine.describe(answered, asked.wanted)
        # Not by way of FastAPI, which would check once more what is typed already.
        return sent(out.model_dump_json().encode(), "application/json", held)

    def sent(content: bytes, kind: str, held: Held) -> Response:
        held.take(len(content))
        return Pieces(content, media_type=kind)

    @router.post(
        "/v1/predict",
        summary="What a model says about an image, and where it sees it",
        response_class=Response,
        responses=_ANSWERS,
        openapi_extra=FORM,
    )
    async def predict(request: Request, asked: Annotated[Asked, Depends()]) -> Response:
        engine.model(asked.model)
        held = request.scope[HELD].enter_context(pending.request())
        data = await read_file(request, engine.limits, held)
        return await answer(data, asked, held)

    def served() -> Folder:
        if folder is None:
            raise Refusal(404, "no_folder", "The server was started without --folder.")
        return folder

    @router.get(
        "/v1/folder",
        summary="The images of the folder that is served",
        responses=problems(401, 404),
        tags=["folder"],
    )
    async def listing(
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> FolderOut:
        entries = await asyncio.to_thread(served().entries)
        return FolderOut(
            images=[
                ImageEntry(id=entry.id, name=entry.name, bytes=entry.bytes)
                for entry in entries[offset : offset + limit]
            ],
            total=len(entries),
        )

    @router.post(
        "/v1/folder/{id}/predict",
        summary="The same for an image of the folder",
        response_class=Response,
        responses=_ANSWERS,
        tags=["folder"],
    )
    async def predict_from_folder(
        request: Request,
        id_: Annotated[str, Path(alias="id", max_length=64, description="An id of /v1/folder.")],
        asked: Annotated[Asked, Depends()],
    ) -> Response:
        held = request.scope[HELD].enter_context(pending.request())
        data = await asyncio.to_thread(served().read, id_)
        held.take(len(data))
        return await answer(data, asked, held)

    return router
