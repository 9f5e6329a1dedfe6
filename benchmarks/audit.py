"""What `mien audit` finds in FER-2013, and how long it takes.

    python benchmarks/audit.py DATA

DATA is FER-2013 in any shape that mien reads. The counts of exact groups, of twins and of conflicts are compared
with what the literature and `mien.datasets.has_twin` count, by tests/audit.
"""

import resource
import sys
import time
from typing import Any

from common import write_result
from mien.audit import ISSUES, Audit, audit


def main(data: str) -> None:
    """Audits and writes ``results/audit.json``."""
    start = time.process_time()
    found = audit(data)
    cpu_seconds = time.process_time() - start
    write_result(
        "audit",
        {
            "pictures": {split: sum(counts.values()) for split, counts in found.class_counts().items()},
            "issues": {issue: counts_of(found, issue) for issue in ISSUES},
            "exact_groups": exact_groups(found),
            "near_copies_that_are_mirrored": mirrored(found),
            "label_without_votes_by_class": voteless(found),
            "excluded_from_training": len(found.excluded()),
            "cpu_seconds": round(cpu_seconds, 1),
            "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        },
    )


def counts_of(found: Audit, issue: str) -> dict[str, Any]:
    """Pictures of each split with an issue, and groups of copies where there are any."""
    groups = {finding.group for finding in found.of(issue)} - {None}
    return {**found.counts(issue), **({"groups": len(groups)} if groups else {})}


def exact_groups(found: Audit) -> dict[str, int]:
    """Groups of exact copies in whichever splits, and the pictures beyond one of each."""
    members = {
        (finding.group, finding.index) for issue in ("duplicate", "leak") for finding in found.of(issue)
    }
    groups = len({group for group, _ in members})
    return {"groups": groups, "redundant_pictures": len(members) - groups}


def mirrored(found: Audit) -> int:
    """Pictures whose likest near copy is mirrored."""
    near = [*found.of("near_duplicate"), *found.of("near_leak")]
    return len({finding.index for finding in near if "the mirror image of" in finding.note})


def voteless(found: Audit) -> dict[str, float]:
    """Of each class, the share of pictures whose label got no vote."""
    without = dict.fromkeys(found.pictures.classes, 0)
    for finding in found.of("label_without_votes"):
        without[found.pictures.label_of(finding.index)] += 1
    counts = found.class_counts().values()
    return {word: round(count / sum(of[word] for of in counts), 4) for word, count in without.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
