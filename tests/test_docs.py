"""What the pages tell people to type, and where they send them, is there."""

import re
import shlex
from pathlib import Path

import pydantic  # noqa: F401 - cyclopts looks at values once more where something has imported it
import pytest

from mien.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "peers" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "src" / "mien" / "model").glob("*/README.md")),
]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(mien \w+ [^-`…][^`…]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def commands(page: Path) -> list[str]:
    """Every command as people would type it; `mien train --exclude` in a sentence only names an option."""
    text = page.read_text()
    lines = [line for block in FENCED.findall(text) for line in block.splitlines()]
    typed = [line.split(" | ")[-1] for line in lines]
    typed = [line for line in typed if line.startswith("mien ")]
    return typed + INLINE.findall(FENCED.sub("", text))


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as they are linked to."""
    titles = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_can_be_typed(page: Path):
    for command in commands(page):
        _, *words = shlex.split(command, comments=True)
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_commands_are_found():
    assert sum(len(commands(page)) for page in PAGES) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for path, anchor in LINK.findall(FENCED.sub("", page.read_text())):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {path}#{anchor}"
