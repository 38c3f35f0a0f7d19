"""Training with several seeds: folders, mean and standard deviation, parsing of --seeds."""

from types import SimpleNamespace

import pytest

from aggpose_jax.config import default_config
from aggpose_jax.errors import UserError
from aggpose_jax.training import loop, seeds


def test_mean_and_deviation_equal_hand_computed_values():
    result = seeds.mean_and_deviation([{"AP": 0.5, "AR": 1.0}, {"AP": 0.6, "AR": 1.0}, {"AP": 0.7, "AR": 1.0}])
    assert result["mean"] == pytest.approx({"AP": 0.6, "AR": 1.0})
    assert result["deviation"] == pytest.approx({"AP": 0.1, "AR": 0.0})  # (0.01 + 0 + 0.01) / 2 is 0.1²


def test_each_seed_is_trained_in_its_own_folder(tmp_path, monkeypatch):
    runs = []

    def train(config, workdir):
        runs.append((config.seed, config.batch_size, workdir))
        evaluation = SimpleNamespace(metrics={"AP": config.seed / 10})
        return {"network": evaluation, "mean pose": SimpleNamespace(metrics={"AP": 0.0})}

    monkeypatch.setattr(loop, "train", train)
    config = default_config()
    config.batch_size = 6
    rows = seeds.train_seeds(config, tmp_path, [2, 6])
    assert runs == [(2, 6, tmp_path / "seed_2"), (6, 6, tmp_path / "seed_6")]
    assert {name: row["AP"] for name, row in rows.items()} == pytest.approx(
        {"seed 2": 0.2, "seed 6": 0.6, "mean": 0.4, "deviation": 0.08**0.5}
    )
    assert config.seed == 0


def test_seeds_are_parsed_from_a_command_line():
    assert seeds.parse_seeds(["0", " 12", "3"]) == [0, 12, 3]


@pytest.mark.parametrize("texts", [["1", "x"], ["1", ""], ["1", "-2"], ["1", "1"], ["1", "01"], ["1"], []])
def test_invalid_seeds_are_an_error(texts):
    with pytest.raises(UserError, match=r"^--seeds="):
        seeds.parse_seeds(texts)
