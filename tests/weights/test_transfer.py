"""Parameters of one network as the start of another."""

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
    """Transfers; every parameter must be in the report, copied ones equal to the byte and new ones untouched."""
    variables, account = transfer(target, source)
    before, old, after = flat(target.variables), flat(source.variables), flat(variables)
    assert account.origins.keys() == before.keys() == after.keys()
    for path, origin in account.origins.items():
        assert after[path].shape == before[path].shape
        if origin is None:
            assert after[path] is before[path]
        else:
            assert after[path].tobytes() == old[origin][: len(after[path])].tobytes()
    return variables["params"], account


def modules(account: TransferReport, new: bool) -> set[str]:
    return {path.split("/")[1] for path, origin in account.origins.items() if (origin is None) == new}


@pytest.mark.parametrize(("source", "target"), [("mit_pose_b5", "aggpose_l"), ("mit_pose_b2", "aggpose_s")])
def test_a_backbone_goes_into_every_layer(source, target):
    params, account = check(weights(target, shapes(target, 21), 21), weights(source, numbered(source)))
    stages = {f"stage{i}_{column}" for i in range(1, 5) for column in range(i, 5)}
    embeddings = {f"embed{i}" for i in range(1, 5)} | {"down2_2", "down2_3", "down2_4", "down3_3", "down3_4", "down4_4"}
    assert modules(account, new=False) == stages | embeddings
    assert {name.rstrip("1234_") for name in modules(account, new=True)} == {
        "merge",
        "up",
        "head",
        "head_up",
        "head_merge",
    }
    assert account.origins["params/stage2_4/blocks/ffn/fc1/kernel"] == "params/encoder/stage2/blocks/ffn/fc1/kernel"
    assert {account.origins[f"params/{name}/norm/scale"] for name in ("down3_4", "embed3")} == {
        "params/encoder/embed3/norm/scale"
    }
    assert len(params["stage3_4"]["blocks"]["norm1"]["scale"]) == 3


def test_the_same_network_is_copied_whole():
    source = weights("aggpose_tiny", numbered("aggpose_tiny"))
    _, account = check(weights("aggpose_tiny", shapes("aggpose_tiny")), source)
    assert account.origins == {path: path for path in flat(source.variables)}
    assert not account.new


@pytest.mark.parametrize("name", ["aggpose_tiny", "mit_pose_tiny"])
def test_a_head_of_other_keypoints_stays_new_as_a_whole(name):
    _, account = check(weights(name, numbered(name, 21, start=5), 21), weights(name, numbered(name, 17)))
    assert account.new == ["head"]
    assert "head" not in modules(account, new=False)
    assert str(account).endswith("head is new: 17 keypoints there, 21 here")


def test_an_encoder_alone_leaves_the_rest_of_the_plain_pose_model_new():
    encoder = {"encoder": numbered("mit_pose_tiny")["encoder"]}
    target = weights("mit_pose_tiny", numbered("mit_pose_tiny", start=5))
    _, account = check(target, weights("mit_pose_tiny", encoder))
    assert modules(account, new=False) == {"encoder"}
    assert modules(account, new=True) == {"fuse1", "fuse2", "fuse3", "fuse4", "head"}


@pytest.mark.parametrize(
    ("source", "target", "fitting"),
    [
        ("mit_pose_b2", "aggpose_l", "aggpose_s and mit_pose_b2 and mae_b2"),
        ("mit_pose_b5", "aggpose_s", "aggpose_l and mit_pose_b5 and mae_b5"),
        ("aggpose_s", "aggpose_l", "aggpose_s and mit_pose_b2 and mae_b2"),
        ("mit_pose_b0", "mit_pose_b1", "mit_pose_b0 and mae_b0"),
    ],
)
def test_another_size_says_what_it_fits_and_every_difference(source, target, fitting):
    with pytest.raises(UserError) as raised:
        transfer(weights(target, shapes(target)), weights(source, blank(source)))
    message = str(raised.value)
    assert f"fit {fitting}" in message
    assert "stage3" in message
    assert "\n" not in message


def test_a_few_blocks_do_not_fill_a_backbone_stage_nor_many_a_short_one():
    source = numbered("mit_pose_tiny")
    norm = source["encoder"]["stage3"]["blocks"]["norm1"]
    norm["scale"] = np.repeat(norm["scale"], 2, axis=0)
    with pytest.raises(UserError, match=r"stage3_3/blocks/norm1/scale \(2, 80\) where \(1, 80\) belongs"):
        transfer(weights("aggpose_tiny", shapes("aggpose_tiny")), weights("mit_pose_tiny", source))


def test_networks_that_share_nothing():
    with pytest.raises(UserError, match=r"fit aggpose_tiny and mit_pose_tiny and mae_tiny; none has a place"):
        transfer(
            weights("mit_pose_tiny", {"decoder": {"bias": np.zeros(3)}}),
            weights("aggpose_tiny", numbered("aggpose_tiny")),
        )


def test_the_account_in_words():
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
    account = TransferReport(origins, sizes, (0, 21))
    assert account.new == ["head", "encoder/stage1"]
    assert [line.split() for line in str(account).splitlines()] == [
        ["module", "from", "parameters"],
        ["head", "new", "11"],
        ["stage1_2", "encoder/stage1", "1,100"],
        ["encoder/stage1", "new", "1,000,000"],
        ["2", "modules", "those", "of", "their", "names", "110,000"],
    ]
