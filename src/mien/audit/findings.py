"""What is wrong with a data set, picture by picture, and what might be done about it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from mien.audit.duplicates import ALIKE, Likest, exact_groups, near_pairs
from mien.audit.pictures import TRAIN, Pictures, read_pictures
from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS

Suggestion = Literal["exclude", "keep", "review"]

ISSUES: Final[dict[str, str]] = {
    "unreadable": "Files that are no readable picture or, where faces are to be found, that show none.",
    "blank": "Pictures of one single grey, or so nearly that nothing can be seen on them.",
    "duplicate": "Exact copies of a picture of the same split. One of each group is kept.",
    "conflicting_labels": "Exact copies with different labels, in whichever splits they lie. The label that most "
    "of the group have is kept once; where there is none, no copy is.",
    "leak": "Exact copies of a picture of another split: a score on the test rewards having seen it in training.",
    "near_duplicate": "Nearly the same as a picture of the same split: another cut, brightness, compression, "
    "or its mirror image.",
    "near_leak": "Nearly the same as a picture of another split.",
    "not_a_face": "Pictures of which more annotators said “not a face” than anything else.",
    "label_without_votes": "Pictures whose label not one of the annotators chose.",
}
"""Every issue that an audit looks for, in the order of its report."""

LISTED: Final = 8
"""Copies that are named of one group."""

# A standard deviation below one grey level: nothing but rounding.
_BLANK: Final = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one picture.

    Attributes:
        issue: a key of `ISSUES`.
        index: the picture's index among the `Pictures`; for ``unreadable``, among `Pictures.unreadable`.
        group: copies of one another have the same number; None for what concerns one picture alone.
        suggestion: ``exclude`` it from training, ``keep`` it, or ``review`` it by eye.
        note: what a person should know to judge.
    """

    issue: str
    index: int
    group: int | None
    suggestion: Suggestion
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """A data set's pictures and what is wrong with them.

    Attributes:
        pictures: all that could be read, and the names of what could not.
        findings: in the order of `ISSUES`, copies of one another together.
    """

    pictures: Pictures
    findings: list[Finding]

    def of(self, issue: str) -> list[Finding]:
        """The findings of one issue."""
        return [finding for finding in self.findings if finding.issue == issue]

    def split(self, finding: Finding) -> str:
        """The name of the split that a finding is about."""
        if finding.issue == "unreadable":
            return self.pictures.unreadable[finding.index].split
        return self.pictures.split_of(finding.index)

    def counts(self, issue: str) -> Counter[str]:
        """How many pictures of each split have an issue."""
        return Counter(self.split(finding) for finding in self.of(issue))

    def excluded(self) -> NDArray[np.int64]:
        """Indices of the pictures that at least one finding suggests to exclude, rising."""
        return np.unique(
            [
                finding.index
                for finding in self.findings
                if finding.suggestion == "exclude" and finding.issue != "unreadable"
            ]
        ).astype(np.int64)

    def class_counts(self) -> dict[str, dict[str, int]]:
        """How many pictures each class has: by split, then by class."""
        pictures = self.pictures
        return {
            split: dict(
                zip(
                    pictures.classes,
                    np.bincount(
                        pictures.labels[pictures.part == part], minlength=len(pictures.classes)
                    ).tolist(),
                    strict=True,
                )
            )
            for part, split in enumerate(pictures.splits)
        }


def audit(
    path: str | Path,
    *,
    alike: float = ALIKE,
    find_faces: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> Audit:
    """Looks through every split of a data set.

    Args:
        path: a data set in any shape that `mien.datasets.read_dataset` reads.
        alike: correlation of pixels above which two pictures are near copies, in [0.5, 1).
        find_faces: the pictures are photographs, of which the surest face is taken, as `read_dataset` does.
        say: is told in a few words how far the work is.

    Raises:
        DatasetError: there is no data set there, or it is not laid out as expected.
        ConfigError: `alike` is out of range, or faces are to be found in a table.
    """
    if not 0.5 <= alike < 1:
        raise ConfigError(f"alike {alike}: choose 0.5 or more, and below 1")
    pictures = read_pictures(Path(path), find_faces=find_faces, say=say)
    say("looking for copies")
    groups = exact_groups(pictures.images)
    redundant = {index for group in groups for index in group[1:]}
    single = np.array([index for index in range(len(pictures)) if index not in redundant], np.int64)
    place = np.empty(len(pictures), np.int64)  # of each picture, or of that which it copies, among the single
    place[single] = np.arange(len(single))
    for group in groups:
        place[group] = place[group[0]]
    there = np.zeros((len(pictures.splits), len(single)), np.bool_)
    there[pictures.part, place] = True
    likest = Likest(there)
    for pairs in near_pairs(pictures.images[single], alike=alike, say=say):
        likest.add(pairs)
    findings = [
        *_unreadable(pictures),
        *_blank(pictures),
        *_copies(pictures, groups),
        *_near_copies(pictures, groups, place, likest),
        *_votes(pictures),
    ]
    order = list(ISSUES)
    findings.sort(key=lambda finding: (order.index(finding.issue), finding.group or 0))
    # What one finding keeps and another excludes, is excluded.
    out = set(Audit(pictures, findings).excluded().tolist())
    return Audit(
        pictures,
        [
            replace(finding, suggestion="exclude")
            if finding.suggestion == "keep" and finding.index in out
            else finding
            for finding in findings
        ],
    )


def _remove(pictures: Pictures, index: int) -> Suggestion:
    """What to do with a picture not wanted: a test stays as it is, or its scores compare with nobody's."""
    return "exclude" if pictures.split_of(index) == TRAIN else "review"


def _unreadable(pictures: Pictures) -> Iterable[Finding]:
    for index, file in enumerate(pictures.unreadable):
        yield Finding("unreadable", index, None, "exclude", file.reason)


def _blank(pictures: Pictures) -> Iterable[Finding]:
    for index, image in enumerate(pictures.images):
        if image.std() < _BLANK:
            yield Finding("blank", index, None, _remove(pictures, index), f"grey level {image.mean():.0f}")


def _copies(pictures: Pictures, groups: list[list[int]]) -> Iterable[Finding]:
    """Exact copies: within a split, across splits, and with different labels."""
    for number, group in enumerate(groups, start=1):
        labels = Counter(pictures.label_of(index) for index in group)
        label, most = labels.most_common(1)[0]
        agreed = label if 2 * most > len(group) else None
        by_split: dict[str, list[int]] = {}
        for index in group:
            by_split.setdefault(pictures.split_of(index), []).append(index)
        # One of each split may stay: the first with the label that most of the group have.
        kept = {
            next((index for index in members if pictures.label_of(index) == agreed), None)
            for members in by_split.values()
        }
        known = ", ".join(f"{count} × {word}" for word, count in labels.most_common())
        for index in group:
            split = pictures.split_of(index)
            here = len(by_split[split]) - 1
            redundant: Suggestion = "keep" if index in kept else _remove(pictures, index)
            note = f"labelled {pictures.label_of(index)}"
            if here:
                yield Finding("duplicate", index, number, redundant, f"{note}; {here} more in {split}")
            if len(labels) > 1:
                yield Finding("conflicting_labels", index, number, redundant, f"{note}; the copies: {known}")
            if len(by_split) > 1:
                abroad = [member for member in group if pictures.split_of(member) != split]
                others = ", ".join(pictures.place(member) for member in abroad[:LISTED])
                if len(abroad) > LISTED:
                    others += f" and {len(abroad) - LISTED} more"
                yield Finding("leak", index, number, _in_leak(split, by_split), f"{note}; also {others}")


def _in_leak(split: str, splits: Iterable[str]) -> Suggestion:
    """What is in training and in a test leaves training; what is in two tests is for a person to judge."""
    if split == TRAIN:
        return "exclude"
    return "keep" if TRAIN in splits else "review"


def _near_copies(
    pictures: Pictures, groups: list[list[int]], place: NDArray[np.int64], likest: Likest
) -> Iterable[Finding]:
    """Near copies within a split and across splits.

    Args:
        pictures: all.
        groups: the exact copies, whose numbers come first.
        place: of each picture its index in `likest`, the same for exact copies.
        likest: the near copies.
    """
    members: dict[int, list[int]] = {}
    for index, here in enumerate(place.tolist()):
        members.setdefault(here, []).append(index)
    some = likest.other < len(members)
    roots = np.unique(likest.root[some.any(axis=0)])
    found = []
    for index, (part, here) in enumerate(zip(pictures.part.tolist(), place.tolist(), strict=True)):
        split = pictures.splits[part]
        number = len(groups) + 1 + int(np.searchsorted(roots, likest.root[here]))
        parts = np.flatnonzero(some[:, here]).tolist()
        for issue, of in (("near_duplicate", {part}.intersection(parts)), ("near_leak", {*parts} - {part})):
            if not of:
                continue
            less, other, best = min((-likest.correlation[p, here], int(likest.other[p, here]), p) for p in of)
            twin = next(member for member in members[other] if pictures.part[member] in of)
            suggestion: Suggestion = (
                "review"
                if issue == "near_duplicate"
                else _in_leak(split, {split, *(pictures.splits[p] for p in of)})
            )
            note = (
                f"labelled {pictures.label_of(index)}; correlates {-less:.3f} with "
                f"{'the mirror image of ' if likest.mirrored[best, here] else ''}{pictures.place(twin)}, "
                f"labelled {pictures.label_of(twin)}"
            )
            # The likest pair first, and of it first the one that comes first.
            order = (less, min(here, other), max(here, other), here > other, index)
            found.append((order, Finding(issue, index, number, suggestion, note)))
    return [finding for _, finding in sorted(found, key=lambda both: both[0])]


def _votes(pictures: Pictures) -> Iterable[Finding]:
    """What the annotators say: no face at all, or another expression than the label.

    Both are for a person to judge: a model that learns votes learns from these pictures too.
    """
    if pictures.votes is None or pictures.classes != EXPRESSIONS:
        return
    nobody = CROWD.index("not_a_face")
    for index, (counts, label) in enumerate(zip(pictures.votes, pictures.labels, strict=True)):
        total = int(counts.sum())
        if counts[nobody] > np.delete(counts, nobody).max():
            note = f"{counts[nobody]} of {total} votes for not a face"
            yield Finding("not_a_face", index, None, "review", note)
        if total and counts[label] == 0:
            votes = ", ".join(f"{counts[word]} {CROWD[word]}" for word in np.argsort(-counts, kind="stable")
                              if counts[word])  # fmt: skip
            note = f"labelled {EXPRESSIONS[label]}; votes: {votes.replace('_', ' ')}"
            yield Finding("label_without_votes", index, None, "review", note)
