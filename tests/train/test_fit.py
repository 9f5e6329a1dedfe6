import numpy as np
import pytest
import torch

from mien.datasets import Dataset
from mien.errors import MienError
from mien.labels import CROWD, EXPRESSIONS
from mien.train.fit import fit, loss_of, vote_shares
from mien.train.network import FaceNet, Logits
from mien.train.recipe import Recipe

SMALL = Recipe(name="small", stem=(4, 8), stages=(8,), blocks=1, epochs=1, sizes=(16,), batch_size=8)


def noise(count: int, votes: np.ndarray | None = None) -> Dataset:
    random = np.random.default_rng(0)
    return Dataset(
        random.integers(0, 256, (count, 48, 48), dtype=np.uint8), np.arange(count, dtype=np.int64) % 7, votes
    )


def test_shares_are_the_votes_and_the_label_where_nobody_voted():
    votes = np.zeros((3, 10), np.uint8)
    votes[0, CROWD.index("happy")], votes[0, CROWD.index("contempt")] = 6, 2
    votes[1, CROWD.index("not_a_face")] = 10
    shares = vote_shares(noise(3, votes))
    assert shares.dtype == np.float32
    assert shares.sum(axis=1) == pytest.approx(1)
    assert shares[0, CROWD.index("happy")] == pytest.approx(0.75)
    assert shares[1, CROWD.index("not_a_face")] == 1
    assert shares[2, CROWD.index(EXPRESSIONS[2])] == 1


def test_without_votes_the_label_is_the_only_vote():
    shares = vote_shares(noise(7))
    assert shares.argmax(axis=1).tolist() == list(range(7))


def test_the_loss_is_least_when_the_heads_say_what_people_said():
    shares = torch.tensor([[0.7, 0.3, 0, 0, 0, 0, 0, 0, 0, 0]])
    labels = torch.tensor([1])
    right = Logits(shares.clamp(min=1e-6).log(), torch.tensor([[0.0, 9, 0, 0, 0, 0, 0]]))
    wrong = Logits(shares.flip(1).clamp(min=1e-6).log(), torch.tensor([[9.0, 0, 0, 0, 0, 0, 0]]))
    entropy = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    assert float(loss_of(right, shares, labels, 0.0)) == pytest.approx(entropy, abs=0.01)
    assert loss_of(wrong, shares, labels, 0.0) > loss_of(right, shares, labels, 0.0) + 5


@pytest.mark.parametrize("side", [16, 32, 40, 48])
def test_the_network_reads_faces_of_several_sizes(side: int):
    logits = FaceNet(SMALL).eval()(torch.zeros(3, 1, side, side))
    assert logits.crowd.shape == (3, 10)
    assert logits.fer2013.shape == (3, 7)


def test_a_loss_that_is_no_number_is_told_and_keeps_the_last_checkpoint(tmp_path):
    explosive = Recipe(
        **{**{f: getattr(SMALL, f) for f in SMALL.__slots__}, "learning_rate": 1e30, "epochs": 9}
    )
    with pytest.raises(MienError, match="lower learning_rate"):
        fit(noise(64), noise(8), explosive, tmp_path)


def test_a_history_without_its_checkpoint_is_begun_afresh(tmp_path):
    for _ in range(2):
        fit(noise(64), noise(8), SMALL, tmp_path)
        (tmp_path / "checkpoint.safetensors").unlink()
        history = (tmp_path / "history.csv").read_text().splitlines()
        assert len(history) == 2
        assert history[0].startswith("epoch,")
        assert history[1].startswith("1,")


def test_refined_epochs_learn_from_other_views(tmp_path):
    fields = {name: getattr(SMALL, name) for name in SMALL.__slots__}
    weights = []
    for epochs in (0, 1):
        folder = tmp_path / str(epochs)
        folder.mkdir()
        network = fit(noise(64), noise(8), Recipe(**fields | {"refine_epochs": epochs}), folder)
        weights.append(network.fer2013.weight)
    assert not torch.equal(*weights)
