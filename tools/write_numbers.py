"""Writes the numbers of README.md and docs/ from the files that hold them.

    python tools/write_numbers.py           # rewrites the sections between their marks
    python tools/write_numbers.py --check   # only says whether they are up to date

The files are src/mien/model/*/evaluation.json (tools/reproduce.py), benchmarks/results/*.json, and
benchmarks/claims.toml for what others say of themselves.
"""

import sys
from collections.abc import Callable

from pages import honest, live, readme, training, uses
from pages.found import ROOT

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"numbers": readme.readme},
    "docs/honest-numbers.md": {
        "plain": honest.plain,
        "people": honest.people,
        "copies": honest.copies,
        "ours": honest.ours,
        "peers": honest.peers,
        "claims": honest.claimed,
    },
    "docs/networks.md": {"networks": training.networks},
    "docs/serve.md": {"load": live.serving},
    "docs/training.md": {"transfer": training.transfer},
    "docs/explain.md": {"explained": uses.explained},
    "docs/audit.md": {"audited": uses.audited},
    "docs/priors.md": {"priors": uses.priors},
    "docs/video.md": {"measured": live.video},
}


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


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
