"""Reports of a run: log lines on standard output, metrics.jsonl, TensorBoard events, pictures and curves."""

import json
import pathlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import jax
import matplotlib
import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

matplotlib.use("Agg")  # matplotlib draws to files only and needs no display
from matplotlib import pyplot

from aggpose_jax import io
from aggpose_jax.runtime import distributed


class Reporter:
    """Writes the log lines, metrics and pictures of a run.

    Args:
      workdir: folder of the run, where metrics.jsonl, tensorboard/, pictures/ and curves.png are written.
      metric: metric of the evaluations that curves.png shows beside the training loss.
    """

    def __init__(self, workdir: pathlib.Path, metric: str):
        self.workdir = workdir
        self._curves = {"train/loss": "log", f"eval/{metric}": "linear"}  # {metric: scale of the y axis}
        self._metrics = workdir / "metrics.jsonl"
        self._events = SummaryWriter(str(workdir / "tensorboard"))
        self._started = time.perf_counter()

    def log(self, text: str) -> None:
        """Prints a line with the seconds since the start and the text, unbuffered and above a progress bar."""
        tqdm.write(f"[{time.perf_counter() - self._started:6.1f} s] {text}", file=sys.stdout)
        sys.stdout.flush()

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends the metrics of a step to metrics.jsonl and TensorBoard."""
        with self._metrics.open("a") as file:
            file.write(io.to_json({"step": step, **{name: float(value) for name, value in metrics.items()}}) + "\n")
        for name, value in metrics.items():
            self._events.add_scalar(name, float(value), step)

    def text(self, name: str, text: str) -> None:
        """Adds a text, such as the configuration, to the TensorBoard events of the run."""
        self._events.add_text(name, text)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes an RGB image [H, W, 3] of a step as pictures/NAME_STEP.png in the workdir, and to TensorBoard."""
        folder = self.workdir / "pictures"
        folder.mkdir(exist_ok=True)
        pyplot.imsave(folder / f"{name}_{step}.png", image)
        self._events.add_image(name, image, step, dataformats="HWC")

    def curves(self) -> None:
        """Draws the loss and the metric over all steps in metrics.jsonl, also those before a restart, as curves.png."""
        curves: defaultdict[str, dict[int, float]] = defaultdict(dict)  # {metric: {step: value}}
        for line in self._metrics.read_text().splitlines():
            try:
                metrics = json.loads(line)
            except ValueError:  # the line was truncated because the disk was full
                continue
            for name in self._curves:
                if metrics.get(name) is not None:  # null is a number that was not finite
                    curves[name][metrics["step"]] = metrics[name]
        figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
        for axis, (name, scale) in zip(axes, self._curves.items(), strict=True):
            axis.plot(*zip(*sorted(curves[name].items()), strict=True) if curves[name] else ((), ()), marker=".")
            axis.set(title=name, xlabel="step", yscale=scale)
            axis.grid(alpha=0.3)
        figure.savefig(self.workdir / "curves.png")
        pyplot.close(figure)

    def close(self) -> None:
        """Closes the TensorBoard event file."""
        self._events.close()


class NullReporter(Reporter):
    """A reporter that prints and writes nothing, for all processes but the first."""

    def __init__(self, workdir: pathlib.Path):
        self.workdir = workdir

    def log(self, text: str) -> None:
        """Does nothing."""

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Does nothing."""

    def text(self, name: str, text: str) -> None:
        """Does nothing."""

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Does nothing."""

    def curves(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def open_reporter(workdir: pathlib.Path, metric: str) -> Reporter:
    """Returns the reporter of this process: a `Reporter` in process 0, else a `NullReporter`."""
    return Reporter(workdir, metric) if distributed.is_primary() else NullReporter(workdir)


class Progress:
    """Reports metrics and speed during training: as a progress bar on a terminal, as log lines otherwise.

    The time of evaluations is left out.

    Args:
      reporter: gets a log line and metrics every `log_steps` steps.
      start, total: number of steps taken at the start, and of the last step.
      batch_size: images in a step.
      log_steps: steps between two log lines.
      schedule: learning rate by number of steps taken.
    """

    def __init__(
        self,
        reporter: Reporter,
        start: int,
        total: int,
        batch_size: int,
        log_steps: int,
        schedule: Callable[[int], float],
    ):
        self._reporter, self._total, self._schedule = reporter, total, schedule
        self._batch_size, self._log_steps = batch_size, log_steps
        bar = sys.stdout.isatty() and distributed.is_primary()
        self._bar = tqdm(initial=start, total=total, unit="step", disable=not bar, file=sys.stdout)
        self.restart()

    def restart(self) -> None:
        """Starts a new interval between log lines: discards the metrics and times since the last one."""
        self._metrics: list[Mapping[str, jax.Array]] = []
        self._waited, self._started = 0.0, time.perf_counter()

    def wait(self, fetch):
        """Returns `fetch()`, the next batch, and counts the time of the call as data wait."""
        started = time.perf_counter()
        value = fetch()
        self._waited += time.perf_counter() - started
        return value

    def step(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Stores the metrics of a step; reports their means every `log_steps` steps."""
        if self._metrics:
            jax.block_until_ready(self._metrics[-1])  # so that at most one step runs while the next batch is made
        self._metrics.append(metrics)
        self._bar.update()
        if step % self._log_steps == 0:
            self._report(step)
            self.restart()

    def _report(self, step: int) -> None:
        means = {name: float(np.mean([m[name] for m in self._metrics])) for name in self._metrics[0]}
        seconds = time.perf_counter() - self._started
        speed = len(self._metrics) * self._batch_size / seconds
        data_wait = self._waited / seconds
        self._reporter.log_metrics(
            step,
            {
                **{f"train/{name}": value for name, value in means.items()},
                "train/learning_rate": self._schedule(step - 1),
                "train/images_per_second": speed,
                "train/waiting_for_data": data_wait,
            },
        )
        eta = (self._total - step) * self._batch_size / speed
        text = ", ".join(f"{name} {value:.3g}" for name, value in means.items())
        text += f", {speed:.0f} images/s, data wait {data_wait:.0%}"
        self._bar.set_postfix_str(text, refresh=False)
        if self._bar.disable:
            self._reporter.log(f"step {step}/{self._total}: {text}, {_duration(eta)} remaining")

    def close(self) -> None:
        """Closes the progress bar at the end of training."""
        self._bar.close()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def table(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> str:
    """Returns metrics as an aligned text table with one row for each name; missing values stay blank."""
    width = max(len(name) for name in rows)
    lines = [" " * width + "".join(f"{column:>9}" for column in columns)]
    for name, metrics in rows.items():
        cells = (f"{metrics[column]:9.3f}" if column in metrics else " " * 9 for column in columns)
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def parameter_table(params, decayed, frozen) -> str:
    """Returns a text table with the number of parameters of each module, and how many are decayed and frozen.

    Args:
      params: tree of arrays or shapes.
      decayed, frozen: trees of bool with the structure of `params`; frozen parameters do not count as decayed.
    """
    rows: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(3, np.int64))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for (path, leaf), decays, is_frozen in zip(leaves, jax.tree.leaves(decayed), jax.tree.leaves(frozen), strict=True):
        counts = leaf.size * np.array([1, decays and not is_frozen, is_frozen])
        rows[path[0].key] += counts
        rows["all"] += counts
    ordered = [*sorted(name for name in rows if name != "all"), "all"]
    lines = [f"{'module':<14}{'parameters':>14}{'decayed':>14}{'frozen':>14}"]
    lines += [f"{name:<14}" + "".join(f"{count:>14,}" for count in rows[name]) for name in ordered]
    return "\n".join(lines)
