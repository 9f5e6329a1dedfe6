"""docs/networks.md and docs/training.md: what trainings reach."""

from mien.commands.evaluate import share
from pages.found import file_size, result


def networks() -> str:
    """The table that compares networks."""
    found = result("networks")
    rows = found["networks"]
    first = next(iter(rows.values()))
    keys = {
        "fer2013": "original labels",
        "crowd_8": "FER+ majority, 8 classes",
        "probabilities_7": "FER+, 7 classes",
    }
    titles = [f"`{key.split('_')[0]}`, {what} (n = {first[key]['n']:,})" for key, what in keys.items()]
    titles.insert(1, "its mean recall")
    lines = [
        f"| recipe | parameters | MACs | ONNX file | epochs | minutes | {' | '.join(titles)} |",
        f"|---|---|---|---|---|---|{'---|' * len(titles)}",
    ]
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["fer2013"]["value"]):
        of_labels, *others = (share(row[key]) for key in keys)
        cells = [
            f"{row['parameters'] / 1e6:.2g} M",
            f"{row['macs'] / 1e6:.3g} M",
            file_size(row["onnx_bytes"]),
            str(row["epochs"]),
            f"{row['minutes']:.0f}",
            of_labels,
            f"{row['fer2013_mean_recall']:.1%}",
            *others,
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    machines: dict[str, list[str]] = {row["machine"]: [] for row in rows.values()}
    for name, row in rows.items():
        machines[row["machine"]].append(f"`{name}`")
    minutes = "; ".join(f"{', '.join(names)} on {machine}" for machine, names in sorted(machines.items()))
    twice = " and ".join(f"`{name}`" for name, row in rows.items() if row.get("mirror"))
    lines += [
        "",
        f"PublicTest, one view a face{f', and its mirror image by {twice}' if twice else ''} ("
        "`python benchmarks/networks.py fer2013-dev.parquet FOLDER`, each row by itself)."
        f" Minutes: {minutes}.",
    ]
    return "\n".join(lines)


def transfer() -> str:
    """What it buys to start from a model."""
    found = result("transfer")
    titles = {
        "same_network": "the same network from scratch",
        "scratch": "a small one from scratch (`quick`)",
        "whole_trunk": f"`--init {found['model']}`",
        "frozen_trunk": f"`--init {found['model']} --trunk-rate 0`",
    }
    lines = [
        f"| faces of each class | {' | '.join(titles.values())} |",
        f"|---|{'---|' * len(titles)}",
    ]
    for count, ways in found["faces_a_class"].items():
        cells = [
            f"{ways[way]['mean_recall']['mean']:.1%} ± {100 * ways[way]['mean_recall']['sd']:.1f}"
            for way in titles
        ]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    tested = sum(found["test_faces"].values())

    def epochs(way: str) -> str:
        return ", ".join(str(row[way]) for row in found["epochs"].values())

    lines += [
        "",
        f"Three classes, {', '.join(found['classes'])}, of faces that the model never learnt from; mean recall on {tested:,} "
        f"faces of PublicTest without a near copy in Training, mean and standard deviation of {found['seeds']} drawings "
        f"(`python benchmarks/transfer.py fer2013-dev.parquet {found['model']}`). Short trainings: {epochs('scratch')} epochs "
        f"from scratch, {epochs('from_model')} from `{found['model']}`; longer ones from scratch would come nearer.",
    ]
    return "\n".join(lines)
