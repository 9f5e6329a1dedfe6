import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faults import make_faulty_table, make_own_folders
from PIL import Image

from mien.audit import ISSUES, Audit, audit, write_rows
from mien.audit.report import write_report
from mien.errors import ConfigError, DatasetError
from mien.labels import EXPRESSIONS
from support import drawn_face


@pytest.fixture(scope="module")
def faulty_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_faulty_table(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_own_folders(tmp_path_factory.mktemp("mine"))


@pytest.fixture(scope="module")
def found(faulty_table: Path) -> Audit:
    return audit(faulty_table)


def rows(found: Audit, issue: str) -> dict[str, str]:
    """Where an issue was found, and what is suggested."""
    return {found.pictures.place(finding.index): finding.suggestion for finding in found.of(issue)}


@pytest.mark.parametrize(
    ("issue", "expected"),
    [
        ("blank", {"train 8": "exclude"}),
        (
            "duplicate",
            {
                "train 0": "exclude",  # also in the test
                "train 1": "exclude",
                "train 2": "exclude",
                "train 3": "keep",
                "train 4": "exclude",
                "train 10": "exclude",  # one says happy, one sad: nobody knows
                "train 11": "exclude",
                "PublicTest 2": "keep",
                "PublicTest 3": "review",
            },
        ),
        (
            "conflicting_labels",
            {
                "train 0": "exclude",
                "train 1": "exclude",
                "train 2": "exclude",
                "PublicTest 0": "keep",
                "train 10": "exclude",
                "train 11": "exclude",
            },
        ),
        (
            "leak",
            {"train 0": "exclude", "train 1": "exclude", "train 2": "exclude", "PublicTest 0": "keep"},
        ),
        ("near_duplicate", {"train 5": "review", "train 6": "review"}),
        ("near_leak", {"train 7": "exclude", "PublicTest 1": "keep"}),
        ("not_a_face", {"train 8": "review"}),
        ("label_without_votes", {"train 2": "review", "train 8": "review"}),
        ("unreadable", {}),
    ],
)
def test_each_fault_is_found_where_it_is_and_nowhere_else(found: Audit, issue: str, expected: dict[str, str]):
    assert rows(found, issue) == expected


def test_every_finding_is_of_a_known_issue_in_order(found: Audit):
    order = [list(ISSUES).index(finding.issue) for finding in found.findings]
    assert order == sorted(order)


def test_what_is_excluded_is_of_training_only(found: Audit):
    pictures = found.pictures
    assert [pictures.place(index) for index in found.excluded()] == [
        f"train {row}" for row in (0, 1, 2, 4, 7, 8, 10, 11)
    ]


def test_copies_share_a_group_and_others_do_not(found: Audit):
    groups = {
        found.pictures.place(finding.index): finding.group
        for finding in found.findings
        if finding.group is not None
    }
    together = [
        {"train 0", "train 1", "train 2", "PublicTest 0"},
        {"train 3", "train 4"},
        {"train 5", "train 6"},
    ]
    together += [{"train 7", "PublicTest 1"}, {"train 10", "train 11"}, {"PublicTest 2", "PublicTest 3"}]
    by_number: dict[int, set[str]] = {}
    for place, group in groups.items():
        by_number.setdefault(group, set()).add(place)
    assert sorted(by_number.values(), key=sorted) == sorted(together, key=sorted)


@pytest.mark.parametrize(
    ("issue", "place", "says"),
    [
        ("leak", "train 0", "labelled happy; also PublicTest 0"),
        ("duplicate", "train 0", "labelled happy; 2 more in train"),
        ("conflicting_labels", "train 2", "labelled sad; the copies: 3 × happy, 1 × sad"),
        ("near_duplicate", "train 5", "correlates 1.000 with the mirror image of train 6, labelled sad"),
        ("label_without_votes", "train 8", "labelled fear; votes: 9 not a face, 1 unknown"),
        ("not_a_face", "train 8", "9 of 10 votes"),
        ("blank", "train 8", "grey level 200"),
    ],
)
def test_notes_tell_what_there_is_to_judge(found: Audit, issue: str, place: str, says: str):
    notes = {found.pictures.place(finding.index): finding.note for finding in found.of(issue)}
    assert says in notes[place]


def test_classes_are_counted(found: Audit):
    counts = found.class_counts()
    assert list(counts) == ["train", "PublicTest"]
    assert counts["train"] == dict.fromkeys(EXPRESSIONS, 0) | {"happy": 6, "sad": 5, "fear": 1}
    assert sum(counts["PublicTest"].values()) == 5


def test_own_folders(own_folders: Path):
    found = audit(own_folders)
    assert found.pictures.classes == ("<b>none", "smile")
    assert found.pictures.splits == ("train",)
    assert len(found.pictures) == 7
    lost = {file.file: file.reason for file in found.pictures.unreadable}
    assert list(lost) == ["smile/a: broken.jpg", "smile/zz.png"]
    assert str(own_folders) not in "".join(lost.values())
    # The one copy has another label, so neither is kept.
    assert rows(found, "conflicting_labels") == {"<b>none/copy.png": "exclude", "smile/1.png": "exclude"}
    assert not found.of("label_without_votes")


def test_folders_with_a_test_split(made_folders: Path, tmp_path: Path):
    found = audit(made_folders)
    assert found.pictures.splits == ("train", "test")
    assert found.pictures.place(0) == "train/angry/0.png"
    assert found.findings == []


def test_faces_may_be_found_in_photographs(examples: Path, tmp_path: Path):
    for word, name in (("calm", "obama.jpg"), ("calm", "coffee.jpg"), ("glad", "astronaut.jpg")):
        (tmp_path / word).mkdir(exist_ok=True)
        (tmp_path / word / name).write_bytes((examples / name).read_bytes())
    with Image.open(examples / "astronaut.jpg") as image:
        image.resize((400, 400)).save(tmp_path / "glad" / "smaller.jpg", quality=60)
    found = audit(tmp_path, find_faces=True)
    assert found.pictures.files == ["calm/obama.jpg", "glad/astronaut.jpg", "glad/smaller.jpg"]
    assert [(file.file, file.reason) for file in found.pictures.unreadable] == [
        ("calm/coffee.jpg", "no face was found")
    ]
    assert set(rows(found, "near_duplicate")) == {"glad/astronaut.jpg", "glad/smaller.jpg"}


def test_the_challenges_csv(tmp_path: Path):
    random = np.random.default_rng(0)
    face = drawn_face(0, random)
    lines = ["emotion,pixels,Usage"]
    lines += [f"0,{' '.join(map(str, face.ravel()))},{usage}" for usage in ("Training", "PrivateTest")]
    (tmp_path / "fer2013.csv").write_text("\n".join(lines) + "\n")
    for path in (tmp_path, tmp_path / "fer2013.csv"):
        found = audit(path)
        assert rows(found, "leak") == {"train 0": "exclude", "PrivateTest 0": "keep"}
        assert found.pictures.votes is None


def test_a_film_in_which_every_face_is_like_every_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All its pairs, each with its numbers, would take hundreds of bytes apiece."""
    monkeypatch.setattr("mien.audit.duplicates._BLOCK", 64)
    monkeypatch.setattr("mien.audit.duplicates._MANY", 1_000)
    random = np.random.default_rng(0)
    film = (drawn_face(0, random) + random.normal(0, 4, (500, 48, 48))).clip(0, 255).astype(np.uint8)
    for number, face in enumerate(film):
        path = tmp_path / ("asleep", "awake")[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(face).save(path)
    tracemalloc.start()
    try:
        found = audit(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {(finding.issue, finding.group) for finding in found.findings} == {("near_duplicate", 1)}
    assert len(found.findings) == 500
    assert peak < 16 << 20


def test_of_many_copies_elsewhere_some_are_named(tmp_path: Path):
    for place in [
        *(f"train/glad/{number}.png" for number in range(20)),
        "train/grim/0.png",
        "test/glad/0.png",
    ]:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        drawn = drawn_face(0 if "glad" in place else 3, np.random.default_rng(0))
        Image.fromarray(drawn).save(tmp_path / place)
    (tmp_path / "test" / "grim").mkdir()
    found = audit(tmp_path)
    note = next(f.note for f in found.of("leak") if found.pictures.split_of(f.index) == "test")
    assert note.count("train/glad/") == 8
    assert note.endswith(" and 12 more")


def test_a_picture_in_two_tests_is_for_a_person_to_judge(tmp_path: Path):
    face = drawn_face(0, np.random.default_rng(0))
    pixels = " ".join(map(str, face.ravel()))
    (tmp_path / "x.csv").write_text(f"emotion,pixels,Usage\n0,{pixels},PublicTest\n0,{pixels},PrivateTest\n")
    found = audit(tmp_path / "x.csv")
    assert rows(found, "leak") == {"PublicTest 0": "review", "PrivateTest 0": "review"}


def test_an_ending_may_be_in_capitals(tmp_path: Path):
    pixels = " ".join(map(str, drawn_face(0, np.random.default_rng(0)).ravel()))
    lines = [f"0,{pixels},{usage}" for usage in ("Training", "PublicTest")]
    (tmp_path / "fer2013.CSV").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    assert audit(tmp_path / "fer2013.CSV").pictures.splits == ("train", "PublicTest")


def test_votes_on_one_split_alone_are_looked_at(faulty_table: Path, tmp_path: Path):
    rows_of = pq.read_table(faulty_table).to_pylist()
    nobody = [row | {"ferplus_votes": [0] * 10} if row["usage"] != "Training" else row for row in rows_of]
    pq.write_table(pa.Table.from_pylist(nobody), tmp_path / "x.parquet")
    found = audit(tmp_path / "x.parquet")
    assert rows(found, "not_a_face") == {"train 8": "review"}
    assert rows(found, "label_without_votes") == {"train 2": "review", "train 8": "review"}
    write_report(found, tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    row = page.split("<th scope=row>sad</th>")[1].split("</tr>")[0]
    assert row.endswith("<td>20%</td>")  # one of the five in Training; on the sixth nobody voted


@pytest.mark.parametrize(
    ("name", "usage", "says"),
    [
        ("x.csv", '"', r"not a readable CSV file \(field larger than field limit"),
        ("x.parquet", ["Training"], "its column 'usage' must hold words"),
    ],
)
def test_a_table_whose_usages_cannot_be_read_is_told_as_its_reader_tells_it(
    tmp_path: Path, name: str, usage: str | list[str], says: str
):
    pixels = " ".join(map(str, drawn_face(0, np.random.default_rng(0)).ravel()))
    if name == "x.csv":
        # After a stray quote, all the rest is one field.
        lines = ["emotion,pixels,Usage", f"0,{pixels},{usage}Training", *[f"0,{pixels},Training"] * 20]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    else:
        row = {"usage": usage, "emotion": "sad", "image": b"", "ferplus_votes": [1] * 10}
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    with pytest.raises(DatasetError, match=rf"{name}: {says}"):
        audit(tmp_path / name)


@pytest.mark.parametrize("alike", [0.2, 1.0, float("nan")])
def test_an_impossible_threshold_is_refused(faulty_table: Path, alike: float):
    with pytest.raises(ConfigError, match="alike"):
        audit(faulty_table, alike=alike)


@pytest.mark.parametrize("name", ["missing", "missing.parquet", "rubbish.parquet", "rubbish.csv"])
def test_what_is_no_data_set_is_refused_in_one_line(tmp_path: Path, name: str):
    if name.startswith("rubbish"):
        (tmp_path / name).write_text("rubbish")
    with pytest.raises(DatasetError, match=name) as error:
        audit(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("broken", ["test", "train/sad", "train/happy"])
def test_data_that_could_not_be_learnt_from_are_audited_all_the_more(
    broken: str, made_folders: Path, tmp_path: Path
):
    data = tmp_path / "data"
    shutil.copytree(made_folders, data)
    lost = sorted((data / broken).rglob("*.png"))
    for path in lost:
        path.write_bytes(b"no picture")
    found = audit(data)
    assert {pictures.file for pictures in found.pictures.unreadable} == {
        path.relative_to(data).as_posix() for path in lost
    }
    assert len(found.of("unreadable")) == len(lost)
    write_report(found, tmp_path / "report.html")
    write_rows(found, tmp_path / "audit.csv")


def test_where_nothing_can_be_read_there_is_nothing_to_audit(made_folders: Path, tmp_path: Path):
    shutil.copytree(made_folders / "test", tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="none of its pictures can be read"):
        audit(tmp_path / "data")


def test_near_blank_pictures_with_something_to_see_are_not_blank(tmp_path: Path):
    for word, change in (("a", 0), ("b", 40)):
        (tmp_path / word).mkdir()
        face = np.full((48, 48), 100, np.uint8)
        face[20:24, 20:24] += change
        Image.fromarray(face).save(tmp_path / word / "1.png")
    assert rows(audit(tmp_path), "blank") == {"a/1.png": "exclude"}


@pytest.mark.fer2013
def test_fer2013_has_the_faults_that_it_is_known_for(fer2013: Path):
    """Training and PublicTest together."""
    found = audit(fer2013)
    assert found.pictures.splits[:2] == ("train", "PublicTest")
    if found.pictures.splits != ("train", "PublicTest"):
        pytest.skip("the counts are of Training and PublicTest without PrivateTest")
    pictures = found.pictures
    groups: dict[int, set[int]] = {}
    for issue in ("duplicate", "leak"):
        for finding in found.of(issue):
            assert finding.group is not None
            groups.setdefault(finding.group, set()).add(finding.index)
    assert len(groups) == 1_271
    assert sum(len(group) - 1 for group in groups.values()) == 1_530
    conflicting = found.of("conflicting_labels")
    assert (len({finding.group for finding in conflicting}), len(conflicting)) == (47, 129)
    assert len(found.of("blank")) == 13
    assert found.counts("leak")["PublicTest"] == 280
    assert found.counts("label_without_votes").total() == 5_250
    # With near copies: those that correlate above .95, and the one blank face, which correlates with nothing.
    mirrored = {f.index for f in found.of("near_leak") if "mirror" in f.note}
    twins = {f.index for f in [*found.of("leak"), *found.of("near_leak")]} - mirrored
    assert sum(pictures.split_of(index) == "PublicTest" for index in twins) == 375 + 1
    # Nothing that a test shows is left in training.
    left = np.setdiff1d(np.arange(len(pictures)), found.excluded())
    test = pictures.part == 1
    kept = {pictures.images[index].tobytes() for index in left if not test[index]}
    assert not any(pictures.images[index].tobytes() in kept for index in np.flatnonzero(test))
