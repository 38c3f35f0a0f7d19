"""Measures the forward pass of every published network, and of ResNet-152 and Swin-B beside torchvision's.

PYTHONPATH=. python tests/endurance/forward_times.py [REPETITIONS]

Run it on a quiet machine. It needs torchvision. Each measurement is the median time for one crop of 256×192 in float32,
the programs in turn, and the number of lines of the network's file is printed beside it.
"""

import inspect
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchvision

from aggpose_jax import networks

NAMES = (
    *("aggpose_s", "aggpose_l", "simple_baseline_152", "hrnet_w32", "hrnet_w48", "hrformer_b", "transpose_h_a6"),
    *("tokenpose_l_d24", "swin_pose_b", "swin_pose_b_pyramid"),
)
SIZE = (256, 192)


class PoseTwin(torch.nn.Module):
    """An encoder of torchvision with the deconvolution head of SimpleBaseline."""

    def __init__(self, encoder: torch.nn.Module, channels: int, channels_last: bool):
        super().__init__()
        layers: list[torch.nn.Module] = []
        for inputs in (channels, 256, 256):
            layers += [torch.nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False), torch.nn.BatchNorm2d(256)]
            layers.append(torch.nn.ReLU(inplace=True))
        self.encoder, self.channels_last = encoder, channels_last
        self.head = torch.nn.Sequential(*layers, torch.nn.Conv2d(256, 17, 1))

    def forward(self, images):
        features = self.encoder(images)
        return self.head(features.permute(0, 3, 1, 2) if self.channels_last else features)


def twins() -> dict[str, PoseTwin]:
    """Returns the networks of PyTorch by the names of ours, in evaluation mode."""
    resnet = torch.nn.Sequential(*list(torchvision.models.resnet152().children())[:-2])
    swin = torchvision.models.swin_b()
    swin = torch.nn.Sequential(swin.features, swin.norm)
    return {
        "simple_baseline_152": PoseTwin(resnet, 2048, False).eval(),
        "swin_pose_b": PoseTwin(swin, 1024, True).eval(),
    }


def ours(name: str):
    """Returns a function that runs a network once on a crop."""
    model = networks.build(name, keypoints=17)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *SIZE, 3))))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda a: jnp.asarray(rng.uniform(0.01, 0.02, a.shape), jnp.float32), shapes)
    image = jnp.asarray(rng.standard_normal((1, *SIZE, 3)), jnp.float32)
    forward = jax.jit(model.apply)
    return lambda: forward(variables, image).block_until_ready()


def theirs(twin: PoseTwin):
    """Returns a function that runs a network of PyTorch once on a crop."""
    image = torch.randn(1, 3, *SIZE)

    def forward():
        with torch.inference_mode():
            twin(image)

    return forward


def measure(functions: dict, repetitions: int) -> dict[str, float]:
    """Returns the median times of functions in milliseconds, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repetition in range(repetitions + 2):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repetition >= 2:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main(repetitions: str = "10") -> None:
    """Prints a table of the networks: the lines of their file, their time, and that of PyTorch where there is one."""
    torch.set_num_threads(2)
    beside = twins()
    print("| network | lines | ms | PyTorch eager ms | ratio |\n| --- | --- | --- | --- | --- |")
    for name in NAMES:
        functions = {"ours": ours(name)} | ({"theirs": theirs(beside[name])} if name in beside else {})
        found = measure(functions, int(repetitions))
        lines = len(inspect.getsource(sys.modules[networks.find(name).module.__module__]).splitlines())
        other = f"{found['theirs']:.0f} | {found['theirs'] / found['ours']:.2f}" if "theirs" in found else "- | -"
        print(f"| {name} | {lines} | {found['ours']:.0f} | {other} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
