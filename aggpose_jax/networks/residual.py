"""Convolutions with BatchNorm and the residual blocks that are made of them (He et al. 2016)."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from aggpose_jax.networks.batch_norm import BatchNorm

EXPANSION = 4  # ratio of a bottleneck's output channels to the channels of its 3×3 convolution
SHORTCUT = {"shortcut_conv": "downsample.0", "shortcut_bn": "downsample.1"}  # names of modules in PyTorch


def convolution(features: int, kernel: int, stride: int, init: Callable, dtype: Any, name: str) -> nn.Conv:
    """Returns a convolution without bias, padded by half its kernel size on every side."""
    return nn.Conv(
        features,
        (kernel, kernel),
        strides=stride,
        padding=kernel // 2,
        use_bias=False,
        dtype=dtype,
        kernel_init=init,
        name=name,
    )


class ResidualBlock(nn.Module):
    """What residual blocks have in common: [B, H, W, C] → [B, H / stride, W / stride, width].

    Attributes:
      planes: channels of the 3×3 convolutions.
      train: normalise with the statistics of the batch instead of the running statistics.
      stride: stride of the first 3×3 convolution.
      projected: the shortcut is a 1×1 convolution with this stride; otherwise it is the input.
      init: initialisation of the kernels.
      dtype: type of activations and products.
    """

    planes: int
    train: bool
    stride: int = 1
    projected: bool = False
    init: Callable = nn.initializers.normal(0.001)
    dtype: Any = jnp.float32

    def conv_bn(self, x, features: int, kernel: int, stride: int, conv: str, bn: str):
        """Returns x after a convolution and a BatchNorm, whose names are `conv` and `bn`."""
        x = convolution(features, kernel, stride, self.init, self.dtype, conv)(x)
        return BatchNorm(name=bn)(x, not self.train)

    def add_shortcut(self, x, y):
        """Returns the output of the block from its input x and the result y of its convolutions."""
        if self.projected:
            x = self.conv_bn(x, y.shape[-1], 1, self.stride, "shortcut_conv", "shortcut_bn")
        return nn.relu(x + y)


class BasicBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions, whose width is `planes`, with the attributes of `ResidualBlock`."""

    @nn.compact
    def __call__(self, x):
        y = nn.relu(self.conv_bn(x, self.planes, 3, self.stride, "conv1", "bn1"))
        return self.add_shortcut(x, self.conv_bn(y, self.planes, 3, 1, "conv2", "bn2"))


class Bottleneck(ResidualBlock):
    """A residual block of three convolutions, whose width is 4 · planes, with the attributes of `ResidualBlock`."""

    @nn.compact
    def __call__(self, x):
        y = nn.relu(self.conv_bn(x, self.planes, 1, 1, "conv1", "bn1"))
        y = nn.relu(self.conv_bn(y, self.planes, 3, self.stride, "conv2", "bn2"))
        return self.add_shortcut(x, self.conv_bn(y, EXPANSION * self.planes, 1, 1, "conv3", "bn3"))
