import asyncio
import base64
import gc
import hashlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import find_model
from mien.recognize import Recognizer
from mien.serve import schemas, videos
from mien.serve.app import STATIC, Service
from mien.serve.engine import Engine
from mien.serve.limits import Limits
from mien.serve.metrics import Metrics
from mien.serve.problems import KINDS, MEDIA_TYPE
from mien.serve.shield import Rules

LIMITS = Limits(max_bytes=200_000, max_pixels=1_000_000, max_files=3, max_sockets=1, max_frame_bytes=100_000)
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
LIVE = "ws://localhost/v1/live"
Make = Callable[..., TestClient]


@pytest.fixture(scope="module")
def make(recognizer: Recognizer) -> Iterator[Make]:
    clients = []

    def client(rules: Rules | None = None, limits: Limits = LIMITS) -> TestClient:
        service = Service(recognizer, limits=limits, rules=rules)
        one = TestClient(service, base_url="http://localhost:8000", raise_server_exceptions=False)
        one.__enter__()
        clients.append(one)
        return one

    yield client
    for one in clients:
        one.__exit__(None, None, None)


@pytest.fixture(scope="module")
def client(make: Make) -> TestClient:
    return make()


def assert_problem(answer, kind: str, words: str = "") -> None:  # type: ignore[no-untyped-def]
    assert answer.headers["content-type"] == MEDIA_TYPE, answer.text
    record = answer.json()
    status, title = KINDS[kind]
    assert (answer.status_code, record["status"]) == (status, status)
    assert (record["type"], record["title"]) == (f"/docs#{kind}", title)
    assert words in record["detail"]
    assert "\n" not in record["detail"]


def test_one_picture_gives_the_record_of_the_command(
    client: TestClient, recognizer: Recognizer, portrait: bytes
) -> None:
    answer = client.post("/v1/predict", content=portrait, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200
    assert answer.json() == {**recognizer.predict(portrait).to_dict(), "source": "<upload>"}
    schemas.Picture.model_validate(answer.json())


@pytest.mark.parametrize("kind", ["", "application/octet-stream", "application/x-www-form-urlencoded"])
def test_a_picture_needs_no_type(client: TestClient, portrait: bytes, kind: str) -> None:
    answer = client.post("/v1/predict", content=portrait, headers={"Content-Type": kind})
    assert len(answer.json()["faces"]) == 1


def test_a_form_gives_an_array_in_order_with_errors_in_their_places(
    client: TestClient, portrait: bytes
) -> None:
    files = [("files", ("../a.jpg", portrait)), ("x", ("b.txt", b"hello")), ("files", ("c.jpg", portrait))]
    first, second, third = client.post("/v1/predict", files=files).json()
    assert [first["source"], second["source"], third["source"]] == ["../a.jpg", "b.txt", "c.jpg"]
    assert second["error"].startswith("b.txt: is not a JPEG")
    assert first["faces"] == third["faces"] != []
    alone = client.post("/v1/predict", files=files[:1])
    assert [record["source"] for record in alone.json()] == ["../a.jpg"]


@pytest.mark.parametrize(
    ("content", "kind", "problem", "words"),
    [
        (b"", "image/png", "bad-request", "the body is empty"),
        (b"hello", "image/png", "unreadable", "<upload>: is not a JPEG"),
        (b"hello", "application/json", "wrong-type", "application/json"),
        (b"x" * 200_001, "image/png", "too-large", "200,000 bytes"),
        (b"hello", "multipart/form-data", "bad-request", "boundary"),
    ],
)
def test_what_is_wrong_is_said(
    client: TestClient, content: bytes, kind: str, problem: str, words: str
) -> None:
    answer = client.post("/v1/predict", content=content, headers={"Content-Type": kind})
    assert_problem(answer, problem, words)


def test_a_body_of_unknown_length_is_cut_off_too(client: TestClient) -> None:
    answer = client.post("/v1/predict", content=(b"x" * 50_000 for _ in range(100)))
    assert_problem(answer, "too-large")


@pytest.mark.parametrize(
    ("content_type", "part", "status"),
    [
        ("multipart/form-data; boundary*=x; boundary*0=y", "filename=a", 400),
        ("multipart/form-data; boundary=x", "filename*=utf-8''a; filename*0=b", 200),
        ("multipart/form-data; boundary=x", "filename*=unicode_escape''%5Cud800", 200),
    ],
)
def test_a_form_that_is_written_oddly_is_no_failure(
    client: TestClient, portrait: bytes, content_type: str, part: str, status: int
) -> None:
    head = f"--x\r\nContent-Disposition: form-data; name=files; {part}\r\n\r\n".encode()
    answer = client.post(
        "/v1/predict", content=head + portrait + b"\r\n--x--\r\n", headers={"Content-Type": content_type}
    )
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json()[0]["source"] in ("<upload>", "?")


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/video"])
def test_a_name_of_several_lines_is_told_in_one(client: TestClient, path: str) -> None:
    head = b"--x\r\nContent-Disposition: form-data; name=f; filename*=utf-8''a%0Ab.jpg\r\n\r\n"
    answers = [
        client.post(
            path,
            content=head + content + b"\r\n--x--\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        ).json()
        for content in (b"hello", b"x" * 200_001)
    ]
    if path == "/v1/predict":
        answers[0] = {"detail": answers[0][0]["error"]}
    told = [answer["detail"] for answer in answers if "b.jpg" in answer["detail"]]
    assert told
    assert all(detail.startswith("'a\\nb.jpg': ") for detail in told)


def test_pixels_and_files_are_limited(client: TestClient, examples: Path, portrait: bytes) -> None:

    stream = io.BytesIO()
    Image.new("L", (1001, 1000)).save(stream, "PNG")
    big = stream.getvalue()
    assert_problem(
        client.post("/v1/predict", content=big), "unreadable", "more than the limit of 1,000,000 pixels"
    )
    files = [("files", ("a.jpg", portrait))] * 4
    assert_problem(client.post("/v1/predict", files=files), "too-large", "may hold 3 files")
    assert_problem(
        client.post("/v1/predict", files=[("f", ("huge.jpg", b"x" * 200_001))]), "too-large", "huge.jpg"
    )


def test_unknown_addresses_and_methods_are_problems_too(client: TestClient) -> None:
    assert_problem(client.get("/nothing"), "not-found", "/nothing")
    assert_problem(client.get("/static/../app.py"), "not-found")
    answer = client.get("/v1/predict")
    assert_problem(answer, "wrong-method")
    assert answer.headers["allow"] == "POST"


def test_an_error_of_ours_tells_no_secret(
    make: Make, portrait: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make()
    monkeypatch.setattr(Recognizer, "predict_many", lambda *_, **__: 1 / 0)
    answer = broken.post("/v1/predict", content=portrait)
    assert_problem(answer, "failed")
    assert "ZeroDivision" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_busy_is_said_with_a_time(make: Make, portrait: bytes) -> None:
    busy = make(limits=Limits(max_queue=1, max_files=1))
    gate = threading.Event()
    engine = busy.app.engine
    held = threading.Thread(target=lambda: busy.portal.call(engine.call, gate.wait))
    held.start()
    first = threading.Thread(target=lambda: busy.post("/v1/predict", content=portrait))
    first.start()
    while not engine._admitted:
        pass
    answer = busy.post("/v1/predict", content=portrait)
    gate.set()
    held.join()
    first.join()
    assert_problem(answer, "busy", "1 pictures are waiting")
    assert int(answer.headers["retry-after"]) >= 1


def test_uploads_are_held_up_to_a_limit_and_only_while_they_are_read(make: Make, portrait: bytes) -> None:
    one = make(limits=Limits(max_pending_bytes=2 * len(portrait)))
    bodies = one.app._app._app.state.bodies
    for _ in range(5):  # more in all than may be held at once
        assert one.post("/v1/predict", content=portrait).status_code == 200
    assert bodies._held == 0
    bodies._held = len(portrait) + 1  # as if another were under way
    answer = one.post("/v1/predict", content=portrait)
    assert_problem(answer, "busy", "too many uploads at once")
    assert bodies._held == len(portrait) + 1


def test_models(client: TestClient) -> None:
    record = client.get("/v1/models").json()
    schemas.Models.model_validate(record)
    assert [model["name"] for model in record["models"] if model["loaded"]] == ["base"]
    assert record["limits"]["max_bytes"] == 200_000


def test_the_hash_is_of_the_model_that_was_loaded(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(find_model("nano").read_bytes())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    service = Service(recognizer, model=str(path))
    path.unlink()
    with TestClient(service, base_url="http://localhost:8000") as one:
        for _ in range(2):
            hashes = {model["loaded"]: model["sha256"] for model in one.get("/v1/models").json()["models"]}
            assert hashes[True] == digest
            path.write_bytes(b"another")


def test_the_described_words_are_the_real_ones() -> None:
    assert tuple(schemas.Probabilities.model_fields) == EXPRESSIONS
    assert tuple(schemas.Crowd.model_fields) == CROWD
    assert schemas.Expression.__args__ == EXPRESSIONS  # type: ignore[attr-defined]


def test_health_and_measures(client: TestClient, portrait: bytes) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.post("/v1/predict", content=portrait)
    client.get("/nothing/at/all")
    assert client.head("/readyz").status_code == 200
    measures = client.get("/metrics").text
    assert 'mien_requests_total{method="HEAD",route="/readyz",status="200"}' in measures
    assert "_created" not in measures
    assert 'mien_requests_total{method="POST",route="/v1/predict",status="200"}' in measures
    assert 'route="other",status="404"' in measures
    assert "/nothing" not in measures  # addresses that clients think up must not fill the memory
    assert "process_resident_memory_bytes" in measures or os.name != "posix"


def test_explanation(client: TestClient, portrait: bytes) -> None:
    answer = client.post("/v1/explain?expression=sad", content=portrait)
    record = answer.json()
    schemas.Explanation.model_validate(record)
    assert record["expression"] == "sad"
    assert len(record["map"]) == len(record["crop"]) == 96
    assert_problem(client.post("/v1/explain?face=1", content=portrait), "invalid", "the picture has 1")
    assert_problem(client.post("/v1/explain?face=-1", content=portrait), "invalid", "query.face")
    assert_problem(
        client.post("/v1/explain?expression=bored", content=portrait), "invalid", "query.expression"
    )
    assert_problem(client.post("/v1/explain", content=b"hello"), "unreadable")


# Who may ask.


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"])
def test_this_computer_is_answered(make: Make, host: str) -> None:
    assert make(Rules(hosts=LOCAL)).get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"]
)
def test_other_names_are_not(make: Make, host: str) -> None:
    assert_problem(make(Rules(hosts=LOCAL)).get("/", headers={"Host": host}), "foreign-host")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("https://localhost:8000", 200),
        ("http://localhost:9999", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_other_sites_may_not_ask(client: TestClient, portrait: bytes, origin: str, status: int) -> None:
    answer = client.post("/v1/predict", content=portrait, headers={"Origin": origin})
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/v1/models", "/metrics"])
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer ", "Basic c2VjcmV0", "secret", "Bearer sécret"]
)
def test_the_token_is_asked_for(make: Make, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    answer = make(Rules(token="secret")).get(path, headers=headers)
    assert_problem(answer, "no-token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_token_opens_and_the_page_needs_none(make: Make) -> None:
    guarded = make(Rules(token="secret"))
    assert guarded.get("/v1/models", headers={"Authorization": "bearer secret"}).status_code == 200
    for path in ("/", "/docs", "/static/main.js", "/openapi.json", "/healthz", "/readyz"):
        assert guarded.get(path).status_code == 200
    operation = guarded.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    assert operation["security"] == [{"token": []}]
    assert "401" in operation["responses"]


@pytest.mark.parametrize("path", ["/", "/docs", "/static/main.js", "/v1/models", "/nothing"])
def test_every_answer_is_shielded(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] in ("no-store", "no-cache")


def test_the_page_calls_nobody() -> None:
    for file in STATIC.iterdir():
        if file.name.endswith((".html", ".css", ".js")):
            text = file.read_text(encoding="utf-8")
            assert "innerHTML" not in text
            addresses = [
                word for word in text.replace('"', " ").split() if "://" in word and "w3.org" not in word
            ]
            assert all("${" in address for address in addresses), file.name


def test_the_docs_tell_every_problem(client: TestClient) -> None:
    text = client.get("/docs").text
    for kind, (status, _) in KINDS.items():
        assert f'<tr id="{kind}"><td><code>/docs#{kind}</code></td><td>{status}</td>' in text


# Videos.


def test_a_video_is_answered_line_by_line(client: TestClient, clip: Path) -> None:
    answer = client.post(
        "/v1/video?smoothing=0", content=clip.read_bytes(), headers={"Content-Type": "video/mp4"}
    )
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    frames = [schemas.Frame.model_validate_json(line) for line in answer.text.splitlines()]
    assert [frame.frame for frame in frames] == list(range(20))
    assert {frame.source for frame in frames} == {"<upload>"}
    assert [len(frame.faces) for frame in frames] == [1] * 20
    assert {frame.faces[0].track for frame in frames[:10]} == {1}
    assert frames[5].faces[0].smoothed == frames[5].faces[0].probabilities


def test_what_is_wrong_with_a_video_is_said(client: TestClient, clip: Path, portrait: bytes) -> None:
    content = clip.read_bytes()
    assert_problem(client.post("/v1/video", content=b"hello"), "unreadable", "<upload>: ")
    assert_problem(client.post("/v1/video", content=portrait), "unreadable")
    assert_problem(client.post("/v1/video?smoothing=-1", content=content), "invalid", "query.smoothing")
    for query in ("smoothing=nan", "search_every=nan", "smoothing=inf"):
        assert_problem(client.post(f"/v1/video?{query}", content=content), "invalid", "a finite number")
    assert_problem(
        client.post("/v1/video", content=content, headers={"Content-Type": "text/plain"}), "wrong-type"
    )
    files = [("file", ("clip.mp4", content))]
    lines = client.post("/v1/video", files=files).text.splitlines()
    assert json.loads(lines[0])["source"] == "clip.mp4"


def test_videos_are_limited_in_length_and_number(make: Make, clip: Path) -> None:
    content = clip.read_bytes()
    short = make(limits=Limits(max_video_seconds=1))
    assert_problem(short.post("/v1/video", content=content), "too-large", "may last 1 s")
    small = make(limits=Limits(max_video_bytes=100))
    assert_problem(small.post("/v1/video", content=content), "too-large", "100 bytes")
    short.app._app._app.state.videos.taken = 1
    answer = short.post("/v1/video", content=content)
    assert_problem(answer, "busy")
    assert "retry-after" in answer.headers


def test_a_service_without_pyav_says_so(
    client: TestClient, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delitem(sys.modules, "mien.video.clip", raising=False)
    answer = client.post("/v1/video", content=clip.read_bytes())
    assert_problem(answer, "wrong-type", "this service reads no videos: videos need PyAV")


def test_an_option_out_of_range_is_not_taken_for_missing_pyav(recognizer: Recognizer, clip: Path) -> None:
    limits, metrics = Limits(), Metrics()
    engine = Engine(recognizer, limits, metrics)

    async def read() -> None:
        reading = videos._Video(engine, limits, metrics, "clip.mp4")
        try:
            await reading.open(clip.read_bytes(), 99.0, 0.0)
        finally:
            await reading.close()

    with pytest.raises(ConfigError, match="smoothing 99"):
        asyncio.run(read())
    engine.close()


def test_frames_of_one_moment_are_limited_in_number(make: Make, tmp_path: Path) -> None:
    """A video of no length that has as many frames as one likes."""
    import av

    path = tmp_path / "moment.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "bgr0"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for _ in range(13):
            frame = av.VideoFrame(16, 16, "bgr0")
            frame.pts, frame.time_base = 0, Fraction(1, 1000)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = 0
                container.mux(packet)
    answer = make(limits=Limits(max_video_seconds=0.1)).post("/v1/video", content=path.read_bytes())
    *frames, problem = [json.loads(line) for line in answer.text.splitlines()]
    assert len(frames) == 12
    assert problem["type"] == "/docs#too-large"
    assert problem["detail"] == "a video may last 0.1 s here, and have 12 frames: cut it into pieces"


def test_a_video_that_breaks_off_is_read_to_there(client: TestClient, clip: Path) -> None:
    import av

    # As Matroska, which says how long it is and can be cut anywhere.
    copied = clip.with_suffix(".mkv")
    with av.open(str(clip)) as source, av.open(str(copied), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    content = copied.read_bytes()
    answer = client.post("/v1/video", content=content[: len(content) * 2 // 3])
    *frames, problem = [json.loads(line) for line in answer.text.splitlines()]
    assert len(frames) > 3
    assert all("faces" in frame for frame in frames)
    assert problem["type"] == "/docs#cut-short"
    assert problem["detail"].startswith("<upload>: is cut short or damaged: it breaks off after ")


def test_a_client_that_lets_a_video_wait_is_not_waited_for(
    recognizer: Recognizer, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        videos, "_CHUNK_SECONDS", 0.0
    )  # or a fast machine has read it all before anyone waits
    limits, metrics = Limits(transfer_seconds=0.1), Metrics()
    engine = Engine(recognizer, limits, metrics)

    async def read_slowly() -> list[dict[str, object]]:
        reading = videos._Video(engine, limits, metrics, "clip.mp4")
        lines = []
        async for piece in reading.lines(await reading.open(clip.read_bytes(), 0.0, 0.0)):
            lines += [json.loads(line) for line in piece.splitlines()]
            await asyncio.sleep(0.2)
        await reading.close()
        return lines

    *frames, problem = asyncio.run(read_slowly())
    engine.close()
    assert 0 < len(frames) < 20
    assert problem["type"] == "/docs#too-slow"


# Cameras.


def test_frames_are_answered_in_turn_with_tracks(client: TestClient, portrait: bytes) -> None:
    with client.websocket_connect("/v1/live", subprotocols=["mien.live.v1"]) as socket:
        assert socket.accepted_subprotocol == "mien.live.v1"
        for number in range(3):
            socket.send_bytes(portrait)
            record = socket.receive_json()
            assert (record.pop("received"), record.pop("dropped")) == (number, 0)
            frame = schemas.Frame.model_validate(record)
            assert [face.track for face in frame.faces] == [1]


def test_a_camera_may_go_at_any_moment(
    client: TestClient, portrait: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(300):
        with client.websocket_connect("/v1/live") as socket:
            if number % 3:
                socket.send_bytes(portrait)
            if number % 3 == 2:
                socket.receive_json()
    gc.collect()
    assert not caplog.records


def test_the_address_of_the_socket_says_what_it_wants(client: TestClient) -> None:
    answer = client.get("/v1/live")
    assert_problem(answer, "no-socket", "/docs#live")
    assert answer.headers["upgrade"] == "websocket"


def test_the_newest_frame_wins(client: TestClient, portrait: bytes) -> None:
    gate = threading.Event()
    engine = client.app.engine
    with client.websocket_connect("/v1/live") as socket:
        held = threading.Thread(target=lambda: client.portal.call(engine.call, gate.wait))
        held.start()
        for _ in range(20):
            socket.send_bytes(portrait)
        threading.Timer(0.5, gate.set).start()
        records = [socket.receive_json()]
        while records[-1]["received"] < 19:
            records.append(socket.receive_json())
        held.join()
    assert len(records) < 20
    assert len(records) + sum(record["dropped"] for record in records) == 20


def test_a_bad_frame_is_a_problem_and_no_end(client: TestClient, portrait: bytes) -> None:
    with client.websocket_connect("/v1/live") as socket:
        socket.send_bytes(b"hello")
        record = socket.receive_json()
        assert (record["type"], record["received"]) == ("/docs#unreadable", 0)
        assert record["detail"].startswith("<frame>: is not a JPEG")
        socket.send_bytes(portrait)
        assert len(socket.receive_json()["faces"]) == 1


@pytest.mark.parametrize(("send", "code"), [("text", 1003), ("large", 1009)])
def test_broken_rules_end_a_socket(client: TestClient, send: str, code: int) -> None:
    with client.websocket_connect("/v1/live") as socket:
        if send == "text":
            socket.send_text("hello")
        else:
            socket.send_bytes(b"x" * 100_001)
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_json()
    assert caught.value.code == code


def test_who_sends_nothing_is_left(make: Make) -> None:
    silent = make(limits=Limits(idle_seconds=0.2)).websocket_connect("/v1/live")
    with silent as socket, pytest.raises(WebSocketDisconnect) as caught:
        socket.receive_json()
    assert caught.value.code == 1001


def refused(client: TestClient, address: str = LIVE, **options) -> int:  # type: ignore[no-untyped-def]
    from starlette.testclient import WebSocketDenialResponse

    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect(address, **options):
        pass
    answer = caught.value
    assert answer.headers["content-type"] == MEDIA_TYPE
    return answer.status_code


def test_sockets_are_limited_and_guarded(make: Make, portrait: bytes) -> None:
    guarded = make(Rules(token="sécret".encode().decode(), hosts=LOCAL))
    protocol = "bearer." + base64.urlsafe_b64encode("sécret".encode()).decode().rstrip("=")
    assert refused(guarded) == 401
    assert refused(guarded, subprotocols=["bearer.!!!"]) == 401
    assert refused(guarded, subprotocols=[protocol], headers={"Origin": "http://evil.example"}) == 403
    assert refused(guarded, subprotocols=[protocol], headers={"Host": "evil.example"}) == 421
    assert refused(guarded, LIVE + "?smoothing=x", subprotocols=[protocol]) == 422
    with guarded.websocket_connect(LIVE, subprotocols=["mien.live.v1", protocol]) as socket:
        socket.send_bytes(portrait)
        assert len(socket.receive_json()["faces"]) == 1
        assert refused(guarded, subprotocols=[protocol]) == 503
    with guarded.websocket_connect(LIVE, subprotocols=[protocol]):
        pass  # there is room again
