import pytest
import torch

from mien.train.networks import FaceNet
from mien.train.networks.parts import Dropout
from mien.train.recipe import NETWORKS, Recipe, load_recipe, shipped_recipes, stretches


def small(model: str) -> Recipe:
    stages = (4, 4) if model == "densenet" else (8, 16)
    return Recipe(name="small", model=model, stem=(4, 8), stages=stages, blocks=1)


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("side", [16, 40, 48])
def test_every_network_reads_faces_of_several_sizes(model: str, side: int):
    if model == "plain" and side != 48:
        pytest.skip("its dense layer fits 48 pixels only")
    logits = FaceNet(small(model)).eval()(torch.zeros(3, 1, side, side))
    assert logits.crowd.shape == (3, 10)
    assert logits.labels.shape == (3, 7)


@pytest.mark.parametrize("model", ["seresnet", "resnet"])
def test_a_network_that_looks_closer_enlarges_faces_as_they_come(model: str):
    network = FaceNet(Recipe(name="close", model=model, side=64)).eval()
    faces = torch.rand(2, 1, 48, 48) * 2 - 1
    enlarged = torch.nn.functional.interpolate(faces, (64, 64), mode="bilinear", align_corners=False)
    assert network.trunk.side == 64
    assert torch.equal(network(faces).labels, network(enlarged).labels)
    same = FaceNet(Recipe(name="close", model=model)).eval()
    same.load_state_dict(network.state_dict())
    assert not torch.allclose(same(faces).labels, network(faces).labels, atol=1e-3)


@pytest.mark.parametrize("model", NETWORKS)
def test_every_weight_of_every_network_takes_part(model: str):
    network = FaceNet(small(model))
    logits = network(torch.rand(8, 1, 48, 48) * 2 - 1)
    (logits.crowd.square().sum() + logits.labels.square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_other_classes_have_a_head_of_their_own_and_no_crowd():
    logits = FaceNet(small("resnet"), ("yes", "no")).eval()(torch.zeros(3, 1, 48, 48))
    assert logits.crowd.shape == (3, 0)
    assert logits.labels.shape == (3, 2)


def test_the_authors_network_has_the_authors_number_of_weights():
    # 32·9+32, 64·32·9+64, 128·64·9+128, 128·128·9+128, 2048·1024+1024, 1024·7+7: Keras prints 2,345,607.
    network = FaceNet(load_recipe("plain"))
    assert sum(p.numel() for p in network.parameters()) == 2_345_607


def test_processes_drop_together_what_one_drops():
    def dropped(faces: torch.Tensor, processes: int, rank: int) -> torch.Tensor:
        dropout = Dropout(0.4)
        dropout.processes, dropout.rank = processes, rank
        torch.manual_seed(3)
        return dropout(faces)

    whole = torch.rand(8, 5, 4, 4) + 1
    parts = [dropped(part, 2, rank) for rank, part in enumerate(whole.split(4))]
    assert torch.equal(torch.cat(parts), dropped(whole, 1, 0))
    assert 0.3 < float((dropped(whole, 1, 0) == 0).float().mean()) < 0.5
    assert float(dropped(torch.ones(4, 10_000), 1, 0).mean()) == pytest.approx(1, abs=0.02)
    assert torch.equal(Dropout(0.4).eval()(whole), whole)


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_builds(name: str):
    recipe = stretches(load_recipe(name))[0]  # whose network the later ones have
    logits = FaceNet(recipe).eval()(torch.zeros(1, 1, 48, 48))
    assert logits.labels.shape == (1, 7)
