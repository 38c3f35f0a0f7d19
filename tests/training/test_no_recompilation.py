"""Between evaluations, training compiles nothing after its first step."""

import jax
import pytest
from clock import Clock, train_in

from aggpose_jax.training.trainer import Trainer

COMPILATION = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations():
    """Returns the list of the programs that are compiled while a test runs."""
    compiled = []

    def listen(event, duration, **names):
        if event == COMPILATION:
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield compiled
    jax.monitoring.unregister_event_duration_listener(listen)


def test_no_step_after_the_first_one_compiles(tmp_path, monkeypatch, compilations):
    counts, compile_step = [], Trainer.compile

    def compile_counted(trainer, state, batch):
        program = compile_step(trainer, state, batch)

        def step(*arguments):
            counts.append(len(compilations))
            return program(*arguments)

        trainer.step = step
        return program

    monkeypatch.setattr(Trainer, "compile", compile_counted)
    train_in(tmp_path, monkeypatch)(Clock(), eval_epochs=1000.0, checkpoint_steps=1000)
    assert len(counts) == 12
    assert counts[0] > 0
    assert len(set(counts[1:])) == 1
