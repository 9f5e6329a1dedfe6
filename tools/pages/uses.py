"""docs/explain.md, docs/audit.md and docs/priors.md."""

from pages.found import result, source


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
        f"{row['gain']:+.3f} in {name} (95 % interval {row['interval_95'][0]:.3f} to {row['interval_95'][1]:.3f})"
        for name, row in gains.items()
    )
    lines += [
        "",
        f"Means of {found['faces']} faces. Ours beats the random map in {beats['mien_explain']}, RISE with random masks in "
        f"{beats['rise_random_masks']}. What ours gains on RISE: {apart}. Size of the rank correlation with the maps "
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
        f"{copies['groups']:,} groups of exact copies in all, with {copies['redundant_pictures']:,} redundant pictures. "
        f"Of the pictures labelled {worst}, {most:.0%} got not one vote for it; of "
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
