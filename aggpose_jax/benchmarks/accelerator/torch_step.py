"""The part "torch": the training step of AggPose-L in PyTorch beside that of this package, on the same device."""

import contextlib
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from aggpose_jax.benchmarks import peers, timing
from aggpose_jax.benchmarks.accelerator.markdown import table
from aggpose_jax.benchmarks.accelerator.part import Budget, Content, LeftOut, Setting, one_line
from aggpose_jax.benchmarks.accelerator.program import random_batch, trainer_of_step
from aggpose_jax.benchmarks.measurements import OUT_OF_MEMORY
from aggpose_jax.runtime import sharding
from aggpose_jax.training.trainer import Trainer

OURS, EAGER, COMPILED = "aggpose_jax", "PyTorch", "PyTorch, torch.compile"
ROUNDS, TINY_ROUNDS = 9, 2
TINY = {"name": "aggpose_demo", "input_size": (64, 64), "batch_size": 2}


def measure(setting: Setting, budget: Budget, earlier: Mapping[str, Content]) -> Content:
    """Returns "rows": the times of each program, called in turn, and how many times as long PyTorch takes.

    Raises:
      LeftOut: PyTorch is not installed, or does not see the device.
    """
    device = _device()
    trainer = trainer_of_step(TINY if setting.tiny else {})
    functions: dict[str, Callable[[], None]] = {OURS: _our_step(trainer)}
    notes: list[Content] = []
    names = [EAGER] if setting.tiny else [EAGER, COMPILED]  # torch.compile takes a minute, however small the network.
    for name in budget.items(names):
        try:
            with _interrupted_after(budget.left()):
                step = TorchStep(trainer, device, compiled=name == COMPILED)
                step()
            functions[name] = step
        except Exception as error:  # PyTorch has a type of its own for each device's errors.
            memory = OUT_OF_MEMORY in str(error).lower()
            notes.append({"name": name, "note": OUT_OF_MEMORY if memory else one_line(error)})
    times = timing.in_turn(functions, TINY_ROUNDS if setting.tiny else ROUNDS)
    rows: list[Content] = [{"name": name, "times": seconds} for name, seconds in times.items()]
    for row in rows[1:]:
        row["slower"] = timing.ratio(row["times"], times[OURS])._asdict()
    return {"batch": trainer.config.batch_size, "network": trainer.config.model.name, "rows": rows + notes}


@contextlib.contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    """Interrupts the block by a TimeoutError after some seconds; torch.compile may take minutes."""

    def interrupt(*_: object) -> None:
        raise TimeoutError("there was no time to compile it")

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _device() -> Any:
    try:
        import torch
    except ImportError:
        raise LeftOut("PyTorch is not installed") from None
    platform = jax.devices()[0].platform
    if platform != "cpu" and not torch.cuda.is_available():
        raise LeftOut(f"PyTorch {torch.__version__} sees no CUDA device")
    return torch.device("cpu" if platform == "cpu" else "cuda")


def _our_step(trainer: Trainer) -> Callable[[], None]:
    batch = sharding.put_batch(random_batch(trainer), trainer.mesh)
    holder = [trainer.new_state()]

    def step() -> None:
        holder[0], *_ = trainer.step(holder[0], batch)
        jax.block_until_ready(holder[0])

    return step


class TorchStep:
    """A training step of the twin in bfloat16: forward, mean squared error, backward and AdamW.

    Args:
      trainer: the trainer whose network, batch size and learning rate it has.
      device: the torch.device.
      compiled: whether torch.compile compiles the network.
    """

    def __init__(self, trainer: Trainer, device: Any, compiled: bool):
        import torch

        self._torch, self._device = torch, device
        model, count = trainer.task.pose_model, trainer.config.batch_size
        variables = jax.device_get(jax.jit(trainer.task.init)(jax.random.key(0)))
        self._twin = peers.make_twin(model, variables).train().to(device)
        self._optimizer = torch.optim.AdamW(self._twin.parameters(), trainer.config.learning_rate, fused=True)
        self._forward = self._twin
        images = torch.randn((count, 3, *model.codec.input_size), device=device)
        self._targets = torch.rand((count, len(model.keypoint_set), *model.codec.heatmap_size), device=device)
        layouts = (torch.contiguous_format, torch.channels_last)
        self._images = min((images.to(memory_format=layout) for layout in layouts), key=self._second_time)
        if compiled:
            self._forward = torch.compile(self._twin)

    def __call__(self) -> None:
        self._step(self._images)

    def _step(self, images: Any) -> None:
        torch = self._torch
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16):
            heatmaps = self._forward(images)
        ((heatmaps.float() - self._targets) ** 2).mean().backward()
        self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def _second_time(self, images: Any) -> float:
        self._step(images)
        start = time.perf_counter()
        self._step(images)
        return time.perf_counter() - start


def describe(content: Content) -> list[str]:
    """Returns the programs as a table."""
    rows = [_cells(row, content["batch"]) for row in content["rows"]]
    return [
        f"A training step of {content['network']} in bfloat16 with {content['batch']} images, the programs called "
        "in turn. PyTorch has the faster of its memory layouts.",
        "",
        *table(("program", "ms", "images/s", "times as long as ours"), rows),
    ]


def _cells(row: Content, batch: int) -> tuple[str, ...]:
    if "note" in row:
        return row["name"], row["note"], "", ""
    seconds, slower = statistics.median(row["times"]), row.get("slower")
    ratio = f"{slower['median']:.2f} ({slower['low']:.2f}–{slower['high']:.2f})" if slower else ""
    return row["name"], f"{1e3 * seconds:.1f}", f"{batch / seconds:.1f}", ratio
