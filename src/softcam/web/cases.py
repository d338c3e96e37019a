"""The routes of the case log: save, change, delete, list and export what readers say."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.responses import StreamingResponse

from softcam.web.body import read_body
from softcam.web.cases_schemas import CaseOut, CasesOut, ChangedCase, NewCase
from softcam.web.cases_store import CaseStore
from softcam.web.cases_table import class_names, to_csv
from softcam.web.decoding import check_format
from softcam.web.gate import HELD
from softcam.web.limits import Limits
from softcam.web.pieces import Pieces
from softcam.web.predict import FORM
from softcam.web.problems import problems
from softcam.web.refusals import Refusal
from softcam.web.upload import Pending, read_file

_LONGEST = 512 << 10
_CSV = "text/csv; charset=utf-8"
_BYTES = "application/octet-stream"
_Given = TypeVar("_Given", bound=BaseModel)
_Id = Annotated[str, Path(alias="id", max_length=64, description="An id of /v1/cases.")]


def _json(schema: type[BaseModel]) -> dict[str, Any]:
    """Describe a body that we read ourselves, since FastAPI would read one of any length."""
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def cases_routes(store: CaseStore | None, pending: Pending, limits: Limits) -> APIRouter:
    """Give the routes.

    Args:
        store: Where cases are kept; None where the server was started without.
        pending: Where bodies are counted.
        limits: Bytes and seconds of a body.
    """
    router = APIRouter(prefix="/v1", tags=["cases"])

    def kept() -> CaseStore:
        if store is None:
            raise Refusal(404, "no_cases", "The server was started without --cases.")
        return store

    @router.get("/cases", summary="Saved cases, the latest first", responses=problems(401, 404))
    async def listing(
        request: Request,
        offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
        limit: Annotated[int, Query(ge=0, le=1000)] = 100,
        sha256: Annotated[
            str | None, Query(pattern="^[0-9a-f]{64}$", description="Only cases of this image.")
        ] = None,
    ) -> CasesOut:
        store = kept()
        request.scope[HELD].enter_context(pending.request())
        cases, total = await asyncio.to_thread(
            store.list, offset=offset, limit=limit, sha256=sha256
        )
        return CasesOut(cases=cases, total=total)

    @router.post(
        "/cases",
        summary="Save a case",
        status_code=201,
        responses=problems(401, 404, 408, 413, 415, 507),
        openapi_extra=_json(NewCase),
    )
    async def add(request: Request) -> CaseOut:
        store = kept()
        with pending.request():
            return await asyncio.to_thread(store.add, await _read(request, NewCase, limits))

    @router.get(
        "/cases.csv",
        summary="All cases as a table",
        response_class=Response,
        responses={200: {"content": {_CSV: {"schema": {"type": "string"}}}}, **problems(401, 404)},
    )
    async def export(request: Request) -> Response:
        store = kept()
        request.scope[HELD].enter_context(pending.request())
        names = await asyncio.to_thread(class_names, store.walk())

        def table() -> Iterator[bytes]:
            yield codecs.BOM_UTF8  # the mark that makes Excel read UTF-8
            for lines in to_csv(store.walk(), names):
                yield lines.encode("utf-8", "replace")

        return StreamingResponse(
            table(),
            media_type=_CSV,
            headers={"Content-Disposition": 'attachment; filename="cases.csv"'},
        )

    @router.get("/cases/{id}", summary="A case", responses=problems(401, 404))
    async def one(id_: _Id) -> CaseOut:
        return await asyncio.to_thread(kept().get, id_)

    @router.put(
        "/cases/{id}",
        summary="Change what is said about a case",
        responses=problems(401, 404, 408, 409, 413, 415, 507),
        openapi_extra=_json(ChangedCase),
    )
    async def change(request: Request, id_: _Id) -> CaseOut:
        store = kept()
        with pending.request():
            given = await _read(request, ChangedCase, limits)
            return await asyncio.to_thread(store.change, id_, given.revision, given)

    @router.delete(
        "/cases/{id}",
        summary="Delete a case, and its image",
        status_code=204,
        response_class=Response,
        responses=problems(401, 404),
    )
    async def delete(id_: _Id) -> Response:
        await asyncio.to_thread(kept().delete, id_)
        return Response(status_code=204)

    @router.put(
        "/cases/{id}/image",
        summary="Keep the image with a case",
        responses=problems(401, 404, 408, 409, 413, 415, 507),
        openapi_extra=FORM,
    )
    async def keep(request: Request, id_: _Id) -> CaseOut:
        store = kept()
        with pending.request() as held:
            case = await asyncio.to_thread(store.get, id_)
            data = await read_file(request, limits, held)
            check_format(data)
            digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
            if digest != case.sha256:
                raise Refusal(409, "another_image", "This is not the image that the case is about.")
            return await asyncio.to_thread(store.keep_image, id_, data)

    @router.get(
        "/cases/{id}/image",
        summary="The image that is kept with a case, as its file",
        response_class=Response,
        responses={
            200: {"content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}}},
            **problems(401, 404),
        },
    )
    async def image(request: Request, id_: _Id) -> Response:
        store = kept()
        held = request.scope[HELD].enter_context(pending.request())
        held.take(await asyncio.to_thread(store.image_size, id_))
        return Pieces(
            await asyncio.to_thread(store.image, id_),
            media_type=_BYTES,
            headers={"Content-Disposition": 'attachment; filename="case"'},
        )

    return router


async def _read(request: Request, schema: type[_Given], limits: Limits) -> _Given:
    """Read a body of JSON, bounded in size and time.

    Raises:
        Refusal: 408, 413, 415 or 422.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "not_json", "The body must be application/json.")
    too_large = Refusal(413, "too_large", f"The body is larger than the {_LONGEST} bytes allowed.")
    body = await read_body(request, limits.body_seconds, _LONGEST, too_large)
    try:
        return schema.model_validate_json(bytes(body), strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        # Places are names of ours, but for the keys of a dictionary, which are the client's.
        known = [str(part) for part in first["loc"][:1] if part in schema.model_fields]
        what = f"its field {known[0]}" if known else "it"
        reason = f"The body cannot be used: {what} is wrong ({first['type']})."
        raise Refusal(422, "bad_body", reason) from None
