"""Reads what clients send, in memory and within limits; no byte of it, and no name, is written to disk."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from typing import TYPE_CHECKING, Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect

from mien.serve.engine import Engine, Upload
from mien.serve.limits import Limits
from mien.serve.metrics import Metrics
from mien.serve.problems import ProblemError, busy

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

UNNAMED = "<upload>"
FORM = "multipart/form-data"
# The last is what curl --data-binary says when it is not told.
_RAW = ("", "application/octet-stream", "application/x-www-form-urlencoded")
_LONGEST_NAME = 255
_FIELDS = 16  # parts of a form that are no files, as browsers may add some


def described(what: str, kind: str, field: str | None = None, *, many: bool = False) -> dict[str, Any]:
    """A body for the description of the API.

    Args:
        what: what it is, for people.
        kind: the content type of what is sent as it is, such as "image/*".
        field: the field of a form that may be sent instead; None: no form is taken.
        many: whether the form may hold several.
    """
    file = {"type": "string", "format": "binary"}
    content: dict[str, Any] = {name: {"schema": file} for name in (kind, "application/octet-stream")}
    if field is not None:
        held = {"type": "array", "minItems": 1, "items": file} if many else file
        content[FORM] = {"schema": {"type": "object", "required": [field], "properties": {field: held}}}
    return {"requestBody": {"required": True, "description": what, "content": content}}


class Bodies:
    """Reads bodies, and knows how many bytes of them are held at once."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        """Begins with none."""
        self._limits = limits
        self._metrics = metrics
        self._held = 0

    @asynccontextmanager
    async def hold(
        self, request: Request, most: int, what: str, files: int, kinds: tuple[str, ...]
    ) -> AsyncIterator[list[Upload]]:
        """Reads the files in a body, of a form or the body itself, and counts its bytes until the block ends.

        Args:
            request: whose body it is.
            most: bytes that it may have.
            what: what it holds, for messages.
            files: how many a form may hold.
            kinds: first parts of the content types that are read as they are, such as "image/".

        Raises:
            ProblemError: it is too large, too slow, empty, of another type, or a damaged form; there is no room
                for it now, or its client went away.
        """
        most = min(most, self._limits.max_pending_bytes)  # more could never be held, however long one waits
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise _too_large(what, most)
        taken, chunks = 0, []
        start = time.monotonic()
        try:
            async for chunk in request.stream():
                chunks.append(chunk)
                taken += len(chunk)
                self._held += len(chunk)
                if taken > most:
                    raise _too_large(what, most)
                if self._held > self._limits.max_pending_bytes:
                    self._metrics.refused.labels("bytes").inc()
                    raise busy("too many uploads at once: try again in 2 s", 2)
                # One who sends nothing at all is left by mien.serve.shield.
                self._check_pace(taken, time.monotonic() - start)
            if not taken:
                raise ProblemError("bad-request", f"the body is empty: send the bytes of {what}")
            body = b"".join(chunks)
            chunks.clear()
            uploads = await _files_of(request, body, files, kinds)
            del body  # a form's files are copies of its parts
            yield uploads
        except ClientDisconnect:
            raise gone_away() from None
        finally:
            self._held -= taken

    def _check_pace(self, taken: int, seconds: float) -> None:
        limits = self._limits
        if seconds > limits.transfer_seconds:
            raise ProblemError(
                "too-slow",
                f"{taken:,} bytes in {seconds:.0f} s: an upload may take {limits.transfer_seconds:g} s; send less",
            )
        if seconds - limits.idle_seconds > taken / limits.min_bytes_per_second:
            raise ProblemError(
                "too-slow",
                f"{taken:,} bytes in {seconds:.0f} s: send {limits.min_bytes_per_second:,} bytes a second or more",
            )


def gone_away() -> ProblemError:
    """The problem of a request whose client does not wait for the answer: it is counted, and reaches nobody."""
    return ProblemError("too-slow", "the client went away before its answer")


def _too_large(what: str, most: int) -> ProblemError:
    return ProblemError("too-large", f"{what} may have {most:,} bytes in all: shrink it, or send fewer")


async def _files_of(request: Request, body: bytes, most: int, kinds: tuple[str, ...]) -> list[Upload]:
    kind = media_type(request)
    if kind == FORM:
        engine: Engine = request.app.state.engine
        return await engine.aside(lambda: split_form(body, request.headers["content-type"], most))
    if not (kind.startswith(kinds) or kind in _RAW):
        raise ProblemError(
            "wrong-type", f"{kind[:99]}: send {kinds[0]}*, application/octet-stream or multipart/form-data"
        )
    return [Upload(body, UNNAMED)]


def media_type(request: Request) -> str:
    """The type of a body, without its parameters; empty when it is not said."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def split_form(body: bytes, content_type: str, most: int) -> list[Upload]:
    """The files of a form, multipart/form-data, in their order, whatever their fields are called.

    Raises:
        ProblemError: the form is damaged, holds no file, or more than `most`.
    """
    header = Message()
    header["content-type"] = content_type
    try:
        boundary = header.get_param("boundary")
    except Exception:  # the parser of email fails in many ways on what is no parameter
        boundary = None
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 70:
        raise ProblemError("bad-request", "the form's boundary is missing: let your HTTP library write it")
    collector = _Collector(most)
    try:
        parser = MultipartParser(boundary.encode("latin-1"), collector.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, UnicodeEncodeError) as error:
        raise ProblemError("bad-request", f"the form is damaged: {' '.join(str(error).split())}") from error
    if not collector.complete:
        raise ProblemError("bad-request", "the form is cut short: send it anew")
    if not collector.uploads:
        raise ProblemError("bad-request", "the form holds no file: send one as a part with a file name")
    return collector.uploads


class _Collector:
    """Gathers the parts of a form as the parser meets them."""

    def __init__(self, most: int) -> None:
        self.uploads: list[Upload] = []
        self.complete = False
        self._most = most
        self._parts = 0
        self._headers = Message()
        self._name, self._value, self._content = bytearray(), bytearray(), bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": lambda data, start, end: self._content.extend(memoryview(data)[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > self._most + _FIELDS:  # each costs time, also one that is no file
            raise ProblemError("too-large", f"a form may have {self._most + _FIELDS} parts: send files alone")
        self._headers, self._content = Message(), bytearray()

    def _header_end(self) -> None:
        name, value = self._name.decode("latin-1"), self._value.decode("utf-8", "replace")
        self._name.clear()
        self._value.clear()
        if name.lower() == "content-disposition":
            self._headers["content-disposition"] = value.replace("\r", " ").replace("\n", " ")

    def _end(self) -> None:
        try:
            name = self._headers.get_filename()
        except Exception:  # as above; or it is in an encoding that there is not
            name = ""
        if name is None:
            return  # a field that is no file
        if len(self.uploads) == self._most:
            raise ProblemError(
                "too-large", f"a request may hold {self._most} files: send the rest in another"
            )
        name = name[:_LONGEST_NAME].encode("utf-8", "replace").decode()  # no answer can hold half a character
        self.uploads.append(Upload(bytes(self._content), name or UNNAMED))

    def _finish(self) -> None:
        self.complete = True
