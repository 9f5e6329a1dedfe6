import json
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from mien.datasets import Dataset, split_validation
from mien.errors import ConfigError, MienError, ModelError
from mien.train.journal import Epoch
from mien.train.recipe import Recipe, load_recipe, shipped_recipes
from mien.train.tune.report import best_of, save_best, summary_of, write_report
from mien.train.tune.space import (
    REFINE_SHARE,
    SPACE,
    Choice,
    Range,
    check_space,
    read_space,
    space_for,
    with_values,
)
from mien.train.tune.storage import open_storage, retry
from mien.train.tune.study import describe, judged_from, score, tune

SMALL = Recipe(name="small", stem=(4, 8), stages=(8,), blocks=1, epochs=4, sizes=(16,), batch_size=16)
FEW = {"dropout": Range(0.0, 0.5), "batch_size": Choice((8, 16)), REFINE_SHARE: Range(0.0, 0.5)}


@pytest.fixture(scope="module")
def noise() -> Dataset:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (70, 48, 48), dtype=np.uint8)
    votes = random.integers(0, 3, (70, 10), dtype=np.uint8)
    return Dataset(images, np.arange(70, dtype=np.int64) % 7, votes)


def search(noise: Dataset, folder: Path, space=FEW, recipe: Recipe = SMALL, trials: int = 1) -> optuna.Study:
    return tune(
        noise,
        recipe,
        space,
        trials=trials,
        storage=str(folder / "study.log"),
        name="found",
        folder=folder / "trials",
        say=lambda line: None,
    )


# --- the space -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "space", "said"),
    [
        (
            {"init": "base"},
            {"blocks": Choice((1, 2))},
            "blocks cannot be searched: the network is that of init base",
        ),
        ({"model": "plain", "sizes": ()}, {"blocks": Choice((1, 2))}, "plain, which does not heed it"),
        ({"mixup": 0.5}, {"batch_size": Choice((8, 15))}, "batch_size is 15, must be even"),
        ({"batch_size": 15}, {"mixup": Range(0.0, 1.0)}, "batch_size 15: must be even"),
        ({"init": "base"}, {"side": Choice((0, 64))}, "side is 0, which is that of init base; write 48"),
        ({}, {"batch_size": Choice((8, 15)), "mixup": Range(0.0, 1.0)}, "batch_size is 15, must be even"),
    ],
)
def test_a_space_that_the_recipe_cannot_be_tried_in_is_told(recipe: dict, space: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        check_space(space, SMALL.changed(**recipe))


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_space_fits_every_recipe_that_ships(name: str):
    check_space(SPACE, load_recipe(name))


def test_the_documentation_shows_the_space_as_it_is(tmp_path: Path):
    page = (Path(__file__).parent.parent.parent / "docs" / "tune.md").read_text()
    shown = tmp_path / "space.toml"
    shown.write_text(page.split("```toml\n")[1].split("```")[0])
    assert read_space(shown) == SPACE


@pytest.mark.parametrize(
    "line",
    [
        "dropout = 0.5",
        "dropout = { low = 0.5, high = 0.5 }",
        "dropout = { low = 0.0, high = 0.5, log = true }",
        "dropout = { low = 0.1, high = 0.5, step = 0.1 }",
        'dropout = { low = "a", high = "b" }',
        "dropout = { values = [] }",
        "dropout = { values = [0.1], low = 0.0 }",
        "dropout =",
    ],
)
def test_a_line_of_a_space_that_says_something_else_is_told(line: str, tmp_path: Path):
    path = tmp_path / "space.toml"
    path.write_text(line)
    with pytest.raises(ConfigError, match=r"space\.toml") as caught:
        read_space(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"droput": Range(0.0, 0.5)}, "droput cannot be searched"),
        ({"epochs": Choice((1, 2))}, "epochs cannot be searched"),
        ({"init": Choice(("base", "nano"))}, "init cannot be searched"),
        ({"mirror": Choice((False, True))}, "mirror cannot be searched"),
        ({"dropout": Range(0.0, 1.5)}, "dropout is 1.5"),
        ({"votes": Range(0.0, 1.0)}, "votes is 0, must be above 0"),
        ({"batch_size": Range(8.0, 64.0)}, "batch_size is 8.0, must be like 16"),
        ({"batch_size": Range(8, 64)}, r"batch_size is a range; write \{ values"),
        ({"side": Range(48, 64)}, r"side is a range; write \{ values"),
        (
            {"model": Choice(("resnet", "vgg")), "side": Choice((0, 64))},
            "side is 64, must be 0 for vgg",
        ),
        ({"flip": Choice((0, 1))}, "flip is 0, must be like True"),
        ({"model": Choice(("vgg", "vgh"))}, "model is vgh"),
        ({"stem": Choice((24, 48))}, "stem is 24, must be like"),
        ({REFINE_SHARE: Range(0.0, 1.5)}, "refine_epochs is 6"),
        ({}, "no field"),
    ],
)
def test_a_space_of_impossible_recipes_is_told(space: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        check_space(space, SMALL)


def test_values_that_go_with_a_recipe_but_not_with_one_another_are_told():
    recipe = Recipe(name="borrowed", model="timm/resnet18", epochs=4)
    either = {"model": Choice(("timm/resnet18", "resnet"))}
    for field, values in (("pretrained", (False, True)), ("weights", ("", "resnet18.safetensors"))):
        check_space({field: Choice(values)}, recipe)
        with pytest.raises(ConfigError, match=rf"{field} is .*timm backbone"):
            check_space(either | {field: Choice(values)}, recipe)


def test_the_values_of_a_trial_make_a_recipe():
    recipe = Recipe(name="long", epochs=50, refine_epochs=20)
    assert with_values(recipe, {REFINE_SHARE: 0.5, "dropout": 0.1}) == recipe.changed(
        refine_epochs=25, dropout=0.1
    )


def test_where_nobody_voted_the_weight_of_votes_is_not_searched(noise: Dataset):
    assert space_for(noise) == SPACE
    without = Dataset(noise.images, noise.labels, None)
    assert space_for(without).keys() == SPACE.keys() - {"votes"}


def test_both_accuracies_count_where_there_are_votes():
    assert score(Epoch(1, 48, 0.1, 1.0, 0.9, 0.6, 0.8, 1.0)) == pytest.approx(0.7)
    assert score(Epoch(1, 48, 0.1, 1.0, 0.9, 0.6, float("nan"), 1.0)) == 0.6


@pytest.mark.parametrize(
    "storage",
    [
        "study.txt",
        "nonsense://somewhere",
        "sqlite:////no/such/folder/study.db",
        "postgresql://me:secret@127.0.0.1:1/study",
        "postgresql://me:se/secret@127.0.0.1:1/study",
        "postgresql://me:a:secret@127.0.0.1:1/study",
        "postgresql://127.0.0.1:1/study?user=me&password=secret",
        "no url ://me:secret@somewhere",
        "sqlite:///runs{a}.db",
    ],
)
def test_a_storage_that_cannot_be_opened_is_told_in_one_line(storage: str):
    with pytest.raises(ConfigError, match="--storage") as caught:
        open_storage(storage)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


# --- the search ------------------------------------------------------------------------------------------


def test_a_study_begins_with_the_recipe_goes_on_and_ends_in_files(noise: Dataset, tmp_path: Path):
    (tmp_path / "trials" / "0").mkdir(parents=True)
    (tmp_path / "trials" / "0" / "checkpoint.safetensors").write_bytes(b"of another study of this name")
    study = search(noise, tmp_path, trials=2)
    assert study.trials[0].params == {"dropout": 0.3, "batch_size": 16, REFINE_SHARE: 0.0}
    assert not (tmp_path / "trials").exists()
    study = search(noise, tmp_path, trials=3)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert list(study.trials[2].intermediate_values) == [1, 2, 3, 4]
    assert study.best_value == max(trial.value for trial in study.trials if trial.value is not None)

    whole = SMALL.changed(epochs=20)
    best = save_best(study, whole, SMALL.epochs, tmp_path / "found.toml")
    assert load_recipe(str(tmp_path / "found.toml")) == best
    assert best == with_values(whole, study.best_params).changed(name="found")
    write_report(study, (tmp_path / "found.toml").read_text(), SMALL.epochs, tmp_path / "found.html")
    page = (tmp_path / "found.html").read_text()
    assert page.count("Plotly.newPlot") >= 5
    assert 'src="' not in page.replace(" ", "").split("<h1>")[1]
    assert summary_of(study) in page
    for path in tmp_path.iterdir():
        assert path.suffix != ".part"

    with pytest.raises(ConfigError, match="another recipe"):
        search(noise, tmp_path, recipe=SMALL.changed(dropout=0.2), trials=4)


def test_a_trial_behind_the_others_is_stopped_and_counts(noise: Dataset, tmp_path: Path):
    storage = open_storage(str(tmp_path / "study.log"))
    study = optuna.create_study(storage=storage, study_name="found", direction="maximize")
    distribution = {"dropout": optuna.distributions.FloatDistribution(0.0, 0.5)}
    for number in range(5):
        perfect = dict.fromkeys(range(1, 5), 1.0)
        study.add_trial(
            create_trial(
                value=1.0,
                params={"dropout": 0.1 * number},
                distributions=distribution,
                intermediate_values=perfect,
            )
        )
    found = search(noise, tmp_path, {"dropout": Range(0.0, 0.5)}, trials=6)
    assert found.trials[5].state == TrialState.PRUNED
    assert list(found.trials[5].intermediate_values) == [1]
    assert not (tmp_path / "trials").exists()


def test_an_odd_number_of_faces_is_searched_by_the_space_that_comes_with_mien(noise: Dataset, tmp_path: Path):
    odd = noise.take(np.arange(68))
    assert len(split_validation(odd)[0]) % 2 == 1
    recipe = SMALL.changed(epochs=1, batch_size=128)
    study = search(odd, tmp_path, space_for(odd), recipe, trials=3)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert sum(trial.params["mixup"] > 0 for trial in study.trials) == 2


@pytest.mark.parametrize(
    ("epochs", "sizes", "judged"),
    [
        (12, (), 3),
        (3, (), 1),
        (12, (16,), 3),
        (12, (32, 48), 8),
        (12, (48, 32, 48), 10),
        (13, (32, 48, 48), 7),
        (51, (32, 48, 48), 19),
    ],
)
def test_no_trial_is_judged_before_it_has_seen_faces_of_the_last_size(epochs, sizes, judged):
    assert judged_from(SMALL.changed(epochs=epochs, sizes=sizes)) == judged


def test_a_trial_too_large_for_the_memory_is_dropped_and_counts(
    noise: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def too_large(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")  # as PyTorch says it; there is no GPU here

    monkeypatch.setattr("mien.train.tune.study.fit", too_large)
    study = search(noise, tmp_path, trials=1)
    assert study.trials[0].state == TrialState.PRUNED
    assert describe(study.trials[0], 4) == "trial 0: dropped, the GPU has not enough memory for it"


def test_a_trial_whose_loss_is_no_number_is_dropped_and_the_study_goes_on(noise: Dataset, tmp_path: Path):
    study = search(noise, tmp_path, {"learning_rate": Choice((1e30, 1e31))}, trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
    assert study.trials[0].user_attrs["why"] == "the loss was no number"
    with pytest.raises(MienError, match="no trial was trained to its end"):
        best_of(study)


def test_a_recipe_that_runs_another_first_is_refused(noise: Dataset, tmp_path: Path):
    with pytest.raises(ConfigError, match="runs small first"):
        search(noise, tmp_path, recipe=SMALL.changed(first="small"))


def test_batches_are_no_larger_than_the_data_as_in_training(noise: Dataset, tmp_path: Path):
    study = search(noise, tmp_path, {"batch_size": Choice((4096,))})
    assert study.trials[0].state == TrialState.COMPLETE
    assert study.trials[0].params == {"batch_size": 4096}


def test_a_teacher_that_is_missing_ends_the_study(noise: Dataset, tmp_path: Path):
    with pytest.raises(ModelError, match="no model 'nobody'"):
        search(noise, tmp_path, recipe=SMALL.changed(teachers=("nobody",), teacher_weight=0.5))


@pytest.mark.parametrize("stopped", [False, True])
def test_a_trial_that_stood_still_leaves_its_folder_to_who_took_it_over(
    stopped: bool, noise: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from mien.train.tune import study as module

    storage, said = f"sqlite:///{tmp_path / 'study.db'}", []

    def taken_over(epoch: Epoch) -> float:
        """At the second epoch another process finds that no sign of life came for too long."""
        study = optuna.load_study(storage=storage, study_name="found")
        if epoch.epoch == 2 and len(study.trials) == 1:
            study._storage.set_trial_state_values(study.trials[0]._trial_id, TrialState.FAIL)
            retry(study, study.trials[0])
            if stopped:  # Ctrl-C before it has noticed
                raise KeyboardInterrupt
        return score(epoch)

    monkeypatch.setattr(module, "score", taken_over)
    if stopped:
        with pytest.raises(KeyboardInterrupt):
            tune(noise, SMALL, FEW, trials=1, storage=storage, name="found", folder=tmp_path, say=said.append)
        states = [trial.state for trial in optuna.load_study(storage=storage, study_name="found").trials]
        assert states == [TrialState.FAIL, TrialState.WAITING]
        return
    study = tune(
        noise,
        SMALL,
        FEW,
        trials=1,
        storage=storage,
        name="found",
        folder=tmp_path / "trials",
        say=said.append,
    )
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[1].params == study.trials[0].params
    assert list(study.trials[1].intermediate_values) == [1, 3, 4]
    assert "taken over by another process" in said[0]
    assert not (tmp_path / "trials").exists()


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, MienError])
def test_a_trial_that_was_stopped_by_hand_or_a_full_disk_is_run_again_from_its_checkpoint(
    trouble: type[BaseException], noise: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from mien.train.tune import study as module

    def interrupted(epoch: Epoch) -> float:
        if epoch.epoch == 2:
            raise trouble
        return score(epoch)

    monkeypatch.setattr(module, "score", interrupted)
    with pytest.raises(trouble):
        search(noise, tmp_path)
    monkeypatch.undo()
    study = search(noise, tmp_path)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[1].params == study.trials[0].params
    assert list(study.trials[1].intermediate_values) == [1, 3, 4]
    assert json.loads(study.user_attrs["identity"])["space"].keys() == FEW.keys()


@pytest.mark.parametrize("works_again", [False, True])
def test_a_database_that_fails_in_a_trial_is_told_in_one_line(
    works_again: bool, noise: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    storage = f"sqlite:///{tmp_path / 'study.db'}"

    def search() -> optuna.Study:
        return tune(
            noise, SMALL, FEW, trials=1, storage=storage, name="found", folder=tmp_path / "trials", say=print
        )

    def fails(*arguments: object, **named: object) -> None:
        if not works_again:
            monkeypatch.setattr(RDBStorage, "set_trial_state_values", fails)
        raise StorageInternalError("disk I/O error")

    monkeypatch.setattr(RDBStorage, "set_trial_intermediate_value", fails)
    told = r"--storage .*disk I/O error; the same command goes on when it works again"
    with pytest.raises(MienError, match=told):
        search()
    monkeypatch.undo()
    if works_again:  # else the trial is found broken when no sign of life has come for a while
        study = search()
        assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
        assert study.trials[1].params == study.trials[0].params
