"""Backbones of timm, for real."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel

from mien.classify import Classifier, Trust
from mien.datasets import read_dataset, split_validation
from mien.errors import ConfigError
from mien.train.checkpoint import State, run_identity, save_checkpoint
from mien.train.export import Readings, Temperatures, export_onnx
from mien.train.fit import Options, create_optimizer, fit
from mien.train.journal import Epoch
from mien.train.networks import FaceNet
from mien.train.processes import share_norms
from mien.train.recipe import Recipe, load_recipe
from mien.train.run import train

timm = pytest.importorskip("timm", reason="needs timm: pip install 'mien[timm]'", exc_type=ImportError)

# 0.6 M weights, 224 pixels, ImageNet's mean and deviation; the other has 0.5 for both.
NAME, OTHER = "mobilenetv3_small_050", "tinynet_e"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as timm's own are: three channels in, a thousand classes out."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    save_file(timm.create_model(NAME, pretrained=False).state_dict(), path)
    return path


def recipe(**fields) -> Recipe:
    return Recipe(name="transfer", model=f"timm/{NAME}", **fields)


def test_the_weights_of_a_file_are_taken_but_for_its_classifier(weights: Path):
    backbone = FaceNet(recipe(weights=str(weights))).trunk.backbone.state_dict()
    there = load_file(weights)
    assert {name.split(".")[0] for name in there.keys() - backbone.keys()} == {"classifier"}
    for name, tensor in backbone.items():
        assert torch.equal(tensor, there[name]), name


def test_the_weights_of_a_file_without_counts_of_batches_are_taken_too(weights: Path, tmp_path: Path):
    older = {name: value for name, value in load_file(weights).items() if "num_batches_tracked" not in name}
    save_file(older, tmp_path / "older.safetensors")
    backbone = FaceNet(recipe(weights=str(tmp_path / "older.safetensors"))).trunk.backbone
    assert torch.equal(backbone.conv_stem.weight, older["conv_stem.weight"])


@pytest.mark.parametrize("name", [NAME, "vit_tiny_patch16_224", OTHER])
def test_faces_are_scaled_and_normalised_as_timms_configuration_says(name: str):
    network = FaceNet(Recipe(name="any", model=f"timm/{name}")).eval()
    config = network.trunk.backbone.pretrained_cfg
    seen: list[torch.Tensor] = []
    network.trunk.backbone.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    white = network(torch.ones(2, 1, 48, 48))
    assert white.labels.shape == (2, 7)
    assert seen[0].shape == (2, *config["input_size"])
    for channel in range(3):
        expected = (1 - config["mean"][channel]) / config["std"][channel]
        assert seen[0][:, channel].allclose(torch.tensor(expected), atol=1e-5)


def test_what_was_downloaded_once_is_not_wanted_again(
    made_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    create = timm.create_model

    def without_downloads(name: str, *, pretrained: bool, **options):
        assert not pretrained
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", without_downloads)
    parts = split_validation(read_dataset(made_folders))
    wanted = recipe(pretrained=True, epochs=1, batch_size=8)
    network = FaceNet(recipe())
    state = State(network, AveragedModel(network), create_optimizer(network, wanted))
    save_checkpoint(tmp_path / "checkpoint.safetensors", state, run_identity(wanted, parts[0]), 1)
    found = fit(*parts, wanted, tmp_path)  # all its epochs are done
    assert torch.equal(found.labels.weight, network.labels.weight)


def test_a_backbone_is_trained_exported_and_goes_on(weights: Path, made_folders: Path, tmp_path: Path):
    data = read_dataset(made_folders)
    chosen = recipe(
        weights=str(weights),
        epochs=8,
        batch_size=16,
        optimizer="adam",
        learning_rate=3e-3,
        ema_decay=0.8,
        dropout=0.0,
        flip=False,
        rotate=5.0,
        scale=1.05,
        shift=0.02,
        erase=0.0,
    )
    folder = train(data, chosen, tmp_path)
    test = read_dataset(made_folders, "test")
    readings = Classifier(folder).classify(test.images)
    assert readings.crowd.shape == (28, 10)
    assert np.mean(readings.fer2013.argmax(axis=1) == test.labels) > 0.5  # guessing: 0.14
    made = (folder / "model.safetensors").read_bytes()
    assert train(data, chosen, tmp_path) == folder  # all is done: the same again
    assert (folder / "model.safetensors").read_bytes() == made
    assert load_recipe(str(folder / "recipe.toml")) == chosen


def test_a_backbone_that_was_stopped_goes_on(weights: Path, made_folders: Path, tmp_path: Path):
    parts = split_validation(read_dataset(made_folders))
    chosen = recipe(weights=str(weights), epochs=3, batch_size=16, learning_rate=0.01, sizes=(32,))
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    whole = fit(*parts, chosen, tmp_path / "whole").state_dict()
    with pytest.raises(KeyboardInterrupt):
        fit(*parts, chosen, tmp_path / "stopped", options=Options(watch=stop))
    stopped = fit(*parts, chosen, tmp_path / "stopped").state_dict()
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in whole.items())


def test_weights_of_another_backbone_are_told(weights: Path):
    with pytest.raises(ConfigError, match=rf"is no {OTHER}: .* missing or of another shape"):
        FaceNet(Recipe(name="any", model=f"timm/{OTHER}", weights=str(weights)))


def test_weights_that_are_no_file_are_told(tmp_path: Path):
    (tmp_path / "text.safetensors").write_text("no weights")
    for name in ("text.safetensors", "missing.safetensors"):
        with pytest.raises(ConfigError, match=f"{name}: not a readable safetensors file"):
            FaceNet(recipe(weights=str(tmp_path / name)))


def test_a_backbone_that_does_not_exist_is_told():
    with pytest.raises(ConfigError, match=r"timm knows no 'resnet1x'; similar: .*\bresnet18\b"):
        FaceNet(Recipe(name="typo", model="timm/resnet1x"))


def unsettled(name: str) -> FaceNet:
    """A network whose norms matter, as those of a trained one do."""
    torch.manual_seed(3)
    network = FaceNet(Recipe(name="any", model=f"timm/{name}", votes=0.0))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.bias.data.normal_()
    return network.eval()


def test_norms_that_several_processes_share_keep_their_activation():
    network = unsettled(NAME)
    faces = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    before = network(faces).labels
    names = network.state_dict().keys()
    assert torch.allclose(share_norms(network)(faces).labels, before, atol=1e-5)
    assert network.state_dict().keys() == names


def test_norms_that_hold_an_activation_are_exported_with_it(tmp_path: Path):
    network = unsettled("densenet121")  # its first norm follows a convolution in a Sequential
    network.labels.weight.data *= 30  # else its answers hardly differ from face to face
    classes = tuple("abcdefg")
    export_onnx(  # compares its answers with the network's
        Readings(network, Temperatures(1.0, 1.0), None),
        tmp_path / "model.onnx",
        name="any",
        trust=Trust([0.0, 48.0], [0.0, 1.0], [1 / 7] * 7, []),
        leanings=[1 / 7] * 7,
        classes=classes,
    )
    assert Classifier(tmp_path / "model.onnx").classes == classes
