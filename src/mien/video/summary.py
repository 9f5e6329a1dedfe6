"""Writes a video's summary for people: one HTML file that holds everything and loads nothing."""

import base64
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien import __version__
from mien.draw import COLOURS
from mien.labels import EXPRESSIONS
from mien.result import percent
from mien.video.timeline import Change, Line, Timeline

# Tracks that are drawn, the longest; the others are counted. Shorter ones than this, in seconds, are not drawn.
_DRAWN: Final = 40
_SHORT: Final = 0.5
_HEIGHT: Final = 100  # units of a lane's drawing, so that a share is a percentage
# What may lie between the labels of a time axis, in seconds.
_TICKS: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def write_summary(
    timeline: Timeline, *, title: str, model: str, settings: str, note: str | None = None
) -> str:
    """Makes the page.

    Args:
        timeline: the video, ended.
        title: its name.
        model: the name of the expression model.
        settings: how it was read, in a few words.
        note: a sentence on what is missing from the video, if anything is.

    Returns:
        HTML.
    """
    lines = [line for line in timeline.lines if line.present >= _SHORT]
    if len(lines) > _DRAWN:
        longest = sorted(lines, key=lambda line: line.present, reverse=True)[:_DRAWN]
        lines = sorted(longest, key=lambda line: line.track)
    tracks = len(timeline.lines) + timeline.dropped
    width, height = timeline.size
    facts = [
        f"{_length(timeline.end_time)} long",
        f"{_count(timeline.frames, 'frame')} of {width}×{height}",
        _count(tracks, "track"),
        _count(timeline.cuts, "cut"),
        settings,
    ]
    notes = [note] if note else []
    if hidden := tracks - len(lines):
        notes.append(f"Not drawn: {_count(hidden, 'track')}, shorter than the others or than half a second.")
    notes.append(
        f"A curve has {len(EXPRESSIONS)} lanes, one an expression, each from 0 to 100 %, with a line at 50 %. "
        "Long tracks are drawn in "
        "steps of several frames; the exact numbers of every frame are in the table that --out writes."
    )
    values = {
        "title": escape(title),
        "facts": escape(" · ".join(facts)),
        "overview": _overview(lines, timeline.end_time) if lines else _NOBODY,
        "tracks": "\n".join(_track(line) for line in lines),
        "notes": escape(" ".join(notes)),
        "version": escape(__version__),
        "model": escape(model),
    }
    template = files("mien.video").joinpath("summary.html").read_text(encoding="utf-8")
    return re.sub(r"@([a-z]+)@", lambda match: values[match[1]], template)


_NOBODY: Final = (
    '<section><p class="quiet">Nobody was found in this video for half a second or more.</p></section>'
)


def _overview(lines: Sequence[Line], end: float) -> str:
    """When each face was in sight, and with which expression, on one axis for all."""
    rows = []
    for line in lines:
        times, means, _, _ = line.curve()
        ribbon = _ribbon(times, means, line.step, 0.0, max(end, 1e-9))
        rows.append(
            f'<a class="name" href="#track-{line.track}">Track {line.track}</a>'
            f'<div class="lane ribbon">{ribbon}</div>'
            f'<span class="share">{_length(line.present)}</span>'
        )
    return (
        '<section class="overview"><h2>In sight</h2><div class="grid" style="margin-top:10px">'
        f"{''.join(rows)}<span></span>{_axis(0.0, end)}<span></span></div></section>"
    )


def _track(line: Line) -> str:
    """One track: who, how much of each expression, its curves, and its changes."""
    times, means, lows, highs = line.curve()
    shares = line.seconds / max(line.present, 1e-9)
    top = int(shares.argmax())
    end = line.first + len(times) * line.step
    lanes = []
    for index, name in enumerate(EXPRESSIONS):
        kind = " top" if index == top else ""
        lanes.append(
            f'<div class="grid{kind}" style="--c:{_colour(name)}">'
            f'<span class="name"><i class="dot"></i>{name}</span>'
            f'<div class="lane plot">{_plot(means[:, index], lows[:, index], highs[:, index])}</div>'
            f'<span class="share">{percent(float(shares[index]))}</span></div>'
        )
    curve = json.dumps(
        {
            "times": [round(float(time), 2) for time in times],
            "values": [None if np.isnan(row[0]) else [round(float(v) * 100) for v in row] for row in means],
            "names": EXPRESSIONS,
        },
        separators=(",", ":"),
    )
    split = "".join(
        f'<i style="--c:{_colour(name)};width:{share:.3%}" title="{name} {percent(float(share))}"></i>'
        for name, share in zip(EXPRESSIONS, shares, strict=True)
        if share > 0
    )
    ranked = sorted(zip(shares, EXPRESSIONS, strict=True), reverse=True)
    told = ", ".join(f"{name} {percent(float(share))}" for share, name in ranked if share > 0)
    portrait = max(line.changes, key=lambda change: change.lasted).thumbnail
    image = f'<img src="{_data(portrait)}" alt="Face of track {line.track}">' if portrait else ""
    exact = end - line.first < 60
    facts = f"{clock(line.first, exact=exact)} to {clock(line.last, exact=exact)}"
    facts += f" · in sight for {_length(line.present)} · {_count(line.frames, 'frame')}"
    if line.unclear:
        facts += f" · unclear for {_length(line.unclear)}"
    return (
        f'<section id="track-{line.track}"><div class="head">{image}<div><h2>Track {line.track}</h2>'
        f'<p class="facts">{facts}</p></div></div>'
        f'<div class="split" role="img" aria-label="Share of time: {told}">{split}</div>'
        f"<div data-curve='{escape(curve)}'>{''.join(lanes)}"
        f'<div class="grid"><span></span>{_axis(line.first, end)}<span></span></div>'
        '<p class="said">At the right: for what share of its time each expression was the likeliest.</p></div>'
        f"{_changes(line.changes)}</section>"
    )


def _changes(changes: Sequence[Change]) -> str:
    """Small pictures of the moments at which the expression became another one."""
    if len(changes) < 2:
        return ""
    items = "".join(
        f'<li style="--c:{_colour(change.expression)}"><img src="{_data(change.thumbnail)}" alt="">'
        f"<time>{clock(change.time, exact=True)}</time>{change.expression}</li>"
        for change in changes
        if change.thumbnail is not None
    )
    return f'<ol class="thumbs" aria-label="Changes of expression" tabindex="0">{items}</ol>' if items else ""


def _plot(mean: NDArray[np.floating], low: NDArray[np.floating], high: NDArray[np.floating]) -> str:
    """The lane of one expression: the raw readings' range under the smoothed line and its area."""
    raw, area, line = [], [], []
    for start, stop in _stretches(~np.isnan(mean)):
        across = np.arange(start, stop) + 0.5
        if stop - start == 1:  # a single step has a width too
            across = np.array([start, start + 1.0])
        smooth, top, bottom = (
            np.broadcast_to(values[start:stop], len(across)) if stop - start == 1 else values[start:stop]
            for values in (mean, high, low)
        )
        line.append("M" + _points(across, smooth))
        area.append(f"M{across[0]:g},{_HEIGHT}L{_points(across, smooth)}L{across[-1]:g},{_HEIGHT}Z")
        raw.append(f"M{_points(across, top)}L{_points(across[::-1], bottom[::-1])}Z")
    return (
        f'<svg viewBox="0 0 {len(mean)} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="area" d="{"".join(area)}"/><path class="raw" d="{"".join(raw)}"/>'
        f'<path class="line" d="{"".join(line)}"/></svg>'
    )


def _points(across: NDArray[np.floating], shares: NDArray[np.floating]) -> str:
    return " ".join(f"{x:g},{_HEIGHT * (1 - y):.1f}" for x, y in zip(across, shares, strict=True))


def _ribbon(
    times: NDArray[np.floating], means: NDArray[np.floating], step: float, start: float, end: float
) -> str:
    """A band coloured by the likeliest expression; times in seconds on an axis from `start` to `end`."""
    seen = ~np.isnan(means[:, 0])
    likeliest = np.where(seen, np.nan_to_num(means).argmax(axis=1), -1)
    borders = [0, *(np.flatnonzero(np.diff(likeliest)) + 1), len(likeliest)]
    scale = 1000 / (end - start)
    rects = []
    for first, stop in pairwise(borders):
        if likeliest[first] >= 0:
            x, width = (times[first] - start) * scale, max((stop - first) * step * scale, 1.5)
            colour = _colour(EXPRESSIONS[likeliest[first]])
            rects.append(f'<rect x="{x:.2f}" width="{width:.2f}" height="10" fill="{colour}"/>')
    drawn = "".join(rects)
    return f'<svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'


def _axis(start: float, end: float) -> str:
    """The labels of a time axis."""
    length = max(end - start, 1e-9)
    spacing = next((tick for tick in _TICKS if length / tick <= 5), length)
    ticks = np.arange(np.ceil(start / spacing) * spacing, end + 1e-9, spacing)
    # Labels near the ends would touch those of the ends.
    inner = [tick for tick in ticks if 0.08 * length < tick - start < 0.92 * length]
    exact = spacing < 1 or length < 10
    labels = [f'<span style="left:0">{clock(start, exact=exact)}</span>']
    labels += [
        f'<span class="inner" style="left:{(tick - start) / length:.2%}">{clock(float(tick), exact=exact)}</span>'
        for tick in inner
    ]
    labels.append(f'<span class="end" style="left:100%">{clock(end, exact=exact)}</span>')
    return f'<div class="axis">{"".join(labels)}</div>'


def _stretches(seen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where a row of truths is true without a gap: beginnings and ends, the latter not included."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def clock(seconds: float, *, exact: bool = False) -> str:
    """A time as people read it: 1:05, 1:02:05; with tenths, 1:05.2, when exact."""
    tenths = round(seconds * 10)
    whole = tenths // 10 if exact else round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    text = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
    return f"{text}.{tenths % 10}" if exact else text


def _length(seconds: float) -> str:
    """A span of time as people read it: 4.2 s, or as a clock from a minute on."""
    return f"{seconds:.1f} s" if seconds < 59.95 else clock(seconds)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _colour(expression: str) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[expression])


def _data(jpeg: bytes | None) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg or b'').decode()}"
