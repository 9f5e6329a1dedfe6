"""The page in a real browser, on the real command."""

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("playwright", reason="needs pip install playwright")

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from support import running_server

WAIT = 30_000  # milliseconds that a busy machine may take
HARMLESS = ("Failed to load resource", "WebSocket connection to")  # what Chromium itself says of a refusal


@pytest.fixture(scope="module")
def camera_clip(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's fake camera shows: one face that moves, as Motion JPEG."""
    picture = Image.open(examples / "astronaut.jpg").convert("RGB")
    stream = io.BytesIO()
    for step in range(20):
        picture.crop((40 + step, 0, 440 + step, 300)).resize((640, 480)).save(stream, "JPEG", quality=85)
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    path.write_bytes(stream.getvalue())
    return path


@pytest.fixture(scope="module")
def browser(chromium: str, camera_clip: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                *("--no-sandbox", "--use-fake-device-for-media-stream"),
                f"--use-file-for-fake-video-capture={camera_clip}",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(WAIT)
    expect.set_options(timeout=WAIT)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server: str) -> Iterator[Page]:
    """The page, just opened. It must ask nobody but its server, and have nothing to complain about."""
    page = context.new_page()
    strangers, complaints = [], []
    page.on(
        "request", lambda request: strangers.append(request.url) if not ours(request.url, server) else None
    )
    page.on(
        "websocket", lambda socket: strangers.append(socket.url) if not ours(socket.url, server) else None
    )
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server)
    yield page
    assert strangers == []
    assert [text for text in complaints if not text.startswith(HARMLESS)] == []


def ours(url: str, server: str) -> bool:
    return url.startswith((server, server.replace("http", "ws"), "blob:", "data:"))


def check_accessible(page: Page) -> None:
    """Asks axe-core for every rule of WCAG 2.2 A and AA, and best practice."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    source = Path(axe.__file__).parent / "axe.min.js"
    if not source.exists():
        source = next(Path(axe.__file__).parent.rglob("axe*.js"))
    # The page lets no foreign program run, so it is brought in past the page's own rules.
    page.evaluate(source.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    told = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]]
    assert told == []
    assert len(found["passes"]) > 10


def until(page: Page, condition: str) -> None:
    """Waits; the page's policy forbids what Playwright's own waiting evaluates in it."""
    deadline = time.monotonic() + 15
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def choose(page: Page, path: Path, section: str = "photograph") -> None:
    page.set_input_files(f"#{section} [data-start] [data-file]", path)


def test_a_photograph_that_is_chosen(page: Page, examples: Path) -> None:
    choose(page, examples / "together.jpg")
    expect(page.locator("#photograph [data-title]")).to_have_text("4 faces")
    expect(page.locator("#photograph [data-title]")).to_be_focused()
    expect(page.locator("#photograph .card")).to_have_count(4)
    boxes = page.locator("#photograph .box")
    expect(boxes).to_have_count(4)
    picture = page.locator("#photograph .frame img").bounding_box()
    assert picture is not None
    for index in range(4):
        box = boxes.nth(index).bounding_box()
        assert box is not None
        assert picture["x"] <= box["x"]
        assert box["x"] + box["width"] <= picture["x"] + picture["width"] + 1
    boxes.nth(2).click()
    expect(page.locator("#face-3")).to_be_focused()
    expect(page.locator("#photograph .card").first).to_contain_text("ten people")
    check_accessible(page)
    with page.expect_download() as download:
        page.click("[data-save-json]")
    record = json.loads(download.value.path().read_text())
    assert (record["source"], len(record["faces"])) == ("together.jpg", 4)
    with page.expect_download() as download:
        page.click("[data-save-picture]")
    assert download.value.suggested_filename == "together-mien.jpg"
    with Image.open(download.value.path()) as saved:
        assert saved.size == (record["width"], record["height"])


def test_an_example_and_what_its_reading_rests_on(page: Page) -> None:
    page.click("[data-example='astronaut.jpg']")
    expect(page.locator("#photograph [data-title]")).to_have_text("One face")
    expect(page.locator("#photograph .word")).to_contain_text("Happy")
    page.click("text=What does this rest on?")
    expect(page.locator(".explanation")).to_contain_text("Happy")
    check_accessible(page)
    page.click("[data-back]")
    expect(page.locator("[data-example='astronaut.jpg']")).to_be_focused()


def test_a_photograph_that_is_pasted_and_one_that_is_dropped(
    page: Page, portrait: bytes, examples: Path
) -> None:
    give = """([name, bytes, kind]) => {
        const data = new DataTransfer();
        const content = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
        data.items.add(new File([content], name, { type: "image/jpeg" }));
        const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
            : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
        document.querySelector("#photograph").dispatchEvent(event);
    }"""
    page.evaluate(give, ["pasted.jpg", base64.b64encode(portrait).decode(), "paste"])
    expect(page.locator("#photograph [data-title]")).to_have_text("One face")
    cat = (examples / "cat.jpg").read_bytes()
    page.evaluate(give, ["cat.jpg", base64.b64encode(cat).decode(), "drop"])
    expect(page.locator("#photograph [data-title]")).to_have_text("Nobody")
    expect(page.locator("#photograph .cards")).to_contain_text("No face was found")


def test_what_is_no_picture_is_refused_in_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear all")
    choose(page, tmp_path / "letter.jpg")
    problem = page.locator("#photograph [data-problem]")
    expect(problem).to_contain_text("This file: is not a JPEG, PNG, WebP")
    expect(page.locator("#photograph [data-start]")).to_be_visible()
    check_accessible(page)


def test_a_photograph_that_is_too_large_is_shrunk(page: Page, examples: Path, tmp_path: Path) -> None:
    with Image.open(examples / "astronaut.jpg") as picture:
        picture.convert("L").resize((5200, 5200)).save(tmp_path / "large.jpg", quality=60)
    choose(page, tmp_path / "large.jpg")
    expect(page.locator("#photograph [data-title]")).to_have_text("One face")
    expect(page.locator("[data-shrunk]")).to_contain_text("was shrunk to 3464×3464")
    large = portrait(page)
    choose(page, examples / "astronaut.jpg")
    expect(page.locator("[data-shrunk]")).to_be_hidden()
    expect(page.locator("#photograph [data-title]")).to_have_text("One face")
    assert np.abs(large - portrait(page)).mean() < 20  # grey levels of 255


def portrait(page: Page) -> NDArray[np.float64]:
    """The first face's portrait, in grey; (128, 128)."""
    told = page.locator("#photograph .card canvas").first.evaluate("canvas => canvas.toDataURL()")
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(told.partition(",")[2]))).convert("L"), np.float64
    )


def test_a_photograph_that_the_browser_cannot_show(page: Page, examples: Path, tmp_path: Path) -> None:
    with Image.open(examples / "astronaut.jpg") as picture:
        picture.save(tmp_path / "face.tif")
    choose(page, tmp_path / "face.tif")
    expect(page.locator("#photograph [data-title]")).to_have_text("One face")
    expect(page.locator("#photograph [data-cards]")).to_contain_text("This browser cannot show the picture")
    expect(page.locator("#photograph .card")).to_contain_text("Face 1")


@pytest.mark.parametrize(("width", "height"), [(320, 180), (568, 320), (1280, 800)])
def test_the_camera_can_be_started_at_any_size(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.click("#tab-camera")
    frame, button = (page.locator(name).bounding_box() for name in ("#camera .frame", "[data-start-camera]"))
    assert frame is not None
    assert button is not None
    assert frame["y"] <= button["y"] <= frame["y"] + frame["height"] - button["height"]
    assert frame["x"] <= button["x"] <= frame["x"] + frame["width"] - button["width"] <= width


def test_a_camera_that_the_server_has_no_room_for(page: Page, context: BrowserContext) -> None:
    context.grant_permissions(["camera"])
    page.evaluate(
        """async () => {
            window.held = Array.from({ length: 4 }, () => new WebSocket(`ws://${location.host}/v1/live`));
            await Promise.all(held.map((one) => new Promise((resolve) => one.addEventListener("open", resolve))));
        }"""
    )
    page.click("#tab-camera")
    page.click("[data-start-camera]")
    problem = page.locator("#camera [data-problem]")
    expect(problem).to_have_text(
        "The service is busy. As many cameras are connected as may be at once: try again in 10 s."
    )


def test_the_token(browser: Browser, tmp_path: Path) -> None:
    with running_server(folder=tmp_path, token="secret") as (_, address):
        context = browser.new_context(reduced_motion="reduce")
        context.set_default_timeout(WAIT)
        context.grant_permissions(["camera"])
        page = context.new_page()
        page.goto(address)
        page.click("#tab-camera")
        page.click("[data-start-camera]")
        dialog = page.locator("#token")
        expect(dialog).to_be_visible()
        check_accessible(page)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(page.locator("#camera [data-problem]")).to_contain_text("This service asks for a token")
        page.click("[data-start-camera]")
        for entry in ("wrong", "не то"):
            page.fill("#token-field", entry)
            page.keyboard.press("Enter")
            expect(page.locator("#token-field")).to_have_value("")
            expect(page.locator("#token-wrong")).to_be_visible()
        page.fill("#token-field", "secret")
        page.keyboard.press("Enter")
        expect(page.locator("#camera .card .word")).to_contain_text("Happy")
        context.close()


def test_the_address_with_the_token_serves_a_page_that_is_open(browser: Browser, tmp_path: Path) -> None:
    with running_server(folder=tmp_path, token="secret") as (_, address):
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.click("#tab-video")
        expect(page.locator("#token")).to_be_visible()
        page.evaluate("location.hash = 'token=secret'")
        expect(page.locator("#token")).to_be_hidden()
        expect(page.locator("#video [data-limit]")).to_contain_text("minutes")
        assert "secret" not in page.url
        page.close()


def test_an_address_in_the_docs_shows_its_place(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 400})  # so that any row can lie at the top
    page.goto(f"{server}/docs#no-token")
    row = page.locator("#no-token")
    expect(row).to_be_in_viewport()
    header = page.locator("header.top").bounding_box()
    place = row.bounding_box()
    assert header is not None
    assert place is not None
    assert place["y"] >= header["y"] + header["height"]


def test_the_camera(page: Page, context: BrowserContext) -> None:
    context.grant_permissions(["camera"])
    page.click("#tab-camera")
    expect(page.locator("#camera [data-where]")).to_contain_text("Nothing is stored")
    page.click("[data-start-camera]")
    expect(page.locator("#camera .card .word")).to_contain_text("Happy")
    expect(page.locator("#camera [data-rate]")).to_contain_text("frames a second")
    expect(page.locator("#camera div.box")).to_have_count(1)
    check_accessible(page)
    page.click("[data-stop]")
    expect(page.locator("[data-start-camera]")).to_be_focused()
    expect(page.locator("#camera .card")).to_have_count(0)


def test_a_camera_that_is_stopped_and_started_at_once(page: Page, context: BrowserContext) -> None:
    """While a frame for the first socket is still being made, which keeps those for the second waiting."""
    context.grant_permissions(["camera"])
    page.click("#tab-camera")
    page.click("[data-start-camera]")
    expect(page.locator("#camera .card .word")).to_contain_text("Happy")
    page.evaluate(
        """() => {
          const toBlob = HTMLCanvasElement.prototype.toBlob;
          HTMLCanvasElement.prototype.toBlob = function (...rest) {
            HTMLCanvasElement.prototype.toBlob = toBlob;
            window.release = () => toBlob.apply(this, rest);
          };
        }"""
    )
    until(page, "Boolean(window.release)")
    page.click("[data-stop]")
    with page.expect_websocket():
        page.click("[data-start-camera]")
    page.wait_for_timeout(1000)  # it has opened
    expect(page.locator("#camera .card")).to_have_count(0)
    page.evaluate("window.release()")
    expect(page.locator("#camera .card .word")).to_contain_text("Happy")
    page.click("[data-stop]")


def test_an_address_that_names_no_tab_shows_the_first(page: Page, server: str) -> None:
    for name in ("constructor", "nothing"):
        page.goto(f"{server}/#{name}")
        page.reload()
        expect(page.locator("#photograph")).to_be_visible()
        expect(page.locator("#tab-photograph")).to_have_attribute("aria-selected", "true")


def test_a_camera_that_is_allowed_after_its_tab_was_left_stays_off(
    page: Page, context: BrowserContext
) -> None:
    context.grant_permissions(["camera"])
    page.evaluate(
        """() => {
          const media = navigator.mediaDevices, ask = media.getUserMedia.bind(media);
          media.getUserMedia = async (wish) => {
            await new Promise((resolve) => { window.allow = resolve; });
            return (window.given = await ask(wish));
          };
        }"""
    )
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.click("#tab-camera")
    page.click("[data-start-camera]")
    until(page, "Boolean(window.allow)")
    page.click("#tab-photograph")
    page.evaluate("window.allow()")
    until(page, "window.given?.getTracks().every((track) => track.readyState === 'ended') ?? false")
    assert sockets == []
    page.click("#tab-camera")
    expect(page.locator("[data-start-camera]")).to_be_enabled()
    expect(page.locator("[data-stop]")).to_be_hidden()


def test_a_camera_that_is_refused(page: Page) -> None:
    page.click("#tab-camera")
    page.click("[data-start-camera]")
    expect(page.locator("#camera [data-problem]")).to_contain_text("The camera was refused")
    check_accessible(page)


def test_a_video(page: Page, clip: Path) -> None:
    page.click("#tab-video")
    choose(page, clip, "video")
    expect(page.locator("#video [data-title]")).to_have_text("2 faces")
    expect(page.locator("#video [data-title]")).to_be_focused()
    expect(page.locator("[data-reading]")).to_be_hidden()
    slider = page.locator("#video [role=slider]")
    expect(slider).to_have_attribute("aria-valuemax", "2.0")
    slider.focus()
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "0:02")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "0:00, face 1: happy")
    expect(page.locator("#video div.box")).to_have_count(1)
    page.click("text=Face 2")
    expect(page.locator("[data-shares]")).to_contain_text("Face 2, in sight for")
    check_accessible(page)
    with page.expect_download() as download:
        page.click("#video [data-save-json]")
    records = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert len(records) == 20
    seen = sum(face["track"] == 2 for record in records for face in record["faces"])
    expect(page.locator("[data-shares]")).to_contain_text(f"in sight for {seen / 10:.1f} s")


def test_a_video_that_is_given_up(page: Page, clip: Path) -> None:
    page.route("**/v1/video", lambda route: None)  # never answered
    page.click("#tab-video")
    choose(page, clip, "video")
    expect(page.locator("[data-reading]")).to_be_visible()
    page.click("[data-cancel]")
    expect(page.locator("#video [data-start]")).to_be_visible()
    expect(page.locator("#video [data-problem]")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("Stopped")
    expect(page.locator("#video [data-start] [data-file]")).to_be_focused()


def test_a_video_that_is_too_large_leaves_the_one_that_is_read(
    page: Page, clip: Path, tmp_path: Path
) -> None:
    page.route("**/v1/video", lambda route: None)  # never answered
    page.click("#tab-video")
    choose(page, clip, "video")
    expect(page.locator("[data-reading]")).to_be_visible()
    page.evaluate("Object.defineProperty(File.prototype, 'size', { get: () => 2 ** 40 })")
    page.set_input_files("#video [data-result] [data-file]", clip)
    expect(page.locator("#video [data-problem]")).to_contain_text(
        "This file has 1048576 MiB; videos may have"
    )
    expect(page.locator("[data-reading]")).to_be_visible()


def empty_scene(path: Path, codec: str) -> Path:
    """Writes four seconds in which nobody is seen."""
    av = pytest.importorskip("av", reason='needs pip install "mien[video]"')
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for shade in range(100, 104):
            frame = av.VideoFrame.from_image(Image.new("RGB", (320, 240), (shade,) * 3))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_video_that_the_browser_cannot_play_is_read_all_the_same(page: Page, tmp_path: Path) -> None:
    page.click("#tab-video")
    choose(page, empty_scene(tmp_path / "old.avi", "mpeg4"), "video")
    expect(page.locator("#video [data-unplayable]")).to_be_visible()
    expect(page.locator("#status")).to_have_text("4 frames are read. Nobody")
    check_accessible(page)


def test_a_video_of_nobody(page: Page, tmp_path: Path) -> None:
    page.click("#tab-video")
    choose(page, empty_scene(tmp_path / "nobody.mp4", "libx264"), "video")
    expect(page.locator("#status")).to_have_text("4 frames are read. Nobody")
    page.evaluate("new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))")
    expect(page.locator("#video [data-title]")).to_have_text("Nobody")


def test_what_is_no_video_is_refused_in_a_sentence(page: Page, examples: Path) -> None:
    page.click("#tab-video")
    choose(page, examples / "SOURCES.md", "video")
    expect(page.locator("#video [data-problem]")).to_be_visible()
    expect(page.locator("#video [data-start]")).to_be_visible()


def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#tab-photograph")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-camera")).to_be_focused()
    expect(page.locator("#camera")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#photograph")).to_be_visible()
    for _ in range(4):  # the link to the API, the choice of a file, two examples
        page.keyboard.press("Tab")
    expect(page.locator("[data-example='together.jpg']")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#photograph .card")).to_have_count(1)
    box = page.locator("#photograph button.box")
    box.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#face-1")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(browser: Browser, server: str, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(WAIT)
    page = context.new_page()
    for place in ("/", "/#camera", "/#video", "/docs"):
        page.goto(server + place)
        page.wait_for_load_state("networkidle")
        check_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
