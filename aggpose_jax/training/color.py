"""Colour jitter of crops; it runs on the accelerator, where it is cheapest."""

import jax
import jax.numpy as jnp

STRENGTH = 0.3  # brightness, contrast and saturation are multiplied by factors in 1 ± STRENGTH
HUE = 0.1  # largest hue shift, ±, as a fraction of the colour circle
GREY = (0.299, 0.587, 0.114)  # luma weights of red, green and blue (ITU-R BT.601)


def jitter(rng: jax.Array, image: jax.Array, probability: float) -> jax.Array:
    """Returns the images [B, H, W, 3] with brightness, contrast, saturation and hue changed at random.

    The factors and the hue shift are drawn for each image, the order of the four changes for each batch.

    Args:
      rng: random key.
      image: [B, H, W, 3] RGB in 0…1.
      probability: probability that an image is changed at all.
    """
    order_rng, apply_rng, factor_rng, hue_rng = jax.random.split(rng, 4)
    b = image.shape[0]
    factors = jax.random.uniform(factor_rng, (3, b, 1, 1, 1), minval=1 - STRENGTH, maxval=1 + STRENGTH)
    shift = jax.random.uniform(hue_rng, (b, 1, 1), minval=-HUE, maxval=HUE)
    changes = [
        lambda x: x * factors[0],
        lambda x: _blend(x, _grey(x).mean((1, 2), keepdims=True), factors[1]),
        lambda x: _blend(x, _grey(x), factors[2]),
        lambda x: shift_hue(x, shift),
    ]
    changed = image
    for change in jax.random.permutation(order_rng, len(changes)):
        changed = jnp.clip(jax.lax.switch(change, changes, changed), 0, 1)
    return jnp.where(jax.random.bernoulli(apply_rng, probability, (b, 1, 1, 1)), changed, image)


def _grey(image):
    return (image * jnp.array(GREY, image.dtype)).sum(-1, keepdims=True)


def _blend(image, other, factor):
    return other + factor * (image - other)


def shift_hue(image: jax.Array, shift: jax.Array) -> jax.Array:
    """Returns RGB images 0…1 [B, H, W, 3] with their HSV hue shifted by `shift` [B, 1, 1], in colour circles."""
    value, low = image.max(-1), image.min(-1)
    chroma = value - low
    safe = jnp.where(chroma > 0, chroma, 1.0)
    red, green, blue = jnp.moveaxis(image, -1, 0)
    sextant = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    # As a function of hue, each channel is a trapezoid, shifted by two sextants from the next channel.
    offsets = (sextant + 6 * shift)[..., None] + jnp.array([5.0, 3.0, 1.0])
    ramp = offsets - 6 * jnp.floor(offsets / 6)  # modulo 6: on CPU, jnp.mod calls a scalar function for every pixel
    return value[..., None] - chroma[..., None] * jnp.clip(jnp.minimum(ramp, 4 - ramp), 0, 1)
