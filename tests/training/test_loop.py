"""The loop with a task of two parameters, whose every step and score is known."""

import itertools
import json
import os
import signal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.config import default_config
from aggpose_jax.errors import UserError
from aggpose_jax.training import checkpoint, loop
from aggpose_jax.training.reliability import Preempted, preemption

APS = {2: 0.1, 4: 0.5, 6: 0.5, 8: 0.4, 10: 0.9, 12: 0.2}  # by step; an equal one is not a better one


class Clock:
    """The parameter `clock` falls by the learning rate, 1, in each step; x is 1 but where `x` says otherwise."""

    metric, lower_is_better, summary = "AP", False, ("AP",)
    train_source = eval_source = ()
    steps_per_epoch = 2.0

    def __init__(self, x: dict[int, float] | None = None, killed_at: int = 0):
        self._x, self._killed_at = x or {}, killed_at

    def init(self, rng):
        return {"params": {"clock": jnp.zeros(3), "head": {"w": jnp.ones(())}}}

    def loss(self, variables, batch, rng):
        params = variables["params"]
        chance = jax.random.uniform(rng) * jnp.mean(params["clock"])
        loss = params["clock"].sum() + jnp.sqrt(jnp.mean(batch["x"]) * (2 + jnp.cos(params["head"]["w"]))) + 0 * chance
        return loss, ({"loss": loss}, {})

    def train_batches(self, start):
        for step in itertools.count(start + 1):
            if step == self._killed_at:
                raise KeyboardInterrupt
            yield {"x": np.full(4, self._x.get(step, 1.0), np.float32), "id": np.arange(4), "valid": np.ones(4)}

    def evaluate(self, variables, mesh, before_batch):
        before_batch()
        return SimpleNamespace(metrics={"AP": APS.get(-round(float(variables["params"]["clock"][0])), 0.0)})

    def describe(self):
        return "a clock"

    def batch_pictures(self, batch):
        return {}

    def evaluation_pictures(self, variables, mesh, result):
        return {}


class Normalised(Clock):
    """A clock with batch statistics: a running mean of x."""

    def init(self, rng):
        return {**super().init(rng), "batch_stats": {"mean": jnp.zeros(())}}

    def loss(self, variables, batch, rng):
        loss, (metrics, _) = super().loss(variables, batch, rng)
        mean = 0.9 * variables["batch_stats"]["mean"] + 0.1 * batch["x"].mean()
        return loss, (metrics, {"batch_stats": {"mean": mean}})


@pytest.fixture
def train(tmp_path, monkeypatch):
    """A function that trains a task in a folder of its own name and returns the folder."""

    def run(task: Clock, name: str = "run", **changes):
        config = default_config()
        config.update({"batch_size": 4, "steps": 12, "learning_rate": 1.0, "weight_decay": 0.0, "eval_epochs": 1.0})
        config.update({"decay_epochs": (), "log_steps": 1, "checkpoint_steps": 1} | changes)
        monkeypatch.setattr(loop, "make_task", lambda config: task)
        loop.train(config, tmp_path / name)
        return tmp_path / name

    return run


def evaluated(workdir) -> list[int]:
    lines = (json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if "eval/AP" in line]


def latest(workdir) -> tuple[int, dict[str, np.ndarray]]:
    """The step of the latest checkpoint and all its arrays."""
    items = {}
    with checkpoint.open_manager(workdir) as manager:
        step = manager.latest_step()
        folders = [path for path in (manager.directory / str(step)).iterdir() if path.is_dir()]
        for name in sorted({path.name for path in folders} - {"metrics"}):
            with checkpoint.ocp.StandardCheckpointer() as checkpointer:
                items[name] = checkpointer.restore(manager.directory / str(step) / name)
    return step, {jax.tree_util.keystr(path): np.asarray(a) for path, a in jax.tree_util.tree_leaves_with_path(items)}


def test_a_run_goes_on_while_a_better_score_comes_in_time(train):
    assert evaluated(train(Clock(), patience=3)) == [2, 4, 6, 8, 10, 12]
    assert evaluated(train(Clock(), "never", patience=0)) == [2, 4, 6, 8, 10, 12]


def test_a_run_stops_without_a_better_score_and_stays_stopped(train, capsys):
    workdir = train(Clock(), patience=2)
    assert evaluated(workdir) == [2, 4, 6, 8]
    assert latest(workdir)[0] == 8
    assert "stopping: 2 evaluations without a better AP" in capsys.readouterr().out
    train(Clock(), patience=2)
    assert latest(workdir)[0] == 8
    with checkpoint.open_manager(workdir) as manager:
        assert manager.best_step() == 4


def test_of_a_metric_that_should_be_low_the_lowest_is_the_best(train):
    task = Clock()
    task.lower_is_better = True
    workdir = train(task, patience=3)  # 0.1 is the lowest and the first
    assert evaluated(workdir) == [2, 4, 6, 8]
    with checkpoint.open_manager(workdir) as manager:
        assert manager.best_step() == 2


@pytest.mark.parametrize("killed_at", [7, 8])
@pytest.mark.parametrize(("task", "average_decay"), [(Clock, 0.0), (Normalised, 0.01)])
def test_a_killed_run_stops_where_it_would_have(train, task, average_decay, killed_at):
    options = {"patience": 2, "accumulate": 2, "average_decay": average_decay}
    whole = train(task(), "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(task(killed_at=killed_at), "killed", **options)
    killed = train(task(), "killed", **options)
    (step, ours), (expected_step, expected) = latest(killed), latest(whole)
    assert step == expected_step == 8
    assert ours.keys() == expected.keys()
    assert all(ours[name].tobytes() == expected[name].tobytes() for name in ours)
    assert ("['ema_batch_stats']['mean']" in ours) == (task is Normalised)


def test_statistics_of_parts_are_announced(train, capsys):
    train(Normalised(), steps=1, accumulate=2)
    assert "batch statistics are those of each of the 2 parts of a batch, of 2 images" in capsys.readouterr().out
    train(Clock(), "without", steps=1, accumulate=2)
    train(Normalised(), "whole", steps=1)
    assert "batch statistics" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("x", "changes", "quantity"),
    [
        ({3: np.inf}, {}, "the loss"),
        ({3: np.nan}, {}, "the loss"),
        ({3: 0.0}, {}, "the gradient of head/w"),  # the slope of a root at 0
        ({3: 0.0}, {"accumulate": 2}, "the gradient of head/w"),
        ({3: np.inf}, {"checkpoint_steps": 2}, "the loss"),  # seen in step 4
    ],
)
def test_a_run_stops_at_the_first_quantity_that_is_not_finite(train, tmp_path, x, changes, quantity):
    with pytest.raises(UserError) as raised:
        train(Clock(x), **{"eval_epochs": 100.0} | changes)
    step, arrays = latest(tmp_path / "run")
    assert step == 2
    assert all(np.isfinite(array).all() for array in arrays.values())
    message = str(raised.value)
    assert message.startswith(f"step 3: {quantity} is not finite; ")
    assert f"{tmp_path / 'run'} keeps the checkpoint of step 2" in message
    assert "\n" not in message


def test_the_last_step_is_looked_at_before_it_is_scored_and_saved(train, tmp_path):
    with pytest.raises(UserError, match="step 12: the loss is not finite"):
        train(Clock({12: np.nan}))
    assert evaluated(tmp_path / "run") == [2, 4, 6, 8, 10]
    assert latest(tmp_path / "run")[0] == 11


@pytest.mark.parametrize(
    ("x", "learning_rate", "quantity"), [({1: np.nan}, 1.0, "the loss"), ({}, 1e20, "the parameter clock")]
)
def test_nothing_finite_was_saved_yet(train, x, learning_rate, quantity):
    with pytest.raises(UserError, match=f"step 1: {quantity} is not finite; no checkpoint was written yet"):
        train(Clock(x), learning_rate=learning_rate)


def test_what_is_frozen_is_not_looked_at(train):
    workdir = train(Clock({3: 0.0}), steps=4, freeze=("head/.*",))  # its gradient is never computed
    assert latest(workdir)[0] == 4


def tell() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Told(Clock):
    """Is told to go while it makes the batch of a step, or evaluates the parameters of one."""

    def __init__(self, in_step: int = 0, in_evaluation: int = 0):
        super().__init__()
        self._in_step, self._in_evaluation = in_step, in_evaluation

    def train_batches(self, start):
        for step, batch in enumerate(super().train_batches(start), start + 1):
            if step == self._in_step:
                tell()
            yield batch

    def evaluate(self, variables, mesh, before_batch):
        if -round(float(variables["params"]["clock"][0])) == self._in_evaluation:
            tell()
        return super().evaluate(variables, mesh, before_batch)


@pytest.mark.parametrize(
    ("told", "saved"),
    [({"in_step": 3}, 3), ({"in_evaluation": 4}, 4), ({"in_step": 6}, 6)],
)
def test_a_run_that_is_told_to_go_loses_no_step_and_goes_on_as_if_it_had_not_been(train, tmp_path, capsys, told, saved):
    options = {"checkpoint_steps": 100, "steps": 6}
    with pytest.raises(Preempted) as raised:
        train(Told(**told), **options)
    assert raised.value.code == preemption.EXIT_CODE == 75
    assert f"saved a checkpoint at step {saved}. Rerun the same command" in capsys.readouterr().out
    assert latest(tmp_path / "run")[0] == saved

    run = train(Clock(), **options)
    assert evaluated(run) == [2, 4, 6]
    (step, ours), (_, expected) = latest(run), latest(train(Clock(), "whole", **options))
    assert step == 6
    assert all(ours[name].tobytes() == expected[name].tobytes() for name in expected)
    with checkpoint.open_manager(run) as manager:
        assert manager.best_step() == 4


def test_the_signal_means_what_it_did_once_a_run_is_over(train):
    before = signal.getsignal(signal.SIGTERM)
    train(Clock(), steps=2)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_step_that_is_not_finite_is_skipped_and_counted(train, capsys):
    x = {2: np.nan, 4: np.inf}
    workdir = train(Clock(x), steps=6, nonfinite="skip", eval_epochs=100.0, average_decay=0.5)
    step, arrays = latest(workdir)
    assert step == 6
    np.testing.assert_allclose(arrays["['params']['clock']"], np.full(3, -4.0), rtol=1e-4)
    assert all(np.isfinite(array).all() for array in arrays.values())
    said = capsys.readouterr().out
    assert "WARNING: step 2: the loss is not finite; the step is skipped, 1 since the start" in said
    assert "WARNING: step 4: the loss is not finite; the step is skipped, 2 since the start" in said
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/skipped"] for line in lines if "train/skipped" in line] == [1, 2]


def test_some_steps_are_traced(train):
    workdir = train(Clock(), steps=4, profile_steps=(2, 3), eval_epochs=100.0)
    assert list((workdir / "profile").rglob("*.xplane.pb"))
    assert not (train(Clock(), "untraced", steps=2) / "profile").exists()


def contents(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_resumed_run_may_be_longer_and_no_other_experiment(train, tmp_path):
    train(Clock(), steps=2)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"run: holds another experiment \(seed 0 there, 1 here\); give another"):
        train(Clock(), steps=4, seed=1)
    assert contents(tmp_path) == before
    assert latest(train(Clock(), steps=4, log_steps=2))[0] == 4


def test_a_checkpoint_of_another_network_is_not_gone_on_from(train, tmp_path):
    class Wider(Clock):
        def init(self, rng):
            return {"params": {"clock": jnp.zeros(4), "head": {"w": jnp.ones(())}}}

    workdir = train(Clock(), steps=2)
    (workdir / "config.json").unlink()
    with pytest.raises(UserError, match=r"of another network: 1 parameters differ, the first is clock \(\(3,\), expec"):
        train(Wider(), steps=4)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("run", {"accumulate": 3}, "batch_size: 4 does not divide by 1 devices × accumulate 3"),
        ("file/run", {}, r"file/run: cannot be written \(.*\); give another --workdir"),
        ("file", {}, r"file: cannot be written \(.*\); give another --workdir"),
    ],
)
def test_nothing_is_written_for_a_run_that_cannot_start(train, tmp_path, name, changes, message):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=message):
        train(Clock(), name, **changes)
    assert contents(tmp_path) == {tmp_path / "file": b"in the way"}
