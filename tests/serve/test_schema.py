"""Whatever is sent to the running server, it answers as its description says, and never with a failure."""

import io

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("schemathesis", reason="needs pip install schemathesis")

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance


def small(mode: str, format: str) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (40, 30), 90).save(stream, format)
    return stream.getvalue()


ALL = list(HealthCheck)
# A schema can say that a picture is bytes, and not that bytes are a picture.
EXCLUDED = [positive_data_acceptance]
PICTURES = st.sampled_from([small("RGB", "JPEG"), small("L", "PNG"), small("RGB", "WEBP"), small("P", "GIF")])
BYTES = st.binary(max_size=200) | PICTURES | PICTURES.map(lambda content: content[: len(content) // 2])
for kind in ("image/*", "video/*", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, BYTES)


def test_answers_are_those_described(server: str) -> None:
    description = schemathesis.openapi.from_url(f"{server}/openapi.json")
    tried = []
    for operation in (result.ok() for result in description.get_all_operations()):

        @given(case=operation.as_strategy())
        @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=ALL)
        def check(case) -> None:  # type: ignore[no-untyped-def]
            case.call_and_validate(timeout=60, excluded_checks=EXCLUDED)

        check()
        tried.append(operation.label)
    assert "POST /v1/predict" in tried
    assert len(tried) == 7


def test_methods_and_addresses_that_are_not_described_are_refused(server: str) -> None:
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "QUERY"):
        for path in ("/v1/predict", "/v1/models", "/", "/docs", "/static/main.js", "/healthz"):
            answer = httpx.request(method, server + path)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["allow"]
            assert answer.headers["content-type"] == "application/problem+json"
