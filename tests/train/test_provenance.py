import re
import subprocess
from pathlib import Path

from mien.train.processes import launch
from mien.train.provenance import commit, machine, versions
from mien.train.recipe import Recipe


def repository(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    git = ["git", "-C", str(folder), "-c", "user.name=N", "-c", "user.email=n@example.org"]
    for command in (["init", "-q"], ["add", files[0]], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    return folder


def test_the_commit_of_the_source_is_told_and_that_it_was_changed(tmp_path: Path):
    source = repository(tmp_path, "src/run.py") / "src" / "run.py"
    clean = commit(source)
    assert clean is not None
    assert re.fullmatch("[0-9a-f]{40}", clean)
    source.write_text("changed")
    assert commit(source) == f"{clean}-dirty"


def test_a_package_installed_in_somebody_elses_repository_has_no_commit(tmp_path: Path):
    somebody = repository(tmp_path, "analysis.py", "venv/lib/mien/run.py")
    assert commit(somebody / "venv" / "lib" / "mien" / "run.py") is None
    assert commit(Path(tmp_path.anchor) / "nowhere" / "run.py") is None


def test_the_versions_are_those_of_what_the_recipe_uses():
    assert {"mien", "python", "torch", "onnxruntime"} <= versions(Recipe(name="mine")).keys()
    assert "timm" not in versions(Recipe(name="mine"))


def test_the_machine_names_its_processor():
    assert re.fullmatch(r".+, \d+ threads × 1 processes, \w+", machine(launch()))
