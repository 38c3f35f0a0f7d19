"""Tests of the initialisation of a network with the parameters of another one."""

import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from trees import blank, numbered, shapes, weights

from aggpose_jax.errors import UserError
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import TransferReport, transfer


def flat(tree: dict) -> dict:
    return flatten_dict(tree, sep="/")


def check(target: Weights, source: Weights) -> tuple[dict, TransferReport]:
    """Returns the parameters and the report of a transfer, and checks them.

    Every parameter must be in the report, copied ones must be equal bit for bit, and new ones must be unchanged.
    """
    variables, report = transfer(target, source)
    before, old, after = flat(target.variables), flat(source.variables), flat(variables)
    assert report.origins.keys() == before.keys() == after.keys()
    for path, origin in report.origins.items():
        assert after[path].shape == before[path].shape
        if origin is None:
            assert after[path] is before[path]
        else:
            assert after[path].tobytes() == old[origin][: len(after[path])].tobytes()
    return variables["params"], report


def modules(report: TransferReport, new: bool) -> set[str]:
    return {path.split("/")[1] for path, origin in report.origins.items() if (origin is None) == new}


@pytest.mark.parametrize(("source", "target"), [("mit_pose_b5", "aggpose_l"), ("mit_pose_b2", "aggpose_s")])
def test_a_backbone_initialises_every_column_of_aggpose(source, target):
    params, report = check(weights(target, shapes(target, 21), 21), weights(source, numbered(source)))
    stages = {f"stage{i}_{column}" for i in range(1, 5) for column in range(i, 5)}
    embeddings = {f"embed{i}" for i in range(1, 5)} | {"down2_2", "down2_3", "down2_4", "down3_3", "down3_4", "down4_4"}
    assert modules(report, new=False) == stages | embeddings
    assert {name.rstrip("1234_") for name in modules(report, new=True)} == {
        "merge",
        "up",
        "head",
        "head_up",
        "head_merge",
    }
    assert report.origins["params/stage2_4/blocks/ffn/fc1/kernel"] == "params/encoder/stage2/blocks/ffn/fc1/kernel"
    assert {report.origins[f"params/{name}/norm/scale"] for name in ("down3_4", "embed3")} == {
        "params/encoder/embed3/norm/scale"
    }
    assert len(params["stage3_4"]["blocks"]["norm1"]["scale"]) == 3


def test_all_parameters_of_an_equal_network_are_copied():
    source = weights("aggpose_tiny", numbered("aggpose_tiny"))
    _, report = check(weights("aggpose_tiny", shapes("aggpose_tiny")), source)
    assert report.origins == {path: path for path in flat(source.variables)}
    assert not report.new


@pytest.mark.parametrize("name", ["aggpose_tiny", "mit_pose_tiny"])
def test_the_entire_head_is_new_if_the_number_of_keypoints_differs(name):
    _, report = check(weights(name, numbered(name, 21, start=5), 21), weights(name, numbered(name, 17)))
    assert report.new == ["head"]
    assert "head" not in modules(report, new=False)
    assert str(report).endswith("head is new: 17 keypoints in the source, 21 in this network")


def test_a_source_with_only_an_encoder_initialises_only_the_encoder():
    encoder = {"encoder": numbered("mit_pose_tiny")["encoder"]}
    target = weights("mit_pose_tiny", numbered("mit_pose_tiny", start=5))
    _, report = check(target, weights("mit_pose_tiny", encoder))
    assert modules(report, new=False) == {"encoder"}
    assert modules(report, new=True) == {"fuse1", "fuse2", "fuse3", "fuse4", "head"}


@pytest.mark.parametrize(
    ("source", "target", "fitting"),
    [
        ("mit_pose_b2", "aggpose_l", "aggpose_s and mit_pose_b2 and mae_b2"),
        ("mit_pose_b5", "aggpose_s", "aggpose_l and mit_pose_b5 and mae_b5"),
        ("aggpose_s", "aggpose_l", "aggpose_s and mit_pose_b2 and mae_b2"),
        ("mit_pose_b0", "mit_pose_b1", "mit_pose_b0 and mae_b0"),
    ],
)
def test_the_error_for_another_size_names_fitting_networks_and_differing_modules(source, target, fitting):
    with pytest.raises(UserError) as raised:
        transfer(weights(target, shapes(target)), weights(source, blank(source)))
    message = str(raised.value)
    assert f"fit {fitting}" in message
    assert "stage3" in message
    assert "\n" not in message


def test_the_first_stage_of_a_stream_must_have_the_depth_of_the_backbone_stage():
    source = numbered("mit_pose_tiny")
    norm = source["encoder"]["stage3"]["blocks"]["norm1"]
    norm["scale"] = np.repeat(norm["scale"], 2, axis=0)
    with pytest.raises(UserError, match=r"stage3_3/blocks/norm1/scale \(2, 80\) .*\(1, 80\)"):
        transfer(weights("aggpose_tiny", shapes("aggpose_tiny")), weights("mit_pose_tiny", source))


def test_a_transfer_without_corresponding_parameters_is_an_error():
    with pytest.raises(UserError, match=r"aggpose_tiny and mit_pose_tiny and mae_tiny; .*none"):
        transfer(
            weights("mit_pose_tiny", {"decoder": {"bias": np.zeros(3)}}),
            weights("aggpose_tiny", numbered("aggpose_tiny")),
        )


def test_the_report_is_a_table_of_modules():
    origins = {
        "params/head/kernel": None,
        "params/head/bias": None,
        "params/stage1_2/blocks/bias": "params/encoder/stage1/blocks/bias",
        "params/stage1_2/norm": "params/encoder/stage1/norm",
        "params/embed1/bias": "params/embed1/bias",
        "params/embed2/bias": "params/embed2/bias",
        "params/encoder/stage1/norm": None,
    }
    sizes = {path: 10**i for i, path in enumerate(origins)}
    report = TransferReport(origins, sizes, (0, 21))
    assert report.new == ["head", "encoder/stage1"]
    assert [line.split() for line in str(report).splitlines()] == [
        ["module", "from", "parameters"],
        ["head", "new", "11"],
        ["stage1_2", "encoder/stage1", "1,100"],
        ["encoder/stage1", "new", "1,000,000"],
        ["2", "modules", "equal", "paths", "in", "source", "110,000"],
    ]
