"""The training loop with a task of two parameters, of which every step and score is known."""

import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clock import Clock, Normalised, train_in

from aggpose_jax.errors import UserError
from aggpose_jax.training import checkpoint
from aggpose_jax.training.reliability import Preempted, preemption


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Returns a function that trains a task in the folder `name` and returns that folder."""
    return train_in(tmp_path, monkeypatch)


def evaluated_steps(workdir) -> list[int]:
    lines = (json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if "eval/AP" in line]


def latest(workdir) -> tuple[int, dict[str, np.ndarray]]:
    """Returns the step of the latest checkpoint and all its arrays by path."""
    items = {}
    with checkpoint.open_manager(workdir) as manager:
        step = manager.latest_step()
        folders = [path for path in (manager.directory / str(step)).iterdir() if path.is_dir()]
        for name in sorted({path.name for path in folders} - {"metrics"}):
            with checkpoint.ocp.StandardCheckpointer() as checkpointer:
                items[name] = checkpointer.restore(manager.directory / str(step) / name)
    return step, {jax.tree_util.keystr(path): np.asarray(a) for path, a in jax.tree_util.tree_leaves_with_path(items)}


def test_a_run_continues_while_the_score_improves_within_the_patience(train):
    assert evaluated_steps(train(Clock(), patience=3)) == [2, 4, 6, 8, 10, 12]
    assert evaluated_steps(train(Clock(), "never", patience=0)) == [2, 4, 6, 8, 10, 12]


def test_a_run_stops_early_and_does_not_continue_when_rerun(train, capsys):
    workdir = train(Clock(), patience=2)
    assert evaluated_steps(workdir) == [2, 4, 6, 8]
    assert latest(workdir)[0] == 8
    assert "AP did not improve in 2 evaluations" in capsys.readouterr().out
    train(Clock(), patience=2)
    assert latest(workdir)[0] == 8
    with checkpoint.open_manager(workdir) as manager:
        assert manager.best_step() == 4


def test_the_lowest_value_is_the_best_if_lower_is_better(train):
    task = Clock()
    task.lower_is_better = True
    workdir = train(task, patience=3)  # 0.1 is the lowest and the first
    assert evaluated_steps(workdir) == [2, 4, 6, 8]
    with checkpoint.open_manager(workdir) as manager:
        assert manager.best_step() == 2


@pytest.mark.parametrize("killed_at", [7, 8])
@pytest.mark.parametrize(("task", "average_decay"), [(Clock, 0.0), (Normalised, 0.01)])
def test_a_killed_run_stops_early_at_the_same_step(train, task, average_decay, killed_at):
    options = {"patience": 2, "accumulate": 2, "average_decay": average_decay}
    uninterrupted = train(task(), "uninterrupted", **options)
    with pytest.raises(KeyboardInterrupt):
        train(task(killed_at=killed_at), "killed", **options)
    killed = train(task(), "killed", **options)
    (step, arrays), (expected_step, expected) = latest(killed), latest(uninterrupted)
    assert step == expected_step == 8
    assert arrays.keys() == expected.keys()
    assert all(arrays[name].tobytes() == expected[name].tobytes() for name in arrays)
    assert ("['ema_batch_stats']['mean']" in arrays) == (task is Normalised)


def test_a_run_may_resume_in_other_parts_of_a_batch_and_says_so(train, capsys):
    train(Clock(), steps=2)
    assert "accumulate changes" not in capsys.readouterr().out
    train(Clock(), steps=4, accumulate=2)
    assert "accumulate changes from 1 to 2" in capsys.readouterr().out
    train(Normalised(), "normalised", steps=2)
    with pytest.raises(UserError, match=r"accumulate 1 in config\.json, 2 in this command"):
        train(Normalised(), "normalised", steps=4, accumulate=2)


def test_batch_statistics_of_parts_are_logged(train, capsys):
    train(Normalised(), steps=1, accumulate=2)
    assert "2 parts of a batch, over 2 images" in capsys.readouterr().out
    train(Clock(), "without", steps=1, accumulate=2)
    train(Normalised(), "one_part", steps=1)
    assert "batch statistics" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("x", "changes", "quantity"),
    [
        ({3: np.inf}, {}, "the loss"),
        ({3: np.nan}, {}, "the loss"),
        ({3: 0.0}, {}, "the gradient of head/w"),  # the derivative of a square root at 0
        ({3: 0.0}, {"accumulate": 2}, "the gradient of head/w"),
        ({3: np.inf}, {"checkpoint_steps": 2}, "the loss"),  # detected in step 4
    ],
)
def test_a_run_stops_at_the_first_quantity_that_is_not_finite(train, tmp_path, x, changes, quantity):
    with pytest.raises(UserError) as raised:
        train(Clock(x), **{"eval_epochs": 100.0} | changes)
    step, arrays = latest(tmp_path / "run")
    assert step == 2
    assert all(np.isfinite(array).all() for array in arrays.values())
    message = str(raised.value)
    assert message.startswith(f"step 3: {quantity} ")
    assert f"{tmp_path / 'run'} keeps the checkpoint of step 2" in message
    assert "\n" not in message


def test_the_last_step_is_checked_before_it_is_evaluated_and_saved(train, tmp_path):
    with pytest.raises(UserError, match="step 12: the loss "):
        train(Clock({12: np.nan}))
    assert evaluated_steps(tmp_path / "run") == [2, 4, 6, 8, 10]
    assert latest(tmp_path / "run")[0] == 11


@pytest.mark.parametrize(
    ("x", "learning_rate", "quantity"), [({1: np.nan}, 1.0, "the loss"), ({}, 1e20, "the parameter clock")]
)
def test_a_failure_before_the_first_checkpoint_is_reported(train, x, learning_rate, quantity):
    with pytest.raises(UserError, match=f"step 1: {quantity} .*[Nn]o checkpoint"):
        train(Clock(x), learning_rate=learning_rate)


def test_frozen_parameters_are_not_checked(train):
    workdir = train(Clock({3: 0.0}), steps=4, freeze=("head/.*",))  # its gradient is never computed
    assert latest(workdir)[0] == 4


def send_sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class PreemptedClock(Clock):
    """A `Clock` whose process receives SIGTERM while it makes the batch of a step or evaluates after a step."""

    def __init__(self, in_step: int = 0, in_evaluation: int = 0):
        super().__init__()
        self._in_step, self._in_evaluation = in_step, in_evaluation

    def train_batches(self, start):
        for step, batch in enumerate(super().train_batches(start), start + 1):
            if step == self._in_step:
                send_sigterm()
            yield batch

    def evaluate(self, variables, mesh, before_batch):
        if -round(float(variables["params"]["clock"][0])) == self._in_evaluation:
            send_sigterm()
        return super().evaluate(variables, mesh, before_batch)


@pytest.mark.parametrize(
    ("signal_at", "saved"),
    [({"in_step": 3}, 3), ({"in_evaluation": 4}, 4), ({"in_step": 6}, 6)],
)
def test_a_preempted_run_loses_no_step_and_resumes_exactly(train, tmp_path, capsys, signal_at, saved):
    options = {"checkpoint_steps": 100, "steps": 6}
    with pytest.raises(Preempted) as raised:
        train(PreemptedClock(**signal_at), **options)
    assert raised.value.code == preemption.EXIT_CODE == 75
    assert f"Received SIGTERM: saved a checkpoint at step {saved}." in capsys.readouterr().out
    assert latest(tmp_path / "run")[0] == saved

    run = train(Clock(), **options)
    assert evaluated_steps(run) == [2, 4, 6]
    (step, arrays), (_, expected) = latest(run), latest(train(Clock(), "uninterrupted", **options))
    assert step == 6
    assert all(arrays[name].tobytes() == expected[name].tobytes() for name in expected)
    with checkpoint.open_manager(run) as manager:
        assert manager.best_step() == 4


def test_the_handler_of_sigterm_is_restored_after_a_run(train):
    before = signal.getsignal(signal.SIGTERM)
    train(Clock(), steps=2)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_non_finite_step_is_skipped_and_counted(train, capsys):
    x = {2: np.nan, 4: np.inf}
    workdir = train(Clock(x), steps=6, nonfinite="skip", eval_epochs=100.0, average_decay=0.5)
    step, arrays = latest(workdir)
    assert step == 6
    np.testing.assert_allclose(arrays["['params']['clock']"], np.full(3, -4.0), rtol=1e-4)
    assert all(np.isfinite(array).all() for array in arrays.values())
    output = capsys.readouterr().out
    assert "WARNING: step 2: the loss is not finite" in output
    assert "WARNING: step 4: the loss is not finite" in output
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/skipped"] for line in lines if "train/skipped" in line] == [1, 2]


def test_the_steps_of_profile_steps_are_traced(train):
    workdir = train(Clock(), steps=4, profile_steps=(2, 3), eval_epochs=100.0)
    assert list((workdir / "profile").rglob("*.xplane.pb"))
    assert not (train(Clock(), "untraced", steps=2) / "profile").exists()


def contents(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_resumed_run_may_be_longer_but_must_be_the_same_experiment(train, tmp_path):
    train(Clock(), steps=2)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"run: .*seed 0 .*1 .*--workdir"):
        train(Clock(), steps=4, seed=1)
    assert contents(tmp_path) == before
    assert latest(train(Clock(), steps=4, log_steps=2))[0] == 4


def test_a_run_does_not_resume_from_the_checkpoint_of_another_network(train, tmp_path):
    class Wider(Clock):
        def init(self, rng):
            return {"params": {"clock": jnp.zeros(4), "head": {"w": jnp.ones(())}}}

    workdir = train(Clock(), steps=2)
    (workdir / "config.json").unlink()
    with pytest.raises(UserError, match=r"1 parameters .*clock: .*\(3,\).*\(4,\)"):
        train(Wider(), steps=4)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("run", {"accumulate": 3}, "batch_size: 4 .* 1 devices × accumulate 3"),
        ("file/run", {}, r"file/run: cannot write \(.*\).* --workdir"),
        ("file", {}, r"file: cannot write \(.*\).* --workdir"),
    ],
)
def test_nothing_is_written_for_a_run_that_cannot_start(train, tmp_path, name, changes, message):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=message):
        train(Clock(), name, **changes)
    assert contents(tmp_path) == {tmp_path / "file": b"in the way"}
