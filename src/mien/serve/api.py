"""The API under /v1: pictures, videos, cameras, models."""

import asyncio
from collections.abc import Awaitable
from importlib.util import find_spec
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from mien.detect import DETECTORS
from mien.errors import ImageError
from mien.labels import CROWD, EXPRESSIONS
from mien.serve import schemas
from mien.serve.bodies import FORM, described, gone_away, media_type
from mien.serve.engine import Engine
from mien.serve.explained import explained
from mien.serve.limits import Limits
from mien.serve.problems import UPLOAD, ProblemError, documented, printed, renamed

_T = TypeVar("_T")

router = APIRouter(prefix="/v1")

# An explanation takes about as long as so many pictures.
_EXPLANATION = 4


@router.post(
    "/predict",
    tags=["pictures"],
    openapi_extra=described(
        "One picture as it is (JPEG, PNG, WebP, BMP, TIFF or GIF), or a form with one or more",
        "image/*",
        "files",
        many=True,
    ),
    responses={
        200: {
            "description": (
                "For one picture as it is, its record; for a form, an array of records in the order of its files, "
                "where one that cannot be read has its `error` set"
            ),
            "content": {
                "application/json": {
                    "schema": {
                        "oneOf": [
                            {"$ref": "#/components/schemas/Picture"},
                            {"type": "array", "items": {"$ref": "#/components/schemas/Picture"}},
                        ]
                    }
                }
            },
        },
        **documented(*UPLOAD),
    },
)
async def predict(request: Request) -> Response:
    """Finds the faces in pictures and reads their expressions."""
    engine: Engine = request.app.state.engine
    limits: Limits = request.app.state.limits
    engine.check_room()
    many = media_type(request) == FORM
    most = limits.max_files * limits.max_bytes if many else limits.max_bytes
    hold = request.app.state.bodies.hold
    async with hold(request, most, "a picture", limits.max_files, ("image/",)) as uploads:
        for upload in uploads:
            if len(upload.content) > limits.max_bytes:
                raise ProblemError(
                    "too-large", f"{printed(upload.source)}: a picture may have {limits.max_bytes:,} bytes"
                )
        results = await unless_gone(request, engine.read(uploads))
    if many:
        return JSONResponse([faces.to_dict() for faces in results])
    (faces,) = results
    if faces.error is not None:
        raise ProblemError("unreadable", faces.error)
    return JSONResponse(faces.to_dict())


@router.post(
    "/explain",
    tags=["pictures"],
    response_model=schemas.Explanation,
    openapi_extra=described("One picture as it is", "image/*"),
    responses=documented(*UPLOAD, "invalid"),
)
async def explain(
    request: Request,
    face: Annotated[int, Query(ge=0, description="Which face of the picture, from 0")] = 0,
    expression: Annotated[
        schemas.Expression | None, Query(description="Which to explain; by default the most probable")
    ] = None,
) -> Response:
    """Tells which parts of a face the share of an expression rests on, by hiding parts of it in many ways."""
    engine: Engine = request.app.state.engine
    limits: Limits = request.app.state.limits
    places = min(_EXPLANATION, limits.max_queue)
    engine.check_room(places)
    hold = request.app.state.bodies.hold
    async with hold(request, limits.max_bytes, "a picture", 1, ("image/",)) as (upload,):
        with engine.room(places):  # not before: the body may be slow to come
            try:
                pixels = await engine.decode(upload.content)
            except ImageError as error:
                raise ProblemError("unreadable", renamed(str(error), upload.source)) from error
            work = engine.call(lambda: explained(engine.recognizer, pixels, face, expression))
            return JSONResponse(await unless_gone(request, work))


@router.get(
    "/models",
    tags=["models"],
    response_model=schemas.Models,
    responses=documented("no-token", "foreign-host"),
)
async def models(request: Request) -> dict[str, Any]:
    """The models that are here, the words they answer in, and the limits of this service."""
    engine: Engine = request.app.state.engine
    limits: Limits = request.app.state.limits
    loaded = request.app.state.model
    classifier = engine.recognizer.classifier
    return {
        "models": [
            {
                "name": classifier.name if model == loaded else model,
                "loaded": model == loaded,
                "sha256": sha256,
                "size": classifier.size if model == loaded else None,
            }
            for model, sha256 in request.app.state.hashes.items()
        ],
        "detector": DETECTORS[0],
        "expressions": list(EXPRESSIONS),
        "crowd": list(CROWD),
        "video": find_spec("av") is not None,
        "limits": {name: getattr(limits, name) for name in limits.__slots__},
    }


async def unless_gone(request: Request, work: Awaitable[_T]) -> _T:
    """The result of work, which is given up when the client goes away; what is begun of it is ended first.

    Raises:
        ProblemError: the client went away.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise gone_away()
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.wait({task})


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
