"""Measures every model that ships again, and says what differs from the committed figures.

    python tools/reproduce.py DATA                # compares; exit code 1 if anything differs
    python tools/reproduce.py DATA --write        # writes src/mien/model/*/evaluation.json anew

DATA is FER-2013 in any shape that mien reads, with the votes of FER+; PublicTest is what is measured. Same as
`mien evaluate DATA --model NAME --split PublicTest --robustness` for each model. Without --write, a model is read
on spoilt faces only if the committed figures say that it was.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.commands.evaluate import bar
from mien.errors import MienError
from mien.evaluate.report import to_json
from mien.evaluate.run import evaluate
from mien.model_file import find_model, shipped_models

SPLIT = "PublicTest"
# What the numbers were made with is told when they differ, and is no difference itself.
SURROUNDINGS = "made_with"


def main() -> int:
    """Returns 1 if a figure differs from the committed one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", help="names of models (default: all that ship)")
    parser.add_argument("--write", action="store_true", help="write the figures instead of comparing")
    parser.add_argument("--quick", action="store_true", help="leave out the spoilt faces")
    arguments = parser.parse_args()
    if arguments.write and arguments.quick:
        parser.error("--quick leaves figures out, which --write would then drop from the committed ones")
    different = 0
    for name in arguments.models or shipped_models():
        path = find_model(name).with_name("evaluation.json")
        committed = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        robustness = not arguments.quick and (arguments.write or "robustness" in (committed or {}))
        found = evaluate(arguments.data, name, split=SPLIT, robustness=robustness, bar=bar).metrics
        if arguments.write:
            path.write_text(to_json(found), encoding="utf-8")
            print(path)
            continue
        different += report(name, committed, found)
    return int(different > 0)


def report(name: str, committed: dict[str, Any] | None, found: dict[str, Any]) -> int:
    """Prints what differs; returns how many figures do."""
    if committed is None:
        print(f"{name}: no committed figures (run this with --write)")
        return 1
    if "robustness" not in found:
        committed = {key: value for key, value in committed.items() if key != "robustness"}
    lines = list(differences(committed, found))
    if not lines:
        print(f"{name}: {count(found):,} figures, all as committed")
        return 0
    print(f"{name}: {len(lines)} of {count(found):,} figures differ")
    for line in lines:
        print(f"  {line}")
    for key, was in committed[SURROUNDINGS].items():
        if was != found[SURROUNDINGS][key]:
            print(f"  (made with another {key}: committed {was}, here {found[SURROUNDINGS][key]})")
    return len(lines)


def differences(committed: Any, found: Any, place: str = "") -> Iterator[str]:
    """A line for each figure that is not the same."""
    if isinstance(committed, dict) and isinstance(found, dict):
        for key in [*committed, *(key for key in found if key not in committed)]:
            if not place and key == SURROUNDINGS:
                continue
            inside = f"{place}.{key}" if place else key
            if key not in committed or key not in found:
                yield f"{inside}: only {'here' if key in found else 'committed'}"
            else:
                yield from differences(committed[key], found[key], inside)
    elif isinstance(committed, list) and isinstance(found, list) and len(committed) == len(found):
        for index, (was, now) in enumerate(zip(committed, found, strict=True)):
            yield from differences(was, now, f"{place}[{index}]")
    elif committed != found:
        yield f"{place}: committed {committed}, here {found}"


def count(record: Any) -> int:
    """How many figures a record holds."""
    if isinstance(record, dict):
        return sum(count(value) for key, value in record.items() if key != SURROUNDINGS)
    return sum(map(count, record)) if isinstance(record, list) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MienError as error:
        sys.exit(f"reproduce: {error}")
