"""The README's numbers."""

from mien.commands.evaluate import share
from pages.found import evaluation, looks, result


def readme() -> str:
    """The README's section on accuracy, speed and memory."""
    base = evaluation("base")
    road, speed, memory = (result(name) for name in ("road", "speed", "memory"))
    accuracy, agreement = base["accuracy"], base["votes"]["agreement"]
    lines = [
        f"On FER-2013's PublicTest, from which nothing was learnt; {looks('base')} "
        "(`mien evaluate fer2013-dev.parquet --split PublicTest`). Which of several finished trainings ships was decided "
        "knowing these figures, so they flatter a little ([how](docs/honest-numbers.md#where-mien-stands)):",
        "",
        "| reading | held against | n | accuracy (95 % interval) | mean recall of the classes |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row['reading']}` | {row['title']} | {row['n']:,} | {share(row['accuracy'])} "
        f"| {row['mean_recall']['value']:.1%} |"
        for row in accuracy.values()
    ]
    fresh = base["without_copies_in_training"]
    rest = "; ".join(
        f"{fresh[key]['accuracy']['value']:.1%} of {fresh[key]['n']:,} ({row['title']})"
        for key, row in accuracy.items()
    )
    recall = {word: row["recall"] for word, row in accuracy["ferplus_majority_7"]["classes"].items()}
    weakest = ", ".join(f"{word} {recall[word]:.0%}" for word in sorted(recall, key=recall.__getitem__)[:3])
    calibration = base["calibration"]["ferplus_majority_7"]["after"]
    lines += [
        "",
        f"Some test faces have a near copy in Training (the data set's flaw). Without them: {rest}. The weakest "
        f"classes of `probabilities`, by recall: {weakest}.",
        "",
        "**Against people:** held against the plurality of nine annotators, all ten answers allowed and no face "
        f"left out, the model agrees in {share(agreement['model'])}; the tenth annotator agrees in "
        f"{share(agreement['person'])} (n = {base['votes']['n']:,}).",
        "",
        "**Meaning of `probability`:** its expected calibration error is "
        f"{calibration['expected_calibration_error']:.3f} (15 bins of equal mass, n = {calibration['n']:,}; FER+ "
        "majority, 7 classes); if every answer were right as often as it says, chance would make it "
        f"{calibration['by_chance_95'][0]:.3f} to {calibration['by_chance_95'][1]:.3f}, 95 times in 100.",
        "",
        f"**In photographs:** each face enlarged to so many pixels and put into a picture of {road['picture']} whose "
        "background continues the crop's edges, then found, framed and read as in any photograph "
        f"(`{road['command']}`). Such pictures are harder to find faces in than real ones. Accuracies are of the "
        "faces found: in the picture / cut out already.",
        "",
        "| side of the face | found | `fer2013` | `crowd` | `probabilities` |",
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
        f"**Speed** (a photograph of 512×600; {speed['machine']}; medians of {speed['runs']}, `{speed['command']}`): "
        f"detect {step['detect']:.0f} ms a picture, align {step['align one face']:.1f} ms and classify "
        f"{step['classify one face']:.1f} ms a face; the whole command `mien predict one.jpg` "
        f"{times['process: mien predict one.jpg']['median'] / 1000:.2f} s. "
        f"**Memory**: a peak of {memory[f'peak_mib_after_{count}']:.0f} MiB after {count:,} readings of "
        f"{memory['different_photographs']} photographs, "
        f"{memory['growth']:+.1%} since the first tenth (`{memory['command']}`).",
    ]
    return "\n".join(lines)
