"""Every error of the service as problem details (RFC 9457): one JSON object that says what was wrong."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"

KINDS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request cannot be understood"),
    "no-token": (401, "The token is missing or wrong"),
    "foreign-origin": (403, "Another web site may not use this service"),
    "not-found": (404, "There is nothing at this address"),
    "wrong-method": (405, "This address does not know this method"),
    "too-slow": (408, "The client was too slow"),
    "too-large": (413, "The upload is too large"),
    "wrong-type": (415, "This kind of content is not read here"),
    "foreign-host": (421, "The address in the request is not this service's"),
    "invalid": (422, "A part of the request has an impossible value"),
    "unreadable": (422, "The picture or video cannot be read"),
    "cut-short": (422, "The video was read up to here only"),
    "no-socket": (426, "This address wants a WebSocket"),
    "failed": (500, "The service failed"),
    "busy": (503, "The service is busy"),
    "stopping": (503, "The service is being stopped"),
}
"""Each kind of problem: its status and its title. The page at /docs explains them."""

UPLOAD = (
    *("bad-request", "no-token", "foreign-origin", "too-slow", "too-large", "wrong-type", "foreign-host"),
    *("unreadable", "failed", "busy", "stopping"),
)
"""What can be wrong with a request that brings a picture or a video."""

_OF_STATUS = {status: kind for kind, (status, _) in reversed(KINDS.items())}
_OF_STATUS[422] = "invalid"


class ProblemError(Exception):
    """A request that cannot be served, and why."""

    def __init__(self, kind: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        """Describes the problem.

        Args:
            kind: a key of `KINDS`.
            detail: what was wrong, and what to do, in one line.
            headers: of the answer, besides the usual.
            more: further members of the JSON object.
        """
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def to_dict(self) -> dict[str, Any]:
        """The members of the JSON object."""
        return {
            "type": f"/docs#{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }

    def response(self) -> Response:
        """The answer that tells the problem."""
        return JSONResponse(self.to_dict(), self.status, self.headers, MEDIA_TYPE)


def busy(detail: str, seconds: float) -> ProblemError:
    """The problem of a service that has no room, with the time after which it may have some."""
    return ProblemError("busy", detail, headers={"Retry-After": str(max(1, round(seconds)))})


def printed(name: str) -> str:
    """The name of an upload for messages, which are one line, whatever the name."""
    return name if name.isprintable() else ascii(name)


def renamed(message: str, source: str) -> str:
    """A message about bytes as one about the upload that they came in."""
    return message.replace("<bytes>", printed(source), 1)


def documented(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """These problems as FastAPI's `responses`, for the description of the API."""
    by_status: dict[int, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(KINDS[kind][0], []).append(KINDS[kind][1])
    answers: dict[int | str, dict[str, Any]] = {}
    for status, titles in sorted(by_status.items()):
        answers[status] = {
            "description": "; ".join(titles),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status == 503:
            answers[status]["headers"] = {
                "Retry-After": {
                    "description": "Seconds after which to try again",
                    "schema": {"type": "integer"},
                }
            }
    return answers


def install(app: FastAPI) -> None:
    """Makes an application tell all its errors in this way."""

    async def of_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return error.response()

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = _OF_STATUS.get(error.status_code)
        if kind is None:  # none that is raised here; told all the same
            status = HTTPStatus(error.status_code)
            body = {"type": "about:blank", "title": status.phrase, "status": status.value}
            return JSONResponse(body, status, error.headers, MEDIA_TYPE)
        details = {
            "not-found": f"{request.url.path}: see /docs for the addresses that there are",
            "wrong-method": f"{request.method} {request.url.path}: see the header Allow, and /docs",
        }
        detail = details.get(kind, str(error.detail))
        return ProblemError(kind, detail, headers=dict(error.headers or {})).response()

    async def of_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        return ProblemError("invalid", f"{place}: {wrong['msg']}").response()

    async def of_anything(request: Request, error: Exception) -> Response:
        return ProblemError("failed", "an error in mien, which its log tells; the picture is gone").response()

    app.add_exception_handler(ProblemError, of_problem)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(Exception, of_anything)
