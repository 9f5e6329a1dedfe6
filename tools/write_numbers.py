"""Writes the README's numbers from benchmarks/results/, between its two marks.

python tools/write_numbers.py           # rewrites README.md
python tools/write_numbers.py --check   # only says whether it is up to date
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- numbers: written by tools/write_numbers.py -->", "<!-- end of numbers -->"


def main(check: bool) -> int:
    """Returns 1 if `check` finds the README out of date."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    new = f"{before}{BEGIN}\n{numbers()}\n{END}{after}"
    if check:
        print(
            "README.md is up to date" if new == text else "README.md is out of date: run this without --check"
        )
        return int(new != text)
    readme.write_text(new, encoding="utf-8")
    return 0


def numbers() -> str:
    """The section on accuracy, speed and memory, in Markdown."""
    accuracy, road, speed, memory = (_result(name) for name in ("accuracy", "road", "speed", "memory"))
    agreement, calibration = accuracy["crowd_agreement"], accuracy["probabilities_calibration"]
    lines = [
        f"On FER-2013's PublicTest, which nothing was trained or chosen on; one network, one view of each face "
        f"(`{accuracy['command']}`):",
        "",
        "| reading | held against | n | accuracy (95 % interval) | mean recall of the classes |",
        "|---|---|---|---|---|",
    ]
    for key, reading, truth in (
        ("fer2013_original_labels", "fer2013", "FER-2013's original labels, 7 classes"),
        ("crowd_ferplus_majority_8", "crowd", "FER+, the literature's protocol (majority), 8 classes"),
        ("probabilities_ferplus_majority_7", "probabilities", "FER+, the same protocol, 7 classes"),
    ):
        row = accuracy[key]
        lines.append(
            f"| `{reading}` | {truth} | {row['accuracy']['n']:,} | {_share(row['accuracy'])} "
            f"| {row['mean_recall']:.1%} |"
        )
    fresh = accuracy["fer2013_original_labels_without_twins_in_training"]["accuracy"]
    fresh_crowd = accuracy["crowd_ferplus_majority_8_without_twins_in_training"]["accuracy"]
    recall = accuracy["probabilities_ferplus_majority_7"]["recall"]
    weakest = ", ".join(f"{name} {recall[name]:.0%}" for name in sorted(recall, key=recall.__getitem__)[:3])
    lines += [
        "",
        "Some test faces have a near copy in Training (the data set's flaw). Without them: "
        f"{fresh['value']:.1%} of {fresh['n']:,} by the original labels, {fresh_crowd['value']:.1%} of "
        f"{fresh_crowd['n']:,} by FER+ (8 classes). The weakest classes of `probabilities`, by recall: {weakest}.",
        "",
        "**Against people:** held against the plurality of nine annotators, all ten answers allowed and no face "
        f"left out, the model agrees in {agreement['model_with_nine']:.1%}; the tenth annotator agrees in "
        f"{agreement['one_annotator_with_the_other_nine']:.1%} (n = {agreement['n']:,}).",
        "",
        f"**Meaning of `probability`:** its expected calibration error is "
        f"{calibration['expected_calibration_error']:.3f} (15 bins of equal mass, n = {calibration['n']:,}; FER+ "
        "majority, 7 classes).",
        "",
        "**In photographs:** the same faces enlarged to so many pixels in a picture of "
        f"{road['picture']} that continues them, found, framed and read as in any photograph "
        f"(`{road['command']}`):",
        "",
        "| side of the face | found | `fer2013`: whole road / same faces as crops | `crowd` | `probabilities` |",
        "|---|---|---|---|---|",
    ]
    for side, row in road["sides"].items():
        whole, crops = row["whole_road"], row["crops_of_the_same_faces"]
        cells = [f"{whole[key]['value']:.1%} / {crops[key]['value']:.1%}" for key in whole]
        lines.append(f"| {side} px | {row['found']['value']:.1%} | {' | '.join(cells)} |")
    times = speed["milliseconds"]
    step = {name.split(",")[0]: value["median"] for name, value in times.items()}
    count = memory["photographs"]
    lines += [
        "",
        f"**Speed** ({speed['machine']}; medians of {speed['runs']}, `{speed['command']}`): detect "
        f"{step['detect']:.0f} ms a picture, align {step['align one face']:.1f} ms and classify "
        f"{step['classify one face']:.1f} ms a face; the whole command `mien predict one.jpg` "
        f"{times['process: mien predict one.jpg']['median'] / 1000:.2f} s. "
        f"**Memory**: a peak of {memory[f'peak_mib_after_{count}']:.0f} MiB after {count:,} readings of "
        f"{memory['different_photographs']} photographs, "
        f"{memory['growth']:+.1%} since the first tenth (`{memory['command']}`).",
    ]
    return "\n".join(lines)


def _result(name: str) -> dict[str, Any]:
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _share(share: dict[str, Any]) -> str:
    low, high = share["interval_95"]
    return f"{share['value']:.1%} ({low * 100:.1f}–{high * 100:.1f})"


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
