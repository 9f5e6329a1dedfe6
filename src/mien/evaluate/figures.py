"""The figures of a report: drawn by matplotlib, as SVG that takes the page's colours, and as PNG files."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours of a figure: text, lesser text and lines, the model, what it is held against."""

    ink: str
    muted: str
    model: str
    other: str


PAPER: Final = Colours("#1d2430", "#8a919c", "#1f5fae", "#b5561b")
# Colours that stand for the page's own, which a dark page has otherwise: see `svg`.
_MARKS: Final = Colours("#010101", "#020202", "#030303", "#040404")
_VARIABLES: Final = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--model)",
    "#040404": "var(--other)",
}
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mien",
    "font.size": 9,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.6,
}

Draw = Callable[[Axes, Colours], None]


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure.

    Attributes:
        name: of its file.
        size: width and height in inches.
        draw: what draws it.
    """

    name: str
    size: tuple[float, float]
    draw: Draw

    def svg(self) -> str:
        """As an SVG element for a page, in the page's colours and font."""
        stream = io.StringIO()
        with mpl.rc_context(_STYLE):
            _figure(self, _MARKS).savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        text = stream.getvalue()
        text = text[text.index("<svg") :]
        for mark, variable in _VARIABLES.items():
            text = text.replace(mark, variable)
        # The page sets the font, and the width; the box keeps the shape. Names must differ between figures.
        text = re.sub(
            r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img" aria-hidden="true">', text, count=1
        )
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r"font: (?:[\d.]+ )?([\d.]+px) [^;\"]*", r"font-size: \1", text)
        return re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{self.name}-", text)

    def save(self, folder: Path) -> None:
        """As a PNG file on white."""
        with mpl.rc_context(_STYLE):
            _figure(self, PAPER).savefig(folder / f"{self.name}.png", dpi=200, metadata={"Software": None})


def _figure(picture: Picture, colours: Colours) -> Figure:
    figure = Figure(figsize=picture.size, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=colours.muted, labelcolor=colours.ink, width=0.7, length=3)
    for spine in axes.spines.values():
        spine.set_color(colours.muted)
    axes.xaxis.label.set_color(colours.ink)
    axes.yaxis.label.set_color(colours.ink)
    picture.draw(axes, colours)
    return figure


_WIDE: Final = (4.3, 3.0)
_PANEL: Final = (2.5, 1.9)


def figures(metrics: dict[str, Any]) -> dict[str, Picture]:
    """All figures that a record of `mien.evaluate.run.evaluate` has numbers for, by name."""
    found: list[Picture] = []
    if "votes" in metrics:
        levels = metrics["votes"]["agreement"]["by_unanimity"]
        found.append(Picture("agreement", _WIDE, lambda axes, colours: _agreement(axes, colours, levels)))
    if metrics["calibration"]:
        first = next(iter(metrics["calibration"].values()))
        found.append(Picture("reliability", _WIDE, lambda axes, colours: _reliability(axes, colours, first)))
        kept = first["risk_coverage"]["curve"]
        found.append(Picture("risk-coverage", _WIDE, lambda axes, colours: _risk(axes, colours, kept)))
    for key, row in metrics["accuracy"].items():
        size = 0.55 * len(row["classes"]) + 1.0
        found.append(Picture(f"confusion-{key}", (size + 0.4, size), _confusion(row)))
    if "robustness" in metrics:
        robust = metrics["robustness"]
        key = next(iter(robust["clean"]))
        for name, curve in robust["curves"].items():
            found.append(Picture(f"robustness-{name}", _PANEL, _spoilt(curve, key, robust["clean"][key])))
    return {picture.name: picture for picture in found}


def _agreement(axes: Axes, colours: Colours, levels: list[dict[str, Any]]) -> None:
    places = range(len(levels))
    names = [f"{int(9 * level['largest_share'][1] + 1e-9)}" for level in levels]
    names[0] = f"≤ {names[0]}" if levels[0]["largest_share"][0] == 0 else names[0]
    axes.plot(places, [level["model"] for level in levels], "o-", color=colours.model)
    axes.plot(places, [level["person"] for level in levels], "s--", color=colours.other, markersize=5)
    axes.text(0.02, 0.97, "the model", color=colours.model, transform=axes.transAxes, va="top", weight="bold")
    axes.text(
        0.02, 0.89, "one person", color=colours.other, transform=axes.transAxes, va="top", weight="bold"
    )
    axes.set_xticks(list(places), names)
    axes.set(
        ylim=(0, 1.03),
        xlabel="how many of the other nine gave their commonest answer",
        ylabel="agrees with these nine",
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _reliability(axes: Axes, colours: Colours, record: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color=colours.muted, linewidth=0.8)
    if record["before"] is not None:
        bins = record["before"]["bins"]
        axes.plot(
            [row["said"] for row in bins],
            [row["true"] for row in bins],
            "s--",
            color=colours.other,
            markersize=4,
            linewidth=1,
        )
        axes.text(
            0.02, 0.89, "before the temperature", color=colours.other, transform=axes.transAxes, va="top"
        )
    bins = record["after"]["bins"]
    axes.plot([row["said"] for row in bins], [row["true"] for row in bins], "o-", color=colours.model)
    axes.text(
        0.02, 0.97, "as it answers", color=colours.model, transform=axes.transAxes, va="top", weight="bold"
    )
    axes.set(
        xlim=(0.2, 1.02), ylim=(0.2, 1.02), xlabel="probability that was said", ylabel="share that was right"
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _risk(axes: Axes, colours: Colours, curve: list[list[float]]) -> None:
    axes.plot([share for share, _ in curve], [right for _, right in curve], color=colours.model)
    axes.set(xlim=(0, 1), xlabel="share of faces answered, the surest first", ylabel="accuracy")
    lowest = min(0.8, min(right for _, right in curve) - 0.02)
    axes.set_ylim(lowest, 1.005)
    axes.yaxis.set_major_locator(MultipleLocator(0.05 if lowest > 0.6 else 0.2))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _confusion(row: dict[str, Any]) -> Draw:
    words = list(row["classes"])

    def draw(axes: Axes, colours: Colours) -> None:
        shares = [[count / max(1, sum(line)) for count in line] for line in row["confusion"]]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(words)), words, rotation=45, ha="right")
        axes.set_yticks(range(len(words)), words)
        for y, (line, counts) in enumerate(zip(shares, row["confusion"], strict=True)):
            for x, (share, count) in enumerate(zip(line, counts, strict=True)):
                colour = "white" if share > 0.55 else colours.ink
                axes.text(x, y, f"{share:.0%}\n{count}", ha="center", va="center", fontsize=7, color=colour)
        axes.set(xlabel="what the model says", ylabel="what people say")

    return draw


def _spoilt(curve: dict[str, Any], key: str, clean: float) -> Draw:
    def draw(axes: Axes, colours: Colours) -> None:
        places = range(1 + len(curve["strengths"]))
        axes.axhline(clean, color=colours.muted, linewidth=0.7, linestyle=":")
        axes.plot(places, [clean, *curve["accuracy"][key]], "o-", color=colours.model, markersize=3.5)
        axes.set_xticks(list(places), ["–", *(f"{strength:g}" for strength in curve["strengths"])])
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))

    return draw
