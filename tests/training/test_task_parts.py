"""The common parts of tasks, with records that are numbers; the attributes of every task."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.training.task import Task
from aggpose_jax.training.task_parts import TaskData
from aggpose_jax.training.tasks import TASKS


class Numbers(list):
    def counts(self):
        return {"numbers": len(self), "zeros": self.count(0)}


@pytest.fixture
def config():
    config = default_config()
    config.batch_size, config.eval_batch_size, config.threads = 2, 3, 1
    return config


def open_source(part: str) -> Numbers:
    count = {"train": 4, "eval": 5}[part]
    return Numbers({"id": number} for number in range(count))


def make_data(config, opened: list | None = None) -> TaskData:
    def open_and_record(part):
        opened.append(part)
        return open_source(part)

    def batch_maker(source):
        return lambda records, generators=None: {
            "id": np.array([record["id"] for record in records]),
            "valid": np.ones(len(records), np.float32),
        }

    return TaskData(config, open_source if opened is None else open_and_record, batch_maker)


def test_sources_are_opened_once_at_first_use(config):
    opened = []
    data = make_data(config, opened)
    assert opened == []
    assert data.describe() == "training     4 numbers, 0 zeros\nevaluation   5 numbers, 0 zeros"
    assert len(data.train_source) == 4
    assert opened == ["train", "eval"]


def test_two_batches_are_an_epoch_and_a_later_start_resumes(config):
    ids = [batch["id"].tolist() for batch in itertools.islice(make_data(config).train_batches(0), 4)]
    assert sorted(ids[0] + ids[1]) == sorted(ids[2] + ids[3]) == [0, 1, 2, 3]
    resumed = itertools.islice(make_data(config).train_batches(3), 1)
    assert [batch["id"].tolist() for batch in resumed] == ids[3:]


def test_evaluation_batches_are_divisible_by_the_devices_and_contain_each_record_once(config):
    batches = list(make_data(config).eval_batches(SimpleNamespace(size=2)))
    assert [len(batch["id"]) for batch in batches] == [4, 4]
    valid = np.concatenate([batch["id"][batch["valid"] > 0] for batch in batches])
    assert valid.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_all_attributes_of_the_protocol(name):
    config = debug_variant(default_config())
    config.task, config.data, config.keypoint_set = name, "synthetic", "infant_21"
    config.model.name = {"pose": "mit_pose_tiny", "mae": "mae_tiny"}[name]
    required = {*Task.__annotations__, *(attribute for attribute in vars(Task) if not attribute.startswith("_"))}
    assert {"metric", "loss", "train_batches"} < required
    task = TASKS[name](config)
    assert [attribute for attribute in sorted(required) if not hasattr(task, attribute)] == []
