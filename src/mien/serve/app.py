"""The service as an ASGI application: the page, the API and what operators ask."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from mien import __version__
from mien.model_file import find_model, shipped_models
from mien.recognize import Recognizer
from mien.serve import api, live, problems, schemas, videos
from mien.serve.bodies import Bodies
from mien.serve.engine import Engine
from mien.serve.limits import Limits
from mien.serve.metrics import CONTENT_TYPE, Metrics
from mien.serve.places import Places
from mien.serve.shield import Rules, Shield

STATIC = files("mien") / "serve" / "static"

_DESCRIPTION = (
    "Says what people would call the facial expressions in pictures and videos. What is sent is read in memory, "
    "answered, and forgotten; nothing is stored, and nothing is sent on."
)


class Service:
    """The application: `engine` does the reading, `app` is what an ASGI server runs."""

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        model: str = "base",
        limits: Limits | None = None,
        rules: Rules | None = None,
    ) -> None:
        """Makes the application. The engine starts with it, and ends with `close` or the server's lifespan.

        Args:
            recognizer: what finds and reads faces (see mien.serve.engine.load_recognizer).
            model: the name or the path that the recogniser was loaded from.
            limits: how much is taken; None takes the defaults.
            rules: who may ask; None lets everybody ask, which is for tests.

        Raises:
            ModelError: there is no such model any more.
        """
        self.limits = limits or Limits()
        rules = rules or Rules()
        metrics = Metrics()
        self.engine = Engine(recognizer, self.limits, metrics)
        app = FastAPI(
            title="mien",
            version=__version__,
            description=_DESCRIPTION,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            lifespan=self._lifespan,
        )
        app.state.engine = self.engine
        app.state.model = model
        # Now, while they are there: what lies on the disk later need not be what was loaded.
        app.state.hashes = {
            name: hashlib.sha256(find_model(name).read_bytes()).hexdigest()
            for name in dict.fromkeys((model, *shipped_models()))
        }
        app.state.limits = self.limits
        app.state.metrics = metrics
        app.state.bodies = Bodies(self.limits, metrics)
        app.state.videos = Places(
            self.engine,
            metrics,
            self.limits.max_videos,
            "videos",
            "as many videos are being read as may be at once",
        )
        app.state.cameras = Places(
            self.engine,
            metrics,
            self.limits.max_sockets,
            "sockets",
            "as many cameras are connected as may be at once",
        )
        problems.install(app)
        for router in (api.router, videos.router, live.router, _operators, _page):
            app.include_router(router)
        app.mount("/static", _Static(directory=str(STATIC)))
        app.state.description = describe(app, token=rules.token is not None)
        self._app = Shield(app, rules, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves, as ASGI has it."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        yield
        self.engine.close()


_operators = APIRouter(tags=["operators"])


@_operators.get("/healthz", response_model=schemas.State)
async def healthz() -> dict[str, str]:
    """Whether the process is alive."""
    return {"status": "alive"}


@_operators.get("/readyz", response_model=schemas.State, responses=problems.documented("stopping"))
async def readyz(request: Request) -> dict[str, str]:
    """Whether pictures are taken: the models are loaded, and the service is not being stopped."""
    request.app.state.engine.check_ready()
    return {"status": "ready"}


@_operators.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "All measures", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems.documented("no-token"),
    },
)
async def metrics(request: Request) -> Response:
    """What was asked and read, and how long it took, for Prometheus."""
    return Response(request.app.state.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


_page = APIRouter(include_in_schema=False)


@_page.get("/")
async def page() -> Response:
    """The page."""
    return FileResponse(str(STATIC / "index.html"), headers={"Cache-Control": "no-cache"})


@_page.get("/docs")
async def docs() -> Response:
    """The description of the API, for people."""
    return FileResponse(str(STATIC / "docs.html"), headers={"Cache-Control": "no-cache"})


@_page.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The description of the API, for programs."""
    return JSONResponse(request.app.state.description)


class _Static(StaticFiles):
    """Our own files; browsers ask each time whether they changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def describe(app: FastAPI, *, token: bool) -> dict[str, Any]:
    """The OpenAPI description."""
    description = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    known = description.setdefault("components", {}).setdefault("schemas", {})
    for shape in (schemas.Problem, schemas.Picture, schemas.Frame):
        schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
        known |= schema.pop("$defs", {})
        known[shape.__name__] = schema
    # FastAPI's own shapes of errors, which are not told here.
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    for path in description["paths"].values():
        for operation in path.values():
            answers = operation["responses"]
            if "422" in answers and "application/json" in answers["422"].get("content", {}):
                answers["422"] = problems.documented("invalid")[422]
            if "401" in answers:
                if token:
                    operation["security"] = [{"token": []}]
                else:
                    del answers["401"]
    if token:
        description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return description
