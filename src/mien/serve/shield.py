"""What stands before every request: who may ask, what browsers may do with the answer, and the counting.

- On a loopback address, the Host header must name this computer: a web site whose name was made to point here
  (DNS rebinding) is refused.
- A request that changes something, or opens a socket, must not come from another web site (Origin).
- With a token set, everything under /v1 and /metrics asks for it.
- Each answer tells browsers to run nothing but our own files, and to send nothing anywhere.
"""

import asyncio
import base64
import binascii
import hmac
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serve.metrics import Metrics
from mien.serve.problems import ProblemError

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer; a route may set another Cache-Control."""

TOKEN_PROTOCOL = "bearer."
"""How a page sends the token with a socket, which cannot have other headers: as a protocol, in base64url."""

_SAFE = {"GET", "HEAD", "OPTIONS"}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="mien"'}


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask.

    Attributes:
        token: what clients must know; None lets everybody in.
        hosts: names that the Host header may have, without port; None allows any.
        idle_seconds: seconds that a client may send nothing while its request is incomplete.
    """

    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] | None = None
    idle_seconds: float = 20.0


class Shield:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, rules: Rules, metrics: Metrics) -> None:
        """Stands before `app`."""
        self._app = app
        self._rules = rules
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            try:
                self._check(scope)
            except ProblemError as problem:
                await deny(problem, scope, receive, send)
            else:
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, status, asked = time.perf_counter(), 500, scope["method"]
        if asked == "HEAD":  # answered as GET; the server leaves the body out
            scope = {**scope, "method": "GET"}

        async def guarded_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        complete = False

        async def patient_receive() -> Message:
            nonlocal complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._rules.idle_seconds)
            except TimeoutError:
                raise ProblemError(
                    "too-slow",
                    f"nothing came for {self._rules.idle_seconds:g} s: send the body without a break",
                ) from None
            complete = not message.get("more_body", False)
            return message

        try:
            try:
                self._check(scope)
            except ProblemError as problem:
                await problem.response()(scope, receive, guarded_send)
            else:
                await self._app(scope, patient_receive, guarded_send)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = asked if asked in {*_SAFE, "POST"} else "other"
            self._metrics.requests.labels(route, method, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - start)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._rules.hosts is not None and _name(host) not in self._rules.hosts:
            raise ProblemError("foreign-host", "this service answers to localhost only: use that address")
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and origin is not None and _place(origin) != host.lower():
            raise ProblemError(
                "foreign-origin", "the request comes from another web site: use this one's page"
            )
        path = scope["path"]
        if self._rules.token is not None and (path.startswith("/v1/") or path == "/metrics"):
            given = _token(headers)
            if given is None or not hmac.compare_digest(given.encode(), self._rules.token.encode()):
                detail = "send the service's token in the header Authorization: Bearer TOKEN"
                raise ProblemError("no-token", detail, headers=_CHALLENGE)


def _place(origin: str) -> str | None:
    """The host, with its port, of an origin; None of what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # half of an IPv6 address
        return None


async def deny(problem: ProblemError, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses a socket before it is open, as an HTTP answer where the server can give one."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": problem.title})
        return
    answer = problem.response()
    for name, value in HEADERS.items():
        answer.headers[name] = value
    await send(
        {"type": "websocket.http.response.start", "status": problem.status, "headers": answer.raw_headers}
    )
    await send({"type": "websocket.http.response.body", "body": answer.body})


def _name(host: str) -> str:
    """The Host header without its port, in lower case."""
    host = host.lower()
    name, bracket, _ = host.partition("]")
    return name + bracket if bracket else host.partition(":")[0]


def _token(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        protocol = protocol.strip()
        if protocol.startswith(TOKEN_PROTOCOL):
            encoded = protocol.removeprefix(TOKEN_PROTOCOL)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return None
    return None
