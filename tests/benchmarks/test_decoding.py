"""The loops that decoding is compared with compute the same."""

import jax.numpy as jnp
import numpy as np

from aggpose_jax.benchmarks import decoding
from aggpose_jax.pose import metrics
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.keypoints import COCO_17


def test_loops_decode_the_same_positions():
    codec = Codec(decoding.INPUT_SIZE)
    heatmaps = decoding.draw_heatmaps(codec, np.random.default_rng(0))[:4]
    expected, _ = codec.decode(jnp.asarray(heatmaps))
    np.testing.assert_allclose(decoding.decode_in_loops(codec, heatmaps), expected, atol=2e-2)


def test_loops_keep_the_same_persons():
    persons = decoding.draw_persons(np.random.default_rng(0))
    kept = decoding.nms_in_loops(*persons, COCO_17.sigmas)
    np.testing.assert_array_equal(kept, metrics.oks_nms(*persons, COCO_17.sigmas))
    assert len(kept) == decoding.PERSONS // 2


def test_a_row_for_each_and_for_its_loops(monkeypatch):
    monkeypatch.setattr(decoding.timing, "in_turn", lambda functions: {name: [1.0] for name in functions})
    names = [row.name for row in decoding.measure()]
    assert names == [
        f"{name}{end}" for name in ("DARK, 32 × 17 heatmaps", "OKS-NMS, 100 persons") for end in ("", ", loops")
    ]
