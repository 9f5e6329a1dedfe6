from pathlib import Path

import pytest

from mien.inputs import find_pictures


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "a/1.jpg",
        "a/b/2.PNG",
        "a/b/notes.txt",
        "a/.hidden/3.jpg",
        "a/.4.jpg",
        "phone/5.HEIC",
        "phone/6.jfif",
        "c.webp",
        "é ü.jpeg",
        "[x].jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (["a"], ["a/1.jpg", "a/b/2.PNG"]),
        (["./a"], ["./a/1.jpg", "./a/b/2.PNG"]),
        (["c.webp", "a"], ["c.webp", "a/1.jpg", "a/b/2.PNG"]),
        (["a", "a/1.jpg"], ["a/1.jpg", "a/b/2.PNG"]),  # each once
        (["a/*"], ["a/1.jpg", "a/b/2.PNG"]),
        (["**/*.jpg"], ["[x].jpg", "a/1.jpg"]),
        (["[x].jpg"], ["[x].jpg"]),  # a file of that name comes before the pattern
        (["*.jpeg"], ["é ü.jpeg"]),
        (["a/b/notes.txt"], ["a/b/notes.txt"]),  # named itself, so it is read whatever its ending
        (["missing.jpg"], ["missing.jpg"]),
        (["phone"], ["phone/5.HEIC", "phone/6.jfif"]),  # what cannot be read is told of, not passed over
        (["-"], ["-"]),
    ],
)
def test_what_is_found(tree: Path, inputs: list[str], found: list[str]):
    pictures, complaints = find_pictures(inputs)
    assert [picture.path for picture in pictures] == found
    assert complaints == []


@pytest.mark.parametrize(
    ("name", "says"),
    [("empty", "folder with no pictures"), ("*.gif", "matches no file"), ("", "an empty name")],
)
def test_an_input_without_pictures_is_told(tree: Path, name: str, says: str):
    pictures, complaints = find_pictures([name, "c.webp"])
    assert [picture.path for picture in pictures] == ["c.webp"]
    assert len(complaints) == 1
    assert complaints[0].startswith(f"{name}: " if name else "an empty name: ")
    assert says in complaints[0]


@pytest.mark.parametrize("pattern", ["*", "**/*.jpg", "a/*"])
def test_a_pattern_finds_nothing_of_what_is_skipped(tree: Path, pattern: str):
    before = [picture.path for picture in find_pictures([pattern])[0]]
    drawn = tree / "a" / "drawn"
    drawn.mkdir()
    (drawn / "1.jpg").touch()
    assert [picture.path for picture in find_pictures([pattern], skip=drawn)[0]] == before
    assert len(find_pictures([pattern])[0]) == len(before) + 1


def test_places_below_the_folder_are_kept(tree: Path):
    pictures, _ = find_pictures(["a", str(tree / "c.webp")])
    assert [str(picture.relative) for picture in pictures] == ["1.jpg", "b/2.PNG", "c.webp"]
