"""Measures a training step of masked pretraining beside a full encode."""

import functools
from collections.abc import Callable, Sequence

import jax

from aggpose_jax import networks
from aggpose_jax.benchmarks import timing
from aggpose_jax.benchmarks.measurements import Measurement
from aggpose_jax.benchmarks.programs import compile_program
from aggpose_jax.errors import UserError
from aggpose_jax.networks import barriers, mae, mask_patches, mit

MASKED_SIZE, MASK_RATIO = (256, 192), 0.75


def masked_steps(network: str, batch: int) -> dict[str, tuple[Callable, dict]]:
    """Returns functions that run a forward and a backward pass, with the parameters that they take, by name.

    They are an encode of the full image without a mask, the masked full encode, the encode of the visible patches only,
    and the complete autoencoder, which encodes the visible patches only.

    Args:
      network: name of a Mix Transformer, a key of `mit.VARIANTS`.
      batch: number of images.
    """
    rng = jax.random.key(0)
    images = jax.random.normal(rng, (batch, *MASKED_SIZE, 3))
    count = MASKED_SIZE[0] // mask_patches.PATCH * (MASKED_SIZE[1] // mask_patches.PATCH)
    visible = mask_patches.draw_visible(rng, batch, count, round((1 - MASK_RATIO) * count))
    model = networks.build(f"mae_{network}")
    params = jax.jit(model.init)(rng, images[:1], visible[:1])["params"]
    encoder = mit.MixTransformer(model.widths, model.depths, 0.0)

    def apply(params, images, train, grid=mit.FULL):
        return encoder.apply({"params": params["encoder"]}, images, train, grid, rngs={"drop_path": rng})

    def predict(params):
        return model.apply({"params": params}, images, visible, True, rngs={"drop_path": rng})

    def total(levels):
        # The features are normalised, so their plain sum would be constant and its gradient zero.
        return sum((level**3).sum() for level in levels)

    def encode(dense):
        return lambda params: total(mae.encode_visible(functools.partial(apply, params), images, visible, True, dense))

    losses = {
        "full encode": lambda params: total(apply(params, images, True)),
        "masked full encode": encode(dense=True),
        "visible-patch encode": encode(dense=False),
        "autoencoder": lambda params: mae.masked_mse(predict(params), mae.pixel_targets(images), visible),
    }
    return {name: (barriers.jit(jax.grad(loss)), params) for name, loss in losses.items()}


def measure(names: Sequence[str], batch: int) -> list[Measurement]:
    """Measures each function of `masked_steps` in turn with a full encode.

    Args:
      names: of Mix Transformers, keys of `mit.VARIANTS`.
      batch: number of images in a step.

    Raises:
      UserError: a name is unknown.
    """
    for name in names:
        if name not in mit.VARIANTS:
            raise UserError(f"--networks: {name} is not a Mix Transformer. Choose from {', '.join(mit.VARIANTS)}.")
    return [row for name in names for row in _measure_network(name, batch)]


def _measure_network(name: str, batch: int) -> list[Measurement]:
    functions, costs = {}, {}
    for step, (function, params) in masked_steps(name, batch).items():
        program, costs[step] = compile_program(function, params)
        functions[step] = functools.partial(_run, program, params)
    times = timing.in_turn(functions)
    full = times["full encode"]
    return [
        Measurement(f"{name}, {step}", batch, seconds, costs[step],
                    slower=None if seconds is full else timing.ratio(seconds, full))
        for step, seconds in times.items()
    ]  # fmt: skip


def _run(program: Callable, params: dict) -> None:
    jax.block_until_ready(program(params))
