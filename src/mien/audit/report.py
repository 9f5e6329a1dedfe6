"""The audit as one HTML page that needs nothing beside it: tables, and the pictures themselves.

The pictures of FER-2013 may not be passed on, so neither may a report that shows them.
"""

import base64
import io
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.audit.findings import ISSUES, LISTED, Audit, Finding
from mien.audit.pictures import TRAIN
from mien.files import replacing

TITLES: Final = {
    "unreadable": "Unreadable files",
    "blank": "Blank pictures",
    "duplicate": "Exact copies in one split",
    "conflicting_labels": "Copies with different labels",
    "leak": "Exact copies across splits",
    "near_duplicate": "Near copies in one split",
    "near_leak": "Near copies across splits",
    "not_a_face": "Not a face, by the votes",
    "label_without_votes": "Labels that got no vote",
}
"""What a person reads for each of `mien.audit.findings.ISSUES`."""

_SHOWN: Final = 48  # pictures or groups of each issue; a page with all of them could not be opened


def write_report(audit: Audit, path: Path) -> None:
    """Writes the page; what was there before stays whole until the new one is.

    What is no UTF-8 in the name of a file is written as escapes.
    """
    with replacing(path) as part:
        part.write_text(_page(audit), encoding="utf-8", errors="backslashreplace")


def _page(audit: Audit) -> str:
    pictures = audit.pictures
    name = escape(pictures.name)
    sizes = ", ".join(
        f"{escape(split)} {sum(counts.values()):,}" for split, counts in audit.class_counts().items()
    )
    excluded = len(audit.excluded())
    training = int((pictures.part == pictures.splits.index(TRAIN)).sum()) if TRAIN in pictures.splits else 0
    advice = (
        f"The suggestions leave out {excluded:,} of {training:,} pictures of {TRAIN}; the tests stay as they are, "
        "or scores on them would compare with nobody’s. Every finding is a row of the CSV file beside this page, "
        f"for <code>mien train --exclude</code>."
        if training
        else "Every finding is a row of the CSV file beside this page."
    )
    sections = "".join(_section(audit, issue) for issue in ISSUES if audit.of(issue))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Audit of {name}</title><style>{_STYLE}</style></head><body><main>
<header><h1>Audit of {name}</h1>
<p class="lead">{len(pictures):,} pictures: {sizes}.</p><p>{advice}</p></header>
<section><h2>What was found</h2>{_summary(audit)}</section>
<section><h2>Classes</h2>{_classes(audit)}</section>
{sections}
<footer>Written by mien. The pictures shown belong to the data set: do not pass this page on unless its terms
allow it.</footer>
</main></body></html>
"""


def _summary(audit: Audit) -> str:
    splits = audit.pictures.splits
    rows = []
    for issue, title in TITLES.items():
        counts = audit.counts(issue)
        advised = {
            word: sum(finding.suggestion == word for finding in audit.of(issue))
            for word in ("exclude", "review")
        }
        said = ", ".join(f"{word} {count:,}" for word, count in advised.items() if count) or "–"
        heading = f'<a href="#{issue}">{title}</a>' if counts else title
        cells = "".join(f"<td>{counts[split]:,}</td>" for split in splits)
        rows.append(f"<tr><th scope=row>{heading}</th>{cells}<td>{said}</td></tr>")
    head = "".join(f"<th scope=col>{escape(split)}</th>" for split in splits)
    return (
        f'<div class="wide"><table><thead><tr><th scope=col>pictures with</th>{head}'
        f"<th scope=col>suggested</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _classes(audit: Audit) -> str:
    counts = audit.class_counts()
    pictures = audit.pictures
    voteless: dict[str, int] = dict.fromkeys(pictures.classes, 0)
    for finding in audit.of("label_without_votes"):
        voteless[pictures.label_of(finding.index)] += 1
    voted = dict.fromkeys(pictures.classes, 0)
    if pictures.votes is not None:
        for index in np.flatnonzero(pictures.votes.any(axis=1)):
            voted[pictures.label_of(int(index))] += 1
    all_of = {word: sum(counts[split][word] for split in counts) for word in pictures.classes}
    has_votes = pictures.votes is not None
    rows = []
    for word in pictures.classes:
        cells = "".join(_bar(counts[split][word], counts[split]) for split in counts)
        if has_votes:
            cells += f"<td>{voteless[word] / voted[word]:.0%}</td>" if voted[word] else "<td>–</td>"
        rows.append(f"<tr><th scope=row>{escape(word)}</th>{cells}</tr>")
    head = "".join(f'<th scope=col colspan="2">{escape(split)}</th>' for split in counts)
    head += "<th scope=col>label got no vote</th>" if has_votes else ""
    largest, smallest = max(all_of, key=lambda word: all_of[word]), min(all_of, key=lambda word: all_of[word])
    ratio = (
        f"<p>{escape(largest)} has {all_of[largest] / all_of[smallest]:.1f} times as many pictures as "
        f"{escape(smallest)}.</p>"
        if all_of[smallest]
        else f"<p>{escape(smallest)} has no picture.</p>"
    )
    return (
        f'{ratio}<div class="wide"><table><thead><tr><th scope=col>class</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _bar(count: int, counts: dict[str, int]) -> str:
    total, most = max(1, sum(counts.values())), max(1, *counts.values())
    return (
        f"<td>{count:,}</td>"
        f'<td class="bar"><i style="width:{4 * count / most:.2f}em"></i> {100 * count / total:.1f} %</td>'
    )


def _section(audit: Audit, issue: str) -> str:
    findings = audit.of(issue)
    chips = ", ".join(f"{escape(split)} {count:,}" for split, count in audit.counts(issue).items())
    groups = [list(group) for _, group in groupby(findings, lambda finding: finding.group)]
    if issue == "unreadable":
        shown, total, what = findings[:_SHOWN], len(findings), "files"
        body = "<ul>" + "".join(_lost(audit, finding) for finding in shown) + "</ul>"
    elif findings[0].group is None:
        # Spread over all of them, so that not only the first class is seen.
        rows = np.linspace(0, len(findings) - 1, min(len(findings), _SHOWN)).astype(int)
        shown, total, what = [findings[row] for row in rows], len(findings), "pictures"
        body = f'<div class="tiles">{"".join(_tile(audit, finding) for finding in shown)}</div>'
    else:
        shown_groups = sorted(groups, key=len, reverse=True)[:_SHOWN]
        shown, total, what = shown_groups[0], len(groups), "groups"
        draw = _near if issue.startswith("near") else _exact
        body = f'<div class="groups">{"".join(draw(audit, group) for group in shown_groups)}</div>'
    more = f"<p class=more>{_SHOWN} of {total:,} {what} are shown.</p>" if total > _SHOWN else ""
    chips += f"; {total:,} groups" if what == "groups" else ""
    return (
        f'<section id="{issue}"><h2>{TITLES[issue]}</h2><p>{escape(ISSUES[issue])}</p>'
        f"<p class=count>{chips}</p>{body}{more}</section>"
    )


def _lost(audit: Audit, finding: Finding) -> str:
    lost = audit.pictures.unreadable[finding.index]
    return f"<li><code>{escape(lost.file)}</code>: {escape(lost.reason)}</li>"


def _tile(audit: Audit, finding: Finding) -> str:
    image = audit.pictures.images[finding.index]
    place = escape(audit.pictures.place(finding.index))
    return (
        f"<figure>{_image(image)}<figcaption><b>{place}</b> {escape(finding.note)}"
        f"{_advice(finding)}</figcaption></figure>"
    )


def _exact(audit: Audit, group: list[Finding]) -> str:
    """One picture, and where its copies lie."""
    pictures = audit.pictures
    lines = [
        f"<li><b>{escape(pictures.place(finding.index))}</b> {escape(pictures.label_of(finding.index))}"
        f"{_advice(finding)}</li>"
        for finding in group[:LISTED]
    ]
    if len(group) > LISTED:
        lines.append(f"<li>and {len(group) - LISTED} more</li>")
    return f'<div class="group">{_image(pictures.images[group[0].index])}<ul>{"".join(lines)}</ul></div>'


def _near(audit: Audit, group: list[Finding]) -> str:
    """All the pictures of a group side by side."""
    tiles = "".join(_tile(audit, finding) for finding in group[:LISTED])
    more = f"<p>and {len(group) - LISTED} more</p>" if len(group) > LISTED else ""
    return f'<div class="group near"><div class="tiles">{tiles}</div>{more}</div>'


def _advice(finding: Finding) -> str:
    return f' <span class="{finding.suggestion}">{finding.suggestion}</span>'


def _image(image: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    content = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="" width="48" height="48" src="data:image/png;base64,{content}">'


_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1d21;--soft:#5b626d;--line:#d9dce1;--page:#fff;--card:#f6f7f9;
--bar:#4a78a8;--bad:#a9321f;--good:#1d6b42;--maybe:#80590b}
@media(prefers-color-scheme:dark){:root{--ink:#e7e9ec;--soft:#a2a9b4;--line:#383d45;--page:#15171a;
--card:#1e2125;--bar:#6f9fd0;--bad:#f0907f;--good:#7cc79d;--maybe:#dcb25e}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:68rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:0 0 .5rem}
p{max-width:44rem;margin:.4rem 0}
.lead{font-size:1.1rem}
section{margin-top:2.2rem;padding-top:1.2rem;border-top:1px solid var(--line)}
.count,.more,footer,figcaption,.group li{color:var(--soft)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin-top:.6rem}
th,td{padding:.3rem .9rem .3rem 0;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,th[colspan]{text-align:left;font-weight:500}
th:first-child,td:last-child{white-space:normal}
th[colspan]{padding-left:1em}
thead th{color:var(--soft);font-weight:500;font-size:.9rem}
td.bar{text-align:left;min-width:8.5em}
td.bar i{display:inline-block;height:.7em;background:var(--bar);border-radius:1px}
a{color:inherit;text-underline-offset:.15em}
img{width:72px;height:72px;display:block;border-radius:3px;background:var(--line)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.7rem;margin-top:.8rem}
figure{margin:0;display:grid;grid-template-columns:72px 1fr;gap:.6rem;font-size:.8rem;line-height:1.35}
figcaption{overflow-wrap:anywhere;min-width:0}
figcaption b,.group b{color:var(--ink);font-weight:600;display:inline}
figcaption b{display:block}
.groups{display:grid;grid-template-columns:repeat(auto-fill,minmax(18rem,1fr));gap:.7rem;margin-top:.8rem}
.group{background:var(--card);border-radius:6px;padding:.6rem;display:grid;grid-template-columns:72px 1fr;
gap:.7rem;font-size:.8rem;line-height:1.4;align-items:start}
.group ul{margin:0;padding:0;list-style:none;min-width:0;overflow-wrap:anywhere}
.group.near{display:block}
.near .tiles{grid-template-columns:1fr;margin:0}
.exclude{color:var(--bad)}.keep{color:var(--good)}.review{color:var(--maybe)}
.exclude,.keep,.review{font-weight:600;white-space:nowrap}
footer{margin-top:3rem;font-size:.85rem}
@media(max-width:30rem){th,td{padding-right:.5rem;font-size:.8rem}td.bar{min-width:6em}}
"""
