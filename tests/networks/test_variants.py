"""Tests of the size of every network: parameters, and multiply-adds for one image of 256 × 192 pixels."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from trees import shapes

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks import mae, mit, multiply_adds

SIZES = {  # name: parameters, multiply-adds, multiply-adds of the products in attention; all with 17 keypoints
    "aggpose_l": (96_751_825, 15_555_852_288, 600_440_832),
    "aggpose_s": (39_505_105, 7_286_814_720, 381_026_304),
    "aggpose_demo": (1_281_697, 348_419_328, 12_976_128),
    "aggpose_xs": (4_324_593, 712_347_648, 27_721_728),
    "aggpose_tiny": (1_015_489, 223_710_720, 29_491_200),
    "mit_pose_b0": (3_389_809, 528_915_456, 36_569_088),
    "mit_pose_b1": (13_254_609, 1_738_300_416, 73_138_176),
    "mit_pose_b2": (24_299_473, 3_300_056_064, 136_839_168),
    "mit_pose_b3": (44_175_313, 6_110_567_424, 207_618_048),
    "mit_pose_b4": (60_945_873, 8_830_295_040, 298_450_944),
    "mit_pose_b5": (81_546_193, 11_569_093_632, 356_253_696),
    "mit_pose_tiny": (538_561, 153_775_104, 9_142_272),
    "simple_baseline_50": (33_999_697, 5_426_380_800, 0),
    "simple_baseline_101": (52_991_825, 9_062_842_368, 0),
    "simple_baseline_152": (68_635_473, 12_699_303_936, 0),
    "simple_baseline_tiny": (329_753, 68_812_800, 0),
    "hrnet_w32": (28_536_113, 7_645_003_776, 0),
    "hrnet_w48": (63_595_745, 15_691_825_152, 0),
    "hrnet_tiny": (333_305, 483_999_744, 0),
    # The published counts of TransPose and TokenPose include their fixed positions, 294,912 and 49,152.
    "hrformer_b": (43_211_777, 13_906_995_600, 708_659_952),
    "hrformer_b_mmpose": (43_211_777, 13_906_995_600, 708_659_952),
    "hrformer_tiny": (478_843, 578_427_504, 22_703_856),
    "transpose_h_a6": (17_160_785, 21_282_324_480, 10_871_635_968),
    "transpose_h_a4": (17_011_217, 17_205_460_992, 7_247_757_312),
    "transpose_h_s": (7_822_673, 9_928_900_608, 4_831_838_208),
    "transpose_tiny": (210_753, 1_083_408_384, 603_979_776),
    "tokenpose_l_d24": (27_482_400, 12_193_145_856, 686_859_264),
    "tokenpose_tiny": (463_840, 133_555_776, 3_779_136),
    "swin_pose_b": (93_040_585, 18_960_821_248, 420_424_704),
    "swin_pose_b_pyramid": (89_602_249, 20_348_087_296, 420_424_704),
    "swin_pose_tiny": (461_468, 96_032_192, 13_368_768),
    # 12 of 48 mask patches are visible. The depthwise convolutions of the encoders are computed as shifted sums, which
    # are not counted.
    "mae_b0": (19_623_008, 817_102_848, 11_722_752),
    "mae_b1": (31_486_656, 1_130_496_000, 14_008_320),
    "mae_b2": (42_531_520, 1_503_019_008, 17_989_632),
    "mae_b3": (62_407_360, 2_185_740_288, 22_413_312),
    "mae_b4": (79_177_920, 2_840_125_440, 28_090_368),
    "mae_b5": (99_778_240, 3_508_568_064, 31_703_040),
    "mae_tiny": (15_772_336, 720_365_568, 10_008_576),
}


def measure(name: str, keypoints: int = 17) -> tuple[int, int, int]:
    masked = name.startswith("mae")
    model = networks.build(name, **({} if masked else {"keypoints": keypoints}))
    size = (128, 96) if name == "tokenpose_tiny" else (256, 192)
    inputs = [jnp.zeros((1, *size, 3)), *([jnp.zeros((1, 12), int)] if masked else [])]
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    return parameters, *multiply_adds.count(lambda variables: model.apply(variables, *inputs), variables)


def test_every_variant_is_listed():
    assert set(networks.NAMES) == SIZES.keys()


@pytest.mark.parametrize("name", networks.NAMES)
def test_parameters_and_multiply_adds(name):
    assert measure(name) == SIZES[name]


def test_more_keypoints_enlarge_the_last_layer_only():
    parameters, total, attention = measure("aggpose_l", keypoints=21)
    assert parameters == 96_752_085 == SIZES["aggpose_l"][0] + 4 * (64 + 1)
    assert total == SIZES["aggpose_l"][1] + 4 * 64 * 64 * 48
    assert attention == SIZES["aggpose_l"][2]
    assert measure("simple_baseline_152", keypoints=21)[0] == 68_636_501 == SIZES["simple_baseline_152"][0] + 4 * 257


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("hrnet_w32", 28_536_245),
        ("hrnet_w48", 63_595_941),
        ("hrformer_b", 43_212_093),
        ("transpose_h_a6", 17_456_085 - 64 * 48 * 96),  # The published counts include the fixed positions.
        ("tokenpose_l_d24", 27_532_320 - 16 * 16 * 192),
        ("swin_pose_b", 93_041_613),
        ("swin_pose_b_pyramid", 89_603_277),
    ],
)
def test_parameters_with_21_keypoints(name, parameters):
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes(name, keypoints=21))) == parameters


def test_multiply_adds_of_published_networks():
    for name, total, without_attention in (("aggpose_l", 15.56, 14.96), ("aggpose_s", 7.29, 6.91)):
        _, count, attention = SIZES[name]
        assert round(count / 1e9, 2) == total
        assert round((count - attention) / 1e9, 2) == without_attention


def test_an_unknown_network_is_an_error():
    with pytest.raises(UserError, match=r"model\.name.*aggpose_xl.*aggpose_l"):
        networks.build("aggpose_xl", keypoints=17)


def test_fields_override_those_of_the_variant():
    model = networks.build("aggpose_s", keypoints=3, widths=(4, 8, 10, 16), drop_path=0.5)
    assert (model.keypoints, model.widths, model.drop_path) == (3, (4, 8, 10, 16), 0.5)
    assert model.depths == networks.build("aggpose_s", keypoints=3).depths


def test_a_field_that_a_network_lacks_may_have_its_default_or_be_off():
    for rate in (0.1, 0.0):
        assert networks.build("hrnet_tiny", keypoints=3, drop_path=rate) == networks.build("hrnet_tiny", keypoints=3)
    with pytest.raises(UserError, match=r"model\.drop_path: .*0\.2.*hrnet_tiny"):
        networks.build("hrnet_tiny", keypoints=3, drop_path=0.2)


def test_counted_multiply_adds_equal_numbers_computed_by_hand():
    x, image = jnp.zeros((4, 3, 5)), jnp.zeros((2, 6, 6, 8))
    kernel, grouped = jnp.zeros((3, 3, 8, 10)), jnp.zeros((3, 3, 2, 8))

    def convolve(k, groups, stride):
        return lax.conv_general_dilated(
            image, k, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
        )

    assert multiply_adds.count(lambda: x @ jnp.zeros((5, 7))) == (4 * 3 * 5 * 7, 0)
    assert multiply_adds.count(lambda: jnp.einsum("bij,bkj->bik", x, x)) == (4 * 3 * 3 * 5,) * 2
    assert multiply_adds.count(lambda: convolve(kernel, 1, 2)) == (2 * 3 * 3 * 10 * 9 * 8, 0)
    assert multiply_adds.count(lambda: convolve(grouped, 4, 1)) == (2 * 6 * 6 * 8 * 9 * 2, 0)
    layers = jnp.zeros((6, 5, 5))
    assert multiply_adds.count(lambda: lax.scan(lambda c, w: (jax.jit(jnp.dot)(c, w), None), x, layers)) == (
        6 * 12 * 25,
        0,
    )
    assert multiply_adds.count(lambda: lax.cond(x.sum() > 0, lambda: x @ layers[0], lambda: x)) == (12 * 25, 0)


@pytest.mark.parametrize(
    ("name", "visible_count", "encoder_ratio", "with_decoder_ratio"),
    [("b2", 12, 0.242, 0.474), ("b2", 19, 0.386, 0.626), ("b5", 12, 0.244, 0.309), ("b5", 19, 0.388, 0.456)],
)
def test_ratio_of_multiply_adds_to_a_full_encoder(name, visible_count, encoder_ratio, with_decoder_ratio):
    images, visible = jnp.zeros((1, 256, 192, 3)), jnp.zeros((1, visible_count), int)
    encoder = mit.MixTransformer(*mit.VARIANTS[name])
    params = jax.eval_shape(lambda: encoder.init(jax.random.key(0), images))
    full, _ = multiply_adds.count(lambda params: encoder.apply(params, images), params)

    def encode(params):
        return mae.encode_visible(functools.partial(encoder.apply, params), images, visible, train=False, dense=False)

    masked, _ = multiply_adds.count(encode, params)
    levels = zip(mit.STRIDES, *mit.VARIANTS[name], strict=True)
    masked += sum(9 * mit.EXPANSION * c * depth * visible_count * (32 // s) ** 2 for s, c, depth in levels)  # depthwise
    assert masked / full == pytest.approx(encoder_ratio, abs=5e-4)

    model = networks.build(f"mae_{name}")
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), images, visible))["params"]
    autoencoder, _ = multiply_adds.count(lambda params: model.apply({"params": params}, images, visible), params)
    without_depthwise, _ = multiply_adds.count(encode, {"params": params["encoder"]})
    assert (masked + autoencoder - without_depthwise) / full == pytest.approx(with_decoder_ratio, abs=5e-4)
