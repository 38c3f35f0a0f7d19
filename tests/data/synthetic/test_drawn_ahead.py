"""Tests of infants that were drawn ahead."""

import dataclasses
import json

import numpy as np
import pytest

from aggpose_jax.data.images import read_image
from aggpose_jax.data.synthetic import drawn_ahead
from aggpose_jax.data.synthetic.drawn_ahead import Settings, StoredInfants, draw_ahead
from aggpose_jax.data.synthetic.staging import Variety
from aggpose_jax.errors import UserError

SETTINGS = Settings(5, "train", 3, Variety())


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Makes shards of two records."""
    monkeypatch.setattr(drawn_ahead, "SHARD", 2)


@pytest.mark.parametrize("period", [0, 2])
def test_records_are_those_of_the_source_that_drew_them(tmp_path, period):
    settings = dataclasses.replace(SETTINGS, drawn=period)
    draw_ahead(tmp_path, settings)
    source, drawn = settings.source(), StoredInfants(tmp_path)
    assert len(drawn) == drawn.counts()["images"] == 5
    for i in range(5):
        expected, record = source[i], drawn[i]
        difference = np.abs(read_image(record.pop("image")).astype(float) - expected.pop("image"))
        assert difference.mean() < 6  # the losses of JPEG
        for name, value in expected.items():
            np.testing.assert_allclose(record[name], value, rtol=1e-6)


def test_a_folder_of_an_earlier_version_is_completed(tmp_path):
    draw_ahead(tmp_path, SETTINGS, part=(0, 3))
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert list(content) == ["count", "split", "seed", "variety"]  # what earlier versions wrote
    draw_ahead(tmp_path, SETTINGS)
    assert len(StoredInfants(tmp_path)) == 5


def test_parts_and_interrupted_runs_give_the_same_bytes(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    draw_ahead(whole, SETTINGS)
    draw_ahead(parts, SETTINGS, part=(1, 2))
    with pytest.raises(UserError, match="2 of 3 shards are missing"):
        StoredInfants(parts)
    draw_ahead(parts, SETTINGS)
    files = sorted(path.name for path in whole.iterdir())
    assert files == sorted(path.name for path in parts.iterdir())
    assert len(files) == 4
    assert all((whole / name).read_bytes() == (parts / name).read_bytes() for name in files)


def test_other_settings_and_damage_are_errors_that_name_the_file(tmp_path):
    draw_ahead(tmp_path, SETTINGS)
    with pytest.raises(UserError, match=r"manifest\.json"):
        draw_ahead(tmp_path, Settings(6, "train", 3, Variety()))
    file = tmp_path / "00001.array_record"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"00001\.array_record"):
        StoredInfants(tmp_path)[2]
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"manifest\.json"):
        StoredInfants(tmp_path)
    with pytest.raises(UserError, match="train, val, test"):
        draw_ahead(tmp_path / "new", Settings(6, "trane", 3, Variety()))
    assert not (tmp_path / "new").exists()
