import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from faults import make_faulty_table, make_own_folders
from PIL import Image

from mien.audit import audit, write_report
from mien.audit.report import TITLES


@pytest.fixture(scope="module")
def faulty_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_faulty_table(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_own_folders(tmp_path_factory.mktemp("mine"))


VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Reads a page, and minds that every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.words = ""
        self.tags: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.links.append(value or "")
            if name == "id":
                self.ids.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def report(data: Path, folder: Path) -> Page:
    write_report(audit(data), folder / "report.html")
    assert not list(folder.glob("*.part"))
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_needs_nothing_beside_it(faulty_table: Path, tmp_path: Path):
    page = report(faulty_table, tmp_path)
    pictures = [link for link in page.links if link.startswith("data:image/png;base64,")]
    anchors = [link for link in page.links if link.startswith("#")]
    assert len(pictures) + len(anchors) == len(page.links)
    assert {anchor[1:] for anchor in anchors} <= page.ids
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture.split(",", 1)[1]))) as image:
            assert (image.mode, image.size) == ("L", (48, 48))


def test_the_page_tells_what_was_found(faulty_table: Path, tmp_path: Path):
    page = report(faulty_table, tmp_path)
    assert page.ids == set(TITLES) - {"unreadable"}
    for words in (
        "Audit of faulty.parquet",
        "17 pictures: train 12, PublicTest 5",
        "leave out 8 of 12",
        "grey level 200",
        "the mirror image of train 6",
    ):
        assert words in page.words


def test_names_cannot_steer_the_page(own_folders: Path, tmp_path: Path):
    page = report(own_folders, tmp_path)
    assert "<b>none" in page.words
    assert "smile/a: broken.jpg" in page.words
    assert not page.tags & {"script", "link"}


def test_of_many_only_some_are_shown(faulty_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mien.audit.report._SHOWN", 1)
    monkeypatch.setattr("mien.audit.report.LISTED", 2)
    page = report(faulty_table, tmp_path)
    assert "1 of 2 pictures are shown" in page.words
    assert "1 of 4 groups are shown" in page.words
    assert "and 2 more" in page.words


def test_clean_data_makes_a_page_too(made_folders: Path, tmp_path: Path):
    page = report(made_folders, tmp_path)
    assert page.ids == set()
    assert "leave out 0 of 140" in page.words
