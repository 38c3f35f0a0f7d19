"""Measures the training step of an experiment, beside the same step in PyTorch."""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections

from aggpose_jax.benchmarks import peers, timing
from aggpose_jax.benchmarks.measurements import OUT_OF_MEMORY, Measurement
from aggpose_jax.benchmarks.programs import compile_program, is_out_of_memory
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.runtime import sharding
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.trainer import Trainer

COMPARED = ("torch", "torch-compile")  # the peers that can train


def measure(config: ml_collections.ConfigDict, compared: list[str]) -> list[Measurement]:
    """Measures a training step on one batch of the data of an experiment.

    Args:
      config: the experiment. Its step is that of training: with augmentation of colours, gradient clipping, AdamW and
        averaging as configured.
      compared: names of peers; those that cannot train are left out.

    Raises:
      UserError: the data or the configuration is invalid.
    """
    mesh = sharding.make_mesh(config.mesh.fsdp)
    trainer = Trainer(make_task(config), config, mesh)
    batch = sharding.put_batch(next(trainer.task.train_batches(0)), mesh)
    state, size = trainer.new_state(), config.batch_size
    name = f"training step, {size} images"
    try:
        program, cost = compile_program(trainer.step, state, batch)
        holder = [state]

        def step() -> None:
            holder[0], *_ = program(holder[0], batch)
            jax.block_until_ready(holder[0])

        functions: dict[str, Callable[[], object]] = {"": step}
        rows = []
        for peer in [one for one in compared if one in COMPARED]:
            try:
                functions[peer] = _torch_step(trainer, state, size, peer == "torch-compile")
            except peers.Unavailable as error:
                rows.append(Measurement(peer, note=str(error)))
        times = timing.in_turn(functions)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return [Measurement(name, size, note=OUT_OF_MEMORY)]
    ours = Measurement(name, size, times.pop(""), cost, config.model.dtype)
    others = [
        Measurement(f"{name}, {peer}", size, seconds, slower=timing.ratio(seconds, ours.seconds))
        for peer, seconds in times.items()
    ]
    return [ours, *others, *rows]


def _torch_step(trainer: Trainer, state: Any, size: int, compiled: bool) -> Callable[[], object]:
    """Returns a training step of the twin: forward, the mean squared error, backward, and AdamW.

    Raises:
      Unavailable: PyTorch is not installed, or there is no twin of the network.
    """
    try:
        import torch
    except ImportError:
        raise peers.Unavailable(f"torch is not installed; {peers.ADVICE}") from None
    if not isinstance(getattr(trainer.task, "pose_model", None), PoseModel):
        raise peers.Unavailable("PyTorch has no masked autoencoder to compare with")
    model = trainer.task.pose_model
    torch.set_num_threads(peers.threads())
    twin = peers.make_twin(model, jax.device_get(state.variables)).train()
    optimizer = torch.optim.AdamW(twin.parameters(), trainer.config.learning_rate, fused=True)
    forward = torch.compile(twin) if compiled else twin
    height, width = model.codec.input_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((size, 3, height, width), generator=generator)
    targets = torch.rand((size, len(model.keypoint_set), *model.codec.heatmap_size), generator=generator)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        ((forward(images) - targets) ** 2).mean().backward()
        optimizer.step()

    return step
