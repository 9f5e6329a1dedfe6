"""docs/honest-numbers.md: what is claimed, and what is found."""

from mien.commands.compare import points, probability
from mien.commands.evaluate import share
from mien.model_file import find_model, shipped_models
from pages.found import RESULTS, claims, evaluation, file_size, result


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
        f"{claim} The same network, trained again by the same recipe, and by the same with our augmentation ({commands}):",
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
        counts = ", ".join(f"{n:,}" for n in dict.fromkeys(row[key]["n"] for row in found.values()))
        lines.append(f"| {what} | {counts} | {cells} |")
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


def ours() -> str:
    """Where mien's models stand, and how sure that is."""
    lines = [
        "| model | file | `fer2013`, original labels | `crowd`, FER+ majority, 8 classes | "
        "`probabilities`, FER+ majority, 7 classes | agrees with most of nine people |",
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
        f"n = {', '.join(counts)} and {base['votes']['n']:,}; brackets are 95 % intervals. `base` agrees "
        f"with the plurality of nine people {100 * agreement['difference']['value']:.1f} points ({100 * low:.1f} to "
        f"{100 * high:.1f}) more often than the tenth person does. Of its {noise['mistakes_on_original_labels']:,} mistakes on the original labels, "
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
    lines.append(f"| the plurality of nine people, ten answers | {found['n']:,} | {' | '.join(agree)} | | |")
    return "\n".join(lines)


def claimed() -> str:
    """What others say of themselves."""
    lines = ["| who | claim | on | source | remark |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['who']} | {row['claim']} | {row['on']} | {row['source']} | {row['remark']} |"
        for row in claims()["claim"]
    ]
    return "\n".join(lines)
