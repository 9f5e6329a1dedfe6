import csv
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel

from mien.classify import Classifier
from mien.datasets import crowd_majority, read_dataset, split_validation
from mien.errors import ConfigError, DatasetError, MienError, ModelError
from mien.evaluate.answers import answers_of_model
from mien.labels import EXPRESSIONS
from mien.prior import leanings
from mien.train.checkpoint import State, load_checkpoint, save_checkpoint
from mien.train.finish import count_macs, export
from mien.train.fit import Options, create_optimizer, fit, predict_logits
from mien.train.journal import Epoch, Journal, read_history
from mien.train.networks import FaceNet, as_exported, normalise
from mien.train.recipe import Recipe, load_recipe
from mien.train.run import train
from mien.train.start import has_learnt, load_weights, save_weights


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """A limit on files' sizes fails as a full disk does."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_run_leaves_a_whole_folder(tiny_model: Path):
    assert {file.name for file in tiny_model.iterdir()} == {
        "model.onnx",
        "model.safetensors",
        "recipe.toml",
        "metrics.json",
        "history.csv",
        "history.png",
        "checkpoint.safetensors",
    }
    metrics = json.loads((tiny_model / "metrics.json").read_text())
    assert metrics["validation"]["fer2013"]["n"] + metrics["training_faces"] <= 140
    with (tiny_model / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    assert [row["size"] for row in history] == ["24", "24", "48"]
    assert float(history[-1]["loss"]) < float(history[0]["loss"])


def test_the_recipe_beside_the_weights_is_the_one_given(tiny_model: Path, tiny_recipe: Path):
    assert load_recipe(str(tiny_model / "recipe.toml")) == load_recipe(str(tiny_recipe))


def test_the_saved_weights_and_the_onnx_file_say_the_same(tiny_model: Path, made_folders: Path):
    network = FaceNet(load_recipe(str(tiny_model / "recipe.toml")))
    weights = load_file(tiny_model / "model.safetensors")
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    images = read_dataset(made_folders, "test").images
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(images)[:, None].float() / 127.5 - 1)
    metadata = {entry.key: entry.value for entry in onnx.load(tiny_model / "model.onnx").metadata_props}
    temperatures = json.loads(metadata["mien.temperatures"])
    readings = Classifier(tiny_model).classify(images)
    crowd = (logits.crowd / temperatures["crowd"]).softmax(1).numpy()
    fer2013 = (logits.labels / temperatures["fer2013"]).softmax(1).numpy()
    assert np.allclose(readings.crowd, crowd, atol=0.01)
    assert np.allclose(readings.fer2013, fer2013, atol=0.01)
    said = re.fullmatch(
        r"softmax\(log\((.+) c \+ (.+) fer2013\) / temperature\); "
        r"c: crowd's seven / (\[.+\]) \*\* (.+), renormalised",
        metadata["mien.answer"],
    )
    assert said is not None
    weight, rest, correction = float(said[1]), float(said[2]), float(said[4])
    corrected = crowd[:, :7] / np.array(json.loads(said[3])) ** correction
    mean = weight * corrected / corrected.sum(axis=1, keepdims=True) + rest * fer2013
    sharpened = mean ** (1 / temperatures["answer"])
    assert np.allclose(readings.probabilities, sharpened / sharpened.sum(axis=1, keepdims=True), atol=0.01)


def test_the_file_states_what_its_answers_lean_by(tiny_model: Path, made_folders: Path):
    metadata = {entry.key: entry.value for entry in onnx.load(tiny_model / "model.onnx").metadata_props}
    _, validation = split_validation(read_dataset(made_folders))
    answers = Classifier(tiny_model).classify(validation.images).probabilities
    # The file's weights are rounded to 16 bits, and the shares were measured before that.
    assert json.loads(metadata["mien.prior"]) == pytest.approx(leanings(answers, validation.labels), abs=0.01)


def test_made_up_faces_are_learnt(made_folders: Path, tiny_recipe: Path, tmp_path: Path):
    text = tiny_recipe.read_text().replace("epochs = 3", "epochs = 20").replace('"tiny"', '"longer"')
    longer = tmp_path / "longer.toml"
    longer.write_text(text + "flip = false\nrotate = 5.0\nerase = 0.0\nscale = 1.05\nshift = 0.02\n")
    folder = train(read_dataset(made_folders), load_recipe(str(longer)), tmp_path / "model")
    test = read_dataset(made_folders, "test")
    assert np.mean(Classifier(folder).classify(test.images).fer2013.argmax(1) == test.labels) > 0.7


def test_another_recipes_checkpoint_is_refused(tiny_model: Path, made_folders: Path, tiny_recipe: Path):
    other = load_recipe(str(tiny_recipe)).changed(dropout=0.1)
    with pytest.raises(ConfigError, match="another recipe"):
        train(read_dataset(made_folders), other, tiny_model.parent)
    assert load_recipe(str(tiny_model / "recipe.toml")) == load_recipe(str(tiny_recipe))


def test_two_commands_do_not_train_in_one_folder(made_folders: Path, tiny_recipe: Path, tmp_path: Path):
    recipe, data = load_recipe(str(tiny_recipe)), read_dataset(made_folders, "train")
    with FileLock(tmp_path / ".tiny.lock"), pytest.raises(MienError, match="another process trains in it"):
        train(data, recipe.changed(epochs=1), tmp_path)
    assert list((tmp_path / "tiny").iterdir()) == []
    assert (train(data, recipe.changed(epochs=1), tmp_path) / "model.onnx").is_file()


def test_a_lock_that_cannot_be_made_is_told(made_folders: Path, tiny_recipe: Path, tmp_path: Path):
    (tmp_path / ".tiny.lock").mkdir()
    with pytest.raises(MienError, match=r"\.tiny\.lock: cannot be written"):
        train(read_dataset(made_folders, "train"), load_recipe(str(tiny_recipe)), tmp_path)


def temperatures_of(folder: Path) -> dict[str, float]:
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    return json.loads(metadata["mien.temperatures"])


@pytest.mark.parametrize(("hold_out", "side"), [(True, 0), (False, 0), (False, 64)])
def test_what_is_fitted_is_fitted_with_a_network_that_has_not_learnt_the_validation_part(
    hold_out: bool, side: int, tiny_model: Path, made_folders: Path, tmp_path: Path
):
    changed = load_recipe(str(tiny_model / "recipe.toml")).changed(
        name="on",
        epochs=20 if side == 0 else 1,
        init=str(tiny_model),
        hold_out=hold_out,
        side=side,
        erase=0.0,
        scale=1.0,
        rotate=0.0,
    )
    data = read_dataset(made_folders)
    folder = train(data, changed, tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["validation"]["held_out"] is hold_out
    assert (metrics["training_faces"] == len(data)) is not hold_out
    # The weights that the fit begins from were rounded to 16 bits.
    before = pytest.approx(temperatures_of(tiny_model), abs=0.01)
    assert (temperatures_of(folder) == before) is not hold_out
    weights = [load_weights(made / "model.safetensors")["labels.weight"] for made in (tiny_model, folder)]
    assert not torch.allclose(*weights, atol=1e-3)


def test_faces_that_the_start_has_learnt_are_not_called_held_out(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    data, recipe = read_dataset(made_folders), load_recipe(str(tiny_recipe)).changed(epochs=1)

    def said(name: str, **changes) -> tuple[bool, bool, bool]:
        folder = train(data, recipe.changed(name=name, **changes), tmp_path)
        validation = json.loads((folder / "metrics.json").read_text())["validation"]
        warned = "has learnt the faces that its temperatures are fitted on" in capsys.readouterr().err
        return validation["held_out"], validation["fitted_on_held_out"], warned

    fair = str(tmp_path / "fair")
    assert said("fair") == (True, True, False)
    assert said("next", init=fair) == (True, True, False)
    assert said("all", init=fair, hold_out=False) == (False, True, False)
    assert said("after-all", init=str(tmp_path / "all")) == (False, False, True)
    assert said("after-after-all", init=str(tmp_path / "after-all")) == (False, False, True)
    assert said("all-from-nothing", hold_out=False) == (False, False, True)
    recipe.changed(name="fair").save(tmp_path / "fair.toml")
    recipe.changed(name="whole", first=str(tmp_path / "fair.toml"), hold_out=False).save(
        tmp_path / "whole.toml"
    )
    for name, hold_out in (("whole-again", False), ("too-late", True)):  # fair can still be asked
        assert said(name, first=str(tmp_path / "whole.toml"), hold_out=hold_out) == (False, True, False)
        temperatures = [temperatures_of(tmp_path / folder) for folder in ("whole", name)]
        assert temperatures[0] == temperatures[1]
    held_out = split_validation(data)[1]
    assert has_learnt(str(tmp_path / "after-all"), held_out)
    fewer_and_others = held_out.images.copy()
    fewer_and_others[: len(held_out) // 2] ^= 255
    assert has_learnt(str(tmp_path / "after-all"), replace(held_out, images=fewer_and_others))
    assert not has_learnt(str(tmp_path / "after-all"), replace(held_out, images=held_out.images ^ 255))
    assert not has_learnt(str(tmp_path / "after-all"), split_validation(data)[0])
    for name, cautious in (("fair", False), ("after-all", True)):  # as an older version wrote it
        metrics = tmp_path / name / "metrics.json"
        older = json.loads(metrics.read_text())
        del older["validation"]["known_by"]
        metrics.write_text(json.dumps(older))
        assert has_learnt(str(tmp_path / name), held_out) is cautious


def test_a_model_of_the_name_of_a_shipped_one_is_the_one_that_was_trained(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    text = tiny_recipe.read_text().replace("epochs = 3", "epochs = 1")
    Path("nano.toml").write_text(text.replace('"tiny"', '"nano"'))
    Path("then.toml").write_text(text.replace('"tiny"', '"then"\nfirst = "nano.toml"\nlearning_rate = 1e-9'))
    train(read_dataset(made_folders), load_recipe("then.toml"), Path())
    first, then = (load_weights(Path(name, "model.safetensors")) for name in ("nano", "then"))
    assert torch.allclose(first["labels.weight"], then["labels.weight"], atol=1e-3)
    for name, teachers in (("by-name", ["nano", "then"]), ("by-folder", ["./nano", "./then"])):
        taught = f'"{name}"\nfirst = "then.toml"\nteachers = {teachers}\nteacher_weight = 1'
        Path(f"{name}.toml").write_text(text.replace('"tiny"', taught))
        train(read_dataset(made_folders), load_recipe(f"{name}.toml"), Path())
    assert Path("by-name/model.safetensors").read_bytes() == Path("by-folder/model.safetensors").read_bytes()


@pytest.mark.parametrize("field", ["init", "teachers"])
def test_a_model_that_is_not_there_is_told_before_any_run(field: str, made_folders: Path, tmp_path: Path):
    missing = {"init": {"init": "nobody"}, "teachers": {"teachers": ("nobody",), "teacher_weight": 0.5}}[
        field
    ]
    with pytest.raises(ModelError, match="no model 'nobody'"):
        train(read_dataset(made_folders), load_recipe("quick").changed(**missing), tmp_path)
    first = tmp_path / "first.toml"
    first.write_text("epochs = 1\nmodel = 'plain'")
    last = replace(load_recipe("quick"), first=str(first), teachers=("nobody",), teacher_weight=0.5)
    with pytest.raises(ModelError, match="no model 'nobody'"):
        train(read_dataset(made_folders), last, tmp_path)
    assert not (tmp_path / "first").exists()


def test_a_network_that_a_later_run_cannot_go_on_with_is_told_before_any(made_folders: Path, tmp_path: Path):
    first = tmp_path / "first.toml"
    first.write_text("epochs = 1\nmodel = 'vgg'")
    last = replace(load_recipe("quick"), name="last", first=str(first), side=64)
    with pytest.raises(ConfigError, match="recipe last: side is 64, must be 0 for vgg"):
        train(read_dataset(made_folders), last, tmp_path)
    assert not (tmp_path / "first").exists()


def test_compiling_without_a_compiler_is_told(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CXX", str(tmp_path / "c++"))
    with pytest.raises(ConfigError, match=r"--compile: .* there is no .*c\+\+; install one"):
        train(
            read_dataset(made_folders), load_recipe(str(tiny_recipe)), tmp_path, options=Options(compile=True)
        )


def test_a_gpu_whose_memory_is_too_small_is_told(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*arguments: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1 TiB")

    monkeypatch.setattr("mien.train.run.fit", full)  # there is no GPU to fill here
    with pytest.raises(MienError, match="tiny: the GPU has not enough memory for batches of 16; lower"):
        train(read_dataset(made_folders), load_recipe(str(tiny_recipe)), tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.9999])
def test_a_torn_checkpoint_is_never_loaded(share: float, tiny_model: Path, tmp_path: Path):
    content = (tiny_model / "checkpoint.safetensors").read_bytes()
    torn = tmp_path / "checkpoint.safetensors"
    torn.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ConfigError, match="not a whole checkpoint"):
        load_checkpoint(torn, None, "")  # type: ignore[arg-type] - refused before it is used


def test_weights_of_8_bits_make_a_smaller_file_that_says_nearly_the_same(tiny_model, made_folders, tmp_path):
    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(weight_bits=8)
    network = FaceNet(recipe)
    network.load_state_dict(load_weights(tiny_model / "model.safetensors"))
    export(network.eval(), *split_validation(read_dataset(made_folders)), tmp_path, recipe)
    assert (tmp_path / "model.onnx").stat().st_size < (tiny_model / "model.onnx").stat().st_size
    names = [tensor.name for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer]
    assert not [name for name in names if name.startswith(("network", "trunk"))]
    images = read_dataset(made_folders, "test").images
    small, large = (Classifier(folder).classify(images).probabilities for folder in (tmp_path, tiny_model))
    assert np.abs(small - large).max() < 0.1
    assert not np.array_equal(small, large)


@pytest.mark.parametrize("bits", [16, 8])
def test_integers_say_nearly_the_same(bits: int, tiny_model: Path, made_folders: Path, tmp_path: Path):
    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(integers=True, weight_bits=bits)
    network = FaceNet(recipe)
    network.load_state_dict(load_weights(tiny_model / "model.safetensors"))
    export(network.eval(), *split_validation(read_dataset(made_folders)), tmp_path, recipe)
    operations = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operations.count("QuantizeLinear") > operations.count("Conv")
    images = read_dataset(made_folders, "test").images
    whole, floats = (Classifier(folder).classify(images) for folder in (tmp_path, tiny_model))
    for one, other in ((whole.probabilities, floats.probabilities), (whole.crowd, floats.crowd)):
        assert np.abs(one - other).max() < 0.05
        assert not np.array_equal(one, other)


def test_depthwise_filters_say_the_same_in_the_file_and_in_the_arithmetic_of_training(
    made_folders: Path, tmp_path: Path
):
    recipe = Recipe(name="small", model="mobile", stem=(8,), stages=(8, 8, 16), blocks=2)
    torch.manual_seed(0)
    network = FaceNet(recipe).eval()
    export(network, *split_validation(read_dataset(made_folders)), tmp_path, recipe)
    file, images = Classifier(tmp_path), read_dataset(made_folders, "test").images
    temperature = json.loads(file.metadata["mien.temperatures"])["crowd"]
    kinds: list[torch.dtype] = []
    network.trunk.blocks[0].filter.register_forward_hook(lambda *told: kinds.append(told[2].dtype))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = network(normalise(torch.from_numpy(images))).crowd.float()
    assert kinds == [torch.float32]  # quicker there, see the network
    trained = (logits / temperature).softmax(dim=1).numpy()
    assert np.abs(file.classify(images).crowd - trained).max() < 0.02


@pytest.mark.parametrize("integers", [False, True])
def test_a_model_that_looks_twice_says_the_same_of_a_face_and_its_mirror_image(
    integers: bool, tiny_model: Path, made_folders: Path, tmp_path: Path
):
    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(mirror=True, integers=integers)
    network = FaceNet(recipe)
    network.load_state_dict(load_weights(tiny_model / "model.safetensors"))
    export(network.eval(), *split_validation(read_dataset(made_folders)), tmp_path, recipe)
    images = read_dataset(made_folders, "test").images
    mirrors = np.ascontiguousarray(images[:, :, ::-1])
    once, twice = Classifier(tiny_model), Classifier(tmp_path)
    for folder, views in ((tiny_model, 1), (tmp_path, 2)):
        assert answers_of_model(str(folder), images[:2], threads=1)[0].views == views
    assert np.abs(once.classify(images).crowd - once.classify(mirrors).crowd).max() > 0.01
    assert np.abs(twice.classify(images).crowd - twice.classify(mirrors).crowd).max() < 1e-5
    # The heads' mean is that of the logits: of the odds of two answers, the geometric mean. Temperatures, fitted
    # anew, stretch it.
    odds = [
        np.log(model.classify(faces).crowd[:, :2]) @ [1, -1]
        for model, faces in ((once, images), (once, mirrors), (twice, images))
    ]
    assert np.corrcoef(odds[0] + odds[1], odds[2])[0, 1] > 0.999
    heads = network.trunk.features * (10 + 7)  # these look once
    assert count_macs(as_exported(network, recipe)) == 2 * count_macs(network) - heads
    names = [tensor.name for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer]
    assert not [name for name in names if name.startswith(("network", "trunk"))]
    weights = [load_file(folder / "model.safetensors").keys() for folder in (tiny_model, tmp_path)]
    assert weights[0] == weights[1]


def test_votes_are_learnt_and_measured_as_the_literature_does(voted: Path, tmp_path: Path):
    recipe = load_recipe("quick").changed(
        epochs=3, stem=(4, 8), stages=(8, 16), batch_size=8, name="small", warmup_steps=0, ema_decay=0.5
    )
    data = read_dataset(voted, "train")
    assert data.votes is not None
    data.votes[::2] = [0, 0, 0, 3, 0, 0, 3, 2, 2, 0]  # split: three each for happy and neutral
    folder = train(data, recipe, tmp_path)
    _, validation = split_validation(data)
    assert validation.votes is not None
    network = FaceNet(recipe)
    network.load_state_dict(load_weights(folder / "model.safetensors"))
    logits = predict_logits(network, validation, torch.device("cpu"))
    shares = validation.votes / validation.votes.sum(axis=1, keepdims=True)
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    temperatures = json.loads(metadata["mien.temperatures"])

    def loss(temperature: float) -> float:
        said = (logits.crowd / temperature).log_softmax(1).numpy()
        return float(-(shares * said).sum(axis=1).mean() + np.log(temperature) ** 2 / (2 * len(shares)))

    least = loss(temperatures["crowd"])  # of the votes' cross-entropy, not of the most voted word's
    assert least <= min(loss(temperatures["crowd"] * factor) for factor in (0.97, 1.03)) + 1e-6
    measured = json.loads((folder / "metrics.json").read_text())["validation"]
    readings = Classifier(folder).classify(validation.images)
    most = validation.votes[:, :8].argmax(axis=1)
    clear = crowd_majority(validation.votes) >= 0
    assert 0 < clear.sum() < len(clear)  # split votes have no majority
    assert measured["crowd"]["n"] == clear.sum()
    right = readings.crowd[:, :8].argmax(axis=1) == most
    assert measured["crowd"]["accuracy"] == pytest.approx(right[clear].mean(), abs=1e-5)
    assert measured["fer2013"]["n"] == len(validation)


@pytest.mark.parametrize("integers", [False, True])
def test_a_file_that_does_not_say_what_the_network_says_is_not_kept(
    integers: bool, tiny_model: Path, made_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from mien.train import export as module

    recipe = load_recipe(str(tiny_model / "recipe.toml")).changed(integers=integers)
    network = FaceNet(recipe)
    network.load_state_dict(load_weights(tiny_model / "model.safetensors"))

    def damage(model: onnx.ModelProto, bits: int) -> None:
        """As a converter would that lost the biases of the heads."""
        for tensor in model.graph.initializer:
            if tensor.name in ("labels.bias", "crowd.bias"):
                shifted = onnx.numpy_helper.to_array(tensor).copy()
                shifted[0] += 5
                tensor.CopyFrom(onnx.numpy_helper.from_array(shifted, tensor.name))

    monkeypatch.setattr(module, "_shrink_weights", damage)
    with pytest.raises(ModelError, match="differs from the network's"):
        export(network.eval(), *split_validation(read_dataset(made_folders)), tmp_path, recipe)
    assert not list(tmp_path.glob("model*"))


def test_small_faces_are_believed_as_far_as_they_are_read_rightly(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    recipe = load_recipe(str(tiny_recipe)).changed(epochs=15, flip=False, erase=0.0, rotate=0.0, scale=1.05)
    folder = train(read_dataset(made_folders), recipe, tmp_path)
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    trust = json.loads(metadata["mien.trust"])
    weights = dict(zip(trust["sides"], trust["weights"], strict=True))
    assert weights[0] == 0
    assert weights[48] == 1
    assert weights[4] < weights[32] - 0.2
    assert list(weights.values()) == sorted(weights.values())


def test_own_classes_are_learnt_and_predicted(made_own_folders: Path, tiny_recipe: Path, tmp_path: Path):
    recipe = load_recipe(str(tiny_recipe)).changed(epochs=30, flip=False, rotate=5.0, erase=0.0, scale=1.05)
    recipe = recipe.changed(mixup=0.1)
    folder = train(read_dataset(made_own_folders), recipe, tmp_path)
    test = read_dataset(made_own_folders, "test")
    classifier = Classifier(folder)
    assert classifier.classes == test.classes == ("calm", "cross", "merry")
    readings = classifier.classify(test.images)
    assert readings.probabilities.shape == (len(test), 3)
    assert np.mean(readings.probabilities.argmax(axis=1) == test.labels) > 0.7
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["classes"] == ["calm", "cross", "merry"]
    assert set(metrics["validation"]) == {
        "probabilities",
        "sha256",
        "known_by",
        "held_out",
        "fitted_on_held_out",
    }


def test_other_labels_of_faces_to_choose_on_are_fitted_anew(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    data, recipe = read_dataset(made_folders), load_recipe(str(tiny_recipe)).changed(epochs=1)
    metrics = train(data, recipe, tmp_path) / "metrics.json"
    before, when = json.loads(metrics.read_text()), metrics.stat().st_mtime_ns
    train(data, recipe, tmp_path)
    assert metrics.stat().st_mtime_ns == when
    held_out = {image.tobytes() for image in split_validation(data)[1].images}
    labels = np.array(
        [
            (label + 1) % 7 if image.tobytes() in held_out else label
            for image, label in zip(data.images, data.labels, strict=True)
        ]
    )
    train(replace(data, labels=labels), recipe, tmp_path)
    after = json.loads(metrics.read_text())
    assert before["validation"]["sha256"] != after["validation"]["sha256"]
    assert len(read_history(metrics.with_name("history.csv"))) == 1


@pytest.mark.parametrize("everybody", [True, False])
def test_where_nobody_voted_the_label_is_the_truth(
    everybody: bool, made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    data = read_dataset(made_folders)
    votes = np.zeros((len(data), 10), np.uint8)
    if not everybody:
        votes[::2, 3] = 8
    recipe = load_recipe(str(tiny_recipe)).changed(epochs=1)
    folder = train(replace(data, votes=votes), recipe, tmp_path)
    found = json.loads((folder / "metrics.json").read_text())["validation"]
    assert found["probabilities"]["n"] == len(split_validation(data)[1])
    assert found["crowd"]["n"] == (0 if everybody else found["crowd"]["n"])
    assert (found["crowd"]["accuracy"] is None) is everybody


def test_votes_that_agree_on_nothing_are_told_before_anything_is_trained(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    data = read_dataset(made_folders)
    split = np.tile(np.array([4, 0, 0, 4, 0, 0, 0, 0, 0, 0], np.uint8), (len(data), 1))
    with pytest.raises(DatasetError, match=r"no face of the validation tenth .* check the votes"):
        train(replace(data, votes=split), load_recipe(str(tiny_recipe)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_class_without_faces_is_told(made_folders: Path, tiny_recipe: Path, tmp_path: Path):
    data = read_dataset(made_folders)
    with pytest.raises(DatasetError, match="no faces of fear to learn from"):
        train(data.take(data.labels != EXPRESSIONS.index("fear")), load_recipe(str(tiny_recipe)), tmp_path)


def test_a_full_disk_is_told_and_the_last_checkpoint_stays(tiny_model: Path, tmp_path: Path):
    recipe = load_recipe(str(tiny_model / "recipe.toml"))
    network = FaceNet(recipe)
    average = AveragedModel(network)
    state = State(network, average, create_optimizer(network, recipe))
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, state, "run", 1)
    before = path.read_bytes()
    with (
        disk_full_after(len(before) // 2),
        pytest.raises(MienError, match=r"cannot be written .* goes on after epoch 1"),
    ):
        save_checkpoint(path, state, "run", 2)
    assert path.read_bytes() == before


def test_one_weight_under_two_names_is_kept_under_both(tiny_recipe: Path, tmp_path: Path):
    recipe = load_recipe(str(tiny_recipe))
    network = FaceNet(recipe)
    network.again = network.trunk  # as some of timm's backbones have it
    state = State(network, AveragedModel(network), create_optimizer(network, recipe))
    save_checkpoint(tmp_path / "checkpoint.safetensors", state, "run", 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert any(name.startswith("again.") for name in before)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert load_checkpoint(tmp_path / "checkpoint.safetensors", state, "run") == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("last", ["the history's row", "the checkpoint"])
def test_a_run_that_ends_between_two_files_loses_no_row(
    last: str, made_folders: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    parts = split_validation(read_dataset(made_folders))
    recipe = load_recipe(str(tiny_recipe))

    def ended_after(work):
        def wrapped(*arguments):
            work(*arguments)
            raise KeyboardInterrupt

        return wrapped

    with monkeypatch.context() as patched:
        if last == "the checkpoint":
            patched.setattr("mien.train.fit.save_checkpoint", ended_after(save_checkpoint))
        else:
            patched.setattr(Journal, "epoch", ended_after(Journal.epoch))
        with pytest.raises(KeyboardInterrupt):
            fit(*parts, recipe, tmp_path)
    fit(*parts, recipe, tmp_path)
    assert [row.epoch for row in read_history(tmp_path / "history.csv")] == [1, 2, 3]


@pytest.mark.parametrize("file", ["model.onnx", "history.png"])
def test_a_disk_that_is_full_when_all_is_trained_costs_no_training(
    file: str, tiny_model: Path, made_folders: Path, tmp_path: Path
):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_model, folder)
    recipe = load_recipe(str(folder / "recipe.toml"))
    (folder / "metrics.json").unlink()
    before = {name: (folder / name).read_bytes() for name in ("checkpoint.safetensors", "model.safetensors")}
    size = {"model.onnx": 1000, "history.png": (folder / "model.onnx").stat().st_size + 1}[file]
    data = read_dataset(made_folders)
    with (
        disk_full_after(size),
        pytest.raises(MienError, match=r"tiny: cannot be written to .* all is trained"),
    ):
        train(data, recipe, tmp_path)
    assert list(folder.glob("*.part")) == []
    train(data, recipe, tmp_path)
    assert (folder / "metrics.json").is_file()
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert len(read_history(folder / "history.csv")) == recipe.epochs


def test_weights_on_a_full_disk_stay_as_they_were(tiny_model: Path, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    shutil.copy(tiny_model / "model.safetensors", path)
    before = path.read_bytes()
    with disk_full_after(1000), pytest.raises((OSError, SafetensorError)):
        save_weights(FaceNet(load_recipe(str(tiny_model / "recipe.toml"))), path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, before)]


def test_a_history_on_a_full_disk_is_told(tmp_path: Path):
    with (
        Journal(tmp_path, load_recipe("quick"), steps=1) as journal,
        disk_full_after(10),
        pytest.raises(MienError, match=r"history.csv: cannot be written \(.*after epoch 0"),
    ):
        journal.epoch(Epoch(1, 48, 0.1, 3.0, 0.5, 0.4, 0.6, 1.5))
