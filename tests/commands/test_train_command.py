from pathlib import Path

import pytest


@pytest.mark.parametrize(("folders", "told"), [("made_folders", True), ("made_own_folders", False)])
def test_that_votes_are_missing_is_said_of_the_seven_expressions_alone(
    folders: str, told: bool, here, tiny_recipe: Path, tmp_path: Path, request: pytest.FixtureRequest
):
    data = request.getfixturevalue(folders)
    code, out, errors = here("train", data, "--recipe", tiny_recipe, "--epochs", "1", "--out", tmp_path)
    assert code == 0
    assert out.endswith("tiny\n")
    assert any("no votes of FER+" in line for line in errors) == told
