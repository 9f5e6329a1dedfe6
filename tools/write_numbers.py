"""Writes the numbers of README.md and docs/ from the files that hold them.

    python tools/write_numbers.py           # rewrites the sections between their marks
    python tools/write_numbers.py --check   # only says whether they are up to date

The files are src/mien/model/*/evaluation.json (tools/reproduce.py), benchmarks/results/*.json, and
benchmarks/claims.toml for what others say of themselves.
"""

import hashlib
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mien.commands.compare import points, probability
from mien.commands.evaluate import share
from mien.model_file import find_model, shipped_models
from mien.train.recipe import load_recipe

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def main(check: bool) -> int:
    """Returns 1 if `check` finds a page out of date."""
    late = []
    for page, sections in PAGES.items():
        path = ROOT / page
        text = new = path.read_text(encoding="utf-8")
        for name, write in sections.items():
            begin = f"<!-- {name}: written by tools/write_numbers.py -->"
            end = f"<!-- end of {name} -->"
            before, rest = new.split(begin)
            new = f"{before}{begin}\n{write()}\n{end}{rest.split(end)[1]}"
        if new != text:
            late.append(page)
            if not check:
                path.write_text(new, encoding="utf-8")
    if check:
        print(
            f"out of date: {', '.join(late)}; run this without --check"
            if late
            else "the numbers are up to date"
        )
    return int(check and bool(late))


def readme() -> str:
    """The README's section on accuracy, speed and memory."""
    base = evaluation("base")
    road, speed, memory = (result(name) for name in ("road", "speed", "memory"))
    accuracy, agreement = base["accuracy"], base["votes"]["agreement"]
    lines = [
        f"On FER-2013's PublicTest, which nothing was trained or chosen on; {looks('base')} "
        "(`mien evaluate fer2013-dev.parquet --split PublicTest`):",
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


def plain() -> str:
    """What the claimed 85.36 % was, by the network trained again."""
    row = claims()["claim"][0]
    claim = (
        f"Claimed for {row['who']}: {row['claim']} ({row['on']}; {row['source']}). It was {row['remark']}."
    )
    names = [name for name in ("plain", "plain-augmented") if (RESULTS / f"{name}.json").is_file()]
    if not names:
        return f"{claim}\n\n*Not trained again yet: `python benchmarks/plain.py DATA FOLDER` does.*"
    found = {name: result(name) for name in names}
    commands = " and ".join(f"`{row['command']}`" for row in found.values())
    lines = [
        f"{claim} The same network, trained again by the same recipe ({commands}):",
        "",
        "![Accuracy of each epoch: on the faces learnt from it climbs, on faces never seen it stands still]"
        "(plain.png)",
        "",
        "| accuracy on the original labels, after the last epoch | n | "
        + " | ".join(f"`{name}`, {row['recipe']['epochs']} epochs" for name, row in found.items())
        + " |",
        f"|---|---|{'---|' * len(found)}",
    ]
    for key, what in (
        ("while_training", "faces it learns from, counted while it trains, as Keras shows it"),
        ("Training", "the same faces, read by the finished model"),
        ("PublicTest", "PublicTest, which it never saw"),
        (
            "PublicTest_without_dividing_by_255",
            "PublicTest with pixels of 0 to 255, as the author's test program has them; training had 0 to 1",
        ),
    ):
        cells = " | ".join(share(row[key]) for row in found.values())
        lines.append(f"| {what} | {found[names[0]][key]['n']:,} | {cells} |")
    return "\n".join(lines)


def people() -> str:
    """What people score, and what the labels allow."""
    found = result("people")["PublicTest"]
    n = found["faces"]
    labels = found["plurality_is_the_original_label"]
    by_class = found["plurality_is_the_original_label_by_class"]
    order = sorted(by_class, key=by_class.__getitem__, reverse=True)
    person = claims()["person"][0]
    return "\n".join(
        [
            "| who | held against | n | agrees |",
            "|---|---|---|---|",
            f"| one of FER+'s ten annotators | what most of the other nine say, ten answers | {n:,} | "
            f"{share(found['one_person_agrees_with_nine'])} |",
            "| the plurality of all ten | the same nine | "
            f"{n:,} | {share(found['plurality_of_ten_agrees_with_nine'])} |",
            "| one of the ten | FER+ majority, 8 classes (the person is one of those who made it) | "
            f"{found['one_person_agrees_with_the_majority']['n']:,} | "
            f"{found['one_person_agrees_with_the_majority']['value']:.1%} |",
            f"| one of the ten | FER-2013's original labels | {n:,} | "
            f"{found['one_person_says_the_original_label']:.1%} |",
            f"| {person['who']} | {person['on']} | | {person['claim']} ({person['source']}) |",
            "",
            f"The original label is what most people say on only {share(labels)} of PublicTest: "
            f"{', '.join(f'{word} {by_class[word]:.0%}' for word in order)}. On "
            f"{share(found['original_label_got_no_vote'])} not one of ten people gave the original label "
            f"(`{result('people')['command']}`).",
        ]
    )


def copies() -> str:
    """What the duplicates are."""
    found = result("audit")
    groups, issues = found["exact_groups"], found["issues"]
    return (
        f"FER-2013's Training and PublicTest hold {groups['groups']:,} groups of exact copies ({groups['redundant_pictures']:,} redundant "
        f"pictures), {issues['conflicting_labels']['groups']} of them with conflicting labels; "
        f"{issues['leak']['PublicTest']:,} pictures of PublicTest have an identical twin in Training "
        f"(`{found['command']}`)."
    )


def file_size(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.0f} kB"


def ours() -> str:
    """Where mien's models stand, and how sure that is."""
    lines = [
        "| model | file | `fer2013`, original labels | `crowd`, FER+ majority, 8 classes | "
        "`probabilities`, FER+ majority, 7 classes | agrees with nine people |",
        "|---|---|---|---|---|---|",
    ]
    for name in shipped_models():
        found = evaluation(name)
        accuracy = found["accuracy"]
        cells = [
            share(accuracy[key]["accuracy"])
            for key in ("original_labels", "ferplus_majority_8", "ferplus_majority_7")
        ]
        size = file_size(find_model(name).stat().st_size)
        lines.append(
            f"| `{name}` | {size} | {' | '.join(cells)} | {share(found['votes']['agreement']['model'])} |"
        )
    base = evaluation("base")
    agreement, noise = base["votes"]["agreement"], base["label_noise"]
    counts = [
        f"{base['accuracy'][key]['n']:,}"
        for key in ("original_labels", "ferplus_majority_8", "ferplus_majority_7")
    ]
    low, high = agreement["difference"]["interval_95"]
    lines += [
        "",
        f"n = {', '.join(counts)} and {base['votes']['n']:,}; brackets are 95 % intervals. `base` agrees with nine "
        f"people {100 * agreement['difference']['value']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}) more "
        f"often than a person does. Of its {noise['mistakes_on_original_labels']:,} mistakes on the original labels, "
        f"the FER+ majority sides with the model in {noise['crowd_sides_with_model']['share']:.1%} and with the label "
        f"in {noise['crowd_sides_with_label']['share']:.1%}.",
    ]
    return "\n".join(lines)


def peers() -> str:
    """Peers that were run here, on the same rows."""
    found = result("compare")
    names = [model["name"] for model in found["models"]]
    lines = [f"| held against | n | {' | '.join(f'`{name}`' for name in names)} | difference, points | p |"]
    lines.append("|---" * (len(names) + 4) + "|")
    for truth in found["truths"].values():
        cells = [share(row["accuracy"]) for row in truth["models"]]
        differences = "; ".join(points(row["accuracy"]) for row in truth["against_first"])
        chances = "; ".join(probability(row["mcnemar_p"]) for row in truth["against_first"])
        lines.append(
            f"| {truth['title']} | {truth['n']:,} | {' | '.join(cells)} | {differences} | {chances} |"
        )
    agree = [share(votes["agreement"]["model"]) for votes in found["votes"]]
    lines.append(f"| nine people, ten answers | {found['n']:,} | {' | '.join(agree)} | | |")
    return "\n".join(lines)


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
    lines = [
        f"| recipe | parameters | MACs | ONNX file | epochs | minutes | {' | '.join(titles)} |",
        f"|---|---|---|---|---|---|{'---|' * len(keys)}",
    ]
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["fer2013"]["value"]):
        cells = [
            f"{row['parameters'] / 1e6:.2g} M",
            f"{row['macs'] / 1e6:.3g} M",
            file_size(row["onnx_bytes"]),
            str(row["epochs"]),
            f"{row['minutes']:.0f}",
            *(share(row[key]) for key in keys),
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    machines = sorted({row["machine"] for row in rows.values()})
    twice = " and ".join(f"`{name}`" for name, row in rows.items() if row.get("mirror"))
    lines += [
        "",
        f"PublicTest, one view a face{f', and its mirror image by {twice}' if twice else ''} (`{found['command']}`). "
        f"Minutes: on {'; '.join(machines)}.",
    ]
    return "\n".join(lines)


def transfer() -> str:
    """What it buys to start from a model."""
    found = result("transfer")
    titles = {
        "scratch": "from scratch (`quick`)",
        "whole_trunk": "`--init base`",
        "frozen_trunk": "`--init base --trunk-rate 0`",
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
        f"Three classes, {', '.join(found['classes'])}, of faces that `base` never learnt from; mean recall on {tested:,} "
        f"faces of PublicTest without a near copy in Training, mean and standard deviation of {found['seeds']} drawings "
        f"({source(found)}). Short trainings: {epochs('scratch')} epochs from scratch, {epochs('from_model')} from "
        "`base`; longer ones from scratch would come nearer.",
    ]
    return "\n".join(lines)


def explained() -> str:
    """How far maps can be trusted."""
    found = result("explain")
    curves = found["curves"]
    titles = {
        "mien_explain": "mien explain",
        "rise_random_masks": "RISE with 128 random masks",
        "one_part_at_a_time": "one part hidden at a time",
        "middle_of_the_face": "the middle of the face",
        "map_of_another_face": "another face's map",
        "random_map": "a random map",
    }
    lines = ["| map | deletion | insertion |", "|---|---|---|"]
    lines += [
        f"| {title} | {curves[key]['deletion']:.3f} | {curves[key]['insertion']:.3f} |"
        for key, title in titles.items()
    ]

    def won(key: str, curve: str) -> int:
        beaten: int = round(curves[key][f"{curve}_better_than_random"] * found["faces"])
        return beaten

    beats = {
        key: f"{won(key, 'deletion')} by deletion and {won(key, 'insertion')} by insertion"
        for key in ("mien_explain", "rise_random_masks")
    }
    gains = found["better_than_rise"]
    apart = " and ".join(
        f"{row['gain']:.3f} in {name} (95 % interval {row['interval_95'][0]:.3f} to {row['interval_95'][1]:.3f})"
        for name, row in gains.items()
    )
    lines += [
        "",
        f"Means of {found['faces']} faces. Ours beats the random map in {beats['mien_explain']}, RISE with random masks in "
        f"{beats['rise_random_masks']}. Ours is better than RISE by {apart}. Size of the rank correlation with the maps "
        f"of the shuffled model: {found['size_of_rank_correlation_with_shuffled_weights']:.2f}, where a random map has "
        f"{found['size_of_rank_correlation_with_a_random_map']:.2f}; rank correlation with those of the face moved by a "
        f"pixel: {found['rank_correlation_moved_by_a_pixel']:.2f}.",
    ]
    return "\n".join(lines)


def audited() -> str:
    """What the audit finds in FER-2013."""
    found = result("audit")
    issues, splits = found["issues"], found["pictures"]
    titles = {
        "blank": "blank",
        "duplicate": "with an exact copy in the same split",
        "leak": "with an exact copy in the other",
        "conflicting_labels": f"exact copies with different labels, in {issues['conflicting_labels']['groups']} groups",
        "near_duplicate": "with a near copy in the same split",
        "near_leak": "with a near copy in the other",
        "not_a_face": "not a face, by the votes",
        "label_without_votes": "whose label got none of ten votes",
    }
    lines = [
        f"Training and PublicTest, {sum(splits.values()):,} pictures (`{found['command']}`, which wrote",
        "[audit.json](../benchmarks/results/audit.json)):",
        "",
        "| | Training | PublicTest |",
        "|---|---|---|",
    ]
    lines += [
        f"| {title} | {' | '.join(f'{issues[key][s]:,}' for s in splits)} |" for key, title in titles.items()
    ]
    by_class = sorted(found["label_without_votes_by_class"].items(), key=lambda entry: -entry[1])
    (worst, most), *rest = by_class
    copies = found["exact_groups"]
    lines += [
        "",
        f"In all {copies['groups']:,} groups of exact copies, {copies['redundant_pictures']:,} pictures more than one of "
        f"each. Of the pictures labelled {worst}, {most:.0%} got not one vote for it; of "
        f"{', '.join(f'{word} {part:.0%}' for word, part in rest)}. The suggestions take "
        f"{found['excluded_from_training']:,} of {splits['train']:,} pictures out of Training. It took "
        f"{found['cpu_seconds']:.0f} seconds of one processor core ({found['machine'].split(',')[0]}), most of it to read "
        f"the file, and {found['peak_memory_mib']} MiB.",
    ]
    return "\n".join(lines)


def priors() -> str:
    """What a prior gains on faces drawn in other shares."""
    found = result("priors")
    titles = {"clinic": "the example's", "even": "even"}
    lines = [
        "| shares of the expressions | `--prior` | accuracy | calibration error | log-loss |",
        "|---|---|---|---|---|",
    ]
    for key, title in titles.items():
        for way, given in (("as_made", "none"), ("with_prior", "these shares")):
            row = found[key][way]
            lines.append(
                f"| {title} | {given} | {row['accuracy']:.1%} | {row['expected_calibration_error']:.3f} | "
                f"{row['log_loss']:.3f} |"
            )
    lines += [
        "",
        f"PublicTest, FER+ majority of the seven, {found['faces']:,} faces, drawn anew so that the expressions have these "
        f"shares ({source(found)}).",
    ]
    return "\n".join(lines)


def video() -> str:
    """How quick films are read, how near to a search of every frame, and what an hour of one costs."""
    found, hour = result("video"), result("video_memory")
    speed, near = found["speed"], found["against_searching_every_frame"]["all"]
    faces = sum(film["faces"] for film in found["against_searching_every_frame"]["films"].values())
    lost = sum(
        film["missed"] + film["extra"] for film in found["against_searching_every_frame"]["films"].values()
    )
    parts = ", ".join(
        f"{part} {row['share']:.0%} ({row['milliseconds_a_frame']:.1f} ms a frame)"
        for part, row in found["processor_time_by_part"].items()
    )
    minute = next(key for key in hour if key.startswith("resident_mib_at_minute_"))
    pace = hour["frames_a_second_of_processor_time"]
    return "\n".join(
        [
            f"**Speed:** {found['frames']}, one face, decoding included: {speed['times_real_time']:.1f} times as fast as "
            f"it plays, {speed['processor_milliseconds_a_frame']:.1f} ms of the processor's time a frame, of which "
            f"{parts} ({found['machine']}; {source(found)}).",
            "",
            f"**Against a search of every frame:** {lost} of {faces} faces missed or found in excess; the boxes overlap "
            f"by {near['box_iou_mean']:.3f} (intersection over union, mean; 5 % of them by less than "
            f"{near['box_iou_5_percent_below']:.3f}); the probabilities differ by {near['probabilities_apart_mean']:.3f} "
            f"(total variation, mean; 5 % of them by more than {near['probabilities_apart_5_percent_above']:.3f}), the "
            f"smoothed ones by {near['smoothed_apart_mean']:.3f}.",
            "",
            f"**Memory:** {hour['resident_mib_at_the_end']:.0f} MiB after {hour['minutes_of_film']:.0f} minutes of video, "
            f"{hour['growth_mib']:+.1f} MiB since minute {minute.rsplit('_', 1)[1]}; {pace['first_tenth']:.0f} frames a "
            f"second of the processor's time in the first tenth, {pace['last_tenth']:.0f} in the last "
            f"({hour['machine']}; {source(hour)}).",
        ]
    )


def serving() -> str:
    """What the service bears."""
    found, fuzz, camera = result("serve"), result("serve_fuzz"), result("camera")
    load = found["load"]
    names = {"mien": "`mien serve`", "unbatched": "the same, `--max-batch 1`", "peer": "`fer` behind FastAPI"}
    clients = list(load["mien"])[:-1]
    lines = [
        f"Answers a second, with the median and the 99th percentile of the time to an answer; {found['picture']}, "
        f"{found['seconds_each']:g} s each, in turn, in one run, with `--max-queue 128` so that 64 clients are let in; what "
        f"follows has the default, 16 ({found['machine']}; {source(found)}):",
        "",
        f"| | {' | '.join('1 client' if name == '1 clients' else name for name in clients)} | peak |",
        f"|---|{'---|' * (len(clients) + 1)}",
    ]
    for name, rows in load.items():
        cells = [
            f"{rows[many]['answers_per_second']:.1f} ({rows[many]['p50_milliseconds']:,.0f} / "
            f"{rows[many]['p99_milliseconds']:,.0f} ms)"
            for many in clients
        ]
        lines.append(f"| {names[name]} | {' | '.join(cells)} | {rows['peak_mib']:.0f} MiB |")
    over = found["overload"]
    spent = camera["processor_milliseconds_a_frame"]
    lines += [
        "",
        f"Asked {over['asked_per_second'] / over['able_per_second']:.0f} times as often as it can answer, it answers "
        f"{over['statuses']['200']} and refuses {over['statuses']['503']}, these in {over['refused']['p50_milliseconds']:.0f} "
        f"ms (99th percentile {over['refused']['p99_milliseconds']:.0f} ms); memory peaks at {over['peak_mib']:.0f} MiB; "
        f"{over['seconds_until_one_who_asks_afterwards_is_answered']:.1f} s afterwards a newcomer has its answer.",
        "",
        f"**Camera**, {camera['camera']}: {camera['frames_a_second']:.0f} frames a second are answered in the page in "
        f"Chromium, for {spent['browser']:.0f} ms of the processor's time in the browser and {spent['service']:.0f} ms in "
        f"the service: the camera's share is {camera['share_of_the_browser']:.0%} ({source(camera)}). A program that "
        f"sends frames over the socket gets {found['camera']['frames_per_second']:.0f} a second.",
        "",
        f"**Hostile input:** {fuzz['sent']:,} changed uploads and frames: {fuzz['answers_of_500']} answers of 500, "
        f"{fuzz['growth']:+.1%} memory ({source(fuzz)}).",
    ]
    return "\n".join(lines)


def claimed() -> str:
    """What others say of themselves."""
    lines = ["| who | claim | on | source | remark |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['who']} | {row['claim']} | {row['on']} | {row['source']} | {row['remark']} |"
        for row in claims()["claim"]
    ]
    return "\n".join(lines)


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"numbers": readme},
    "docs/honest-numbers.md": {
        "plain": plain,
        "people": people,
        "copies": copies,
        "ours": ours,
        "peers": peers,
        "claims": claimed,
    },
    "docs/networks.md": {"networks": networks},
    "docs/serve.md": {"load": serving},
    "docs/training.md": {"transfer": transfer},
    "docs/explain.md": {"explained": explained},
    "docs/audit.md": {"audited": audited},
    "docs/priors.md": {"priors": priors},
    "docs/video.md": {"measured": video},
}


def evaluation(model: str) -> dict[str, Any]:
    """What `mien evaluate` found of a model that ships."""
    path = find_model(model).with_name("evaluation.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def looks(model: str) -> str:
    """What a model looks at, by the recipe that it was made with."""
    return load_recipe(str(find_model(model).with_name("recipe.toml"))).looks


def result(name: str) -> dict[str, Any]:
    """What a benchmark found."""
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


def source(found: dict[str, Any]) -> str:
    """The command that found something; and that it ran with an earlier model, if it did."""
    now = hashlib.sha256(find_model("base").read_bytes()).hexdigest()
    return f"`{found['command']}`{'' if found['model_sha256'] == now else ', with an earlier `base`'}"


def claims() -> dict[str, Any]:
    """What others say."""
    return tomllib.loads((ROOT / "benchmarks" / "claims.toml").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
