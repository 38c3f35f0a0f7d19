"""The program `aggpose train`, started as users start it: learning, resuming, sharding and errors."""

import json
import re
import signal
import time

import numpy as np
import pytest
from programs import QUICK, ROOT, SMALL, losses, run, start

from aggpose_jax.data import writers
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.pose.keypoints import INFANT_21, find_keypoint_set

# An AggPose whose layers are scanned one by one compiles faster.
SYNTHETIC = ("--config=configs/synthetic.py:debug", *SMALL, "--config.model.unroll=1")


def test_a_run_trains_and_evaluate_gives_its_metrics_again(tmp_path):
    workdir = tmp_path / "run"
    options = (*SYNTHETIC, "--config.model.name=mit_pose_tiny", "--config.steps=4")
    trained = run("main", *options, f"--workdir={workdir}")
    assert trained.returncode == 0, trained.stderr
    assert len(losses(workdir)) == 4
    rows = [line.split()[0] for line in trained.stdout.splitlines() if re.match(r"(network|mean pose|exchanged)", line)]
    assert rows == ["network", "mean", "exchanged"]
    metrics = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])

    evaluated = run("evaluate", f"--checkpoint={workdir}", f"--out={tmp_path}")
    assert evaluated.returncode == 0, evaluated.stderr
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["metrics"]["OKS_p50"] == pytest.approx(metrics["eval/OKS_p50"], abs=1e-6)
    assert set(again["keypoints"]) >= {"chin", "navel", "left_toe"}
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results) == 16
    assert len(results[0]["keypoints"]) == 63


def test_missing_data_is_one_line_with_the_expected_files(tmp_path):
    missing = tmp_path / "nothing"
    ended = run("main", "--config=configs/coco_l.py:s,debug", f"--config.data_dir={missing}", f"--workdir={tmp_path}")
    assert ended.returncode == 1
    message = ended.stderr.strip().splitlines()[-1]
    assert message.startswith("error: ")
    for part in (str(missing), "annotations/person_keypoints_train2017.json", "--config synthetic"):
        assert part in message
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("--config.batch_size=12", ["batch_size: 12", "8 devices"]),
        ("--config.learning_rat=1", ["--config.learning_rat: ", "learning_rate"]),
    ],
)
def test_a_user_error_is_one_line_and_writes_nothing(tmp_path, argument, parts):
    ended = run("main", *SYNTHETIC, argument, f"--workdir={tmp_path / 'run'}", devices=8)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(part in line for part in parts)
    assert not (tmp_path / "run").exists()


def test_a_bucket_is_not_a_workdir():
    ended = run("main", *SYNTHETIC, "--workdir=gs://bucket/run")
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: --workdir: gs://bucket/run ")


@pytest.mark.slow
def test_pretraining_resumes_after_a_kill_and_initialises_a_pose_network(tmp_path):
    small = (*SMALL, "--config.model.unroll=1")  # compiles faster
    options = ("--config=configs/mae_synthetic.py:debug", *small, "--config.steps=6", "--config.checkpoint_steps=3")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    ended = run("main", *options, f"--workdir={whole}")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^network( +\d+\.\d+){5}$", ended.stdout, re.MULTILINE)
    assert list((whole / "pictures").glob("reconstructions_*.png"))

    process = start("main", *options, f"--workdir={killed}")
    while not (killed / "checkpoints" / "3" / "SHA256SUMS").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed = run("main", *options, f"--workdir={killed}")
    assert resumed.returncode == 0, resumed.stderr
    np.testing.assert_array_equal(losses(killed)[-3:], losses(whole)[-3:])

    tuned = run(
        "main",
        *("--config=configs/finetune_synthetic.py:debug", *small, "--config.steps=2"),
        *(f"--config.init_from={whole}", f"--workdir={tmp_path / 'tuned'}"),
    )
    assert tuned.returncode == 0, tuned.stderr
    assert re.search(r"stage2_4 +encoder/stage2", tuned.stdout)


@pytest.mark.slow
def test_real_images_train_and_are_evaluated_with_real_detections(test_data, tmp_path):
    options = ("--config=configs/coco_l.py:s,debug", f"--config.data_dir={test_data / 'coco_mini'}")
    options += ("--config.steps=8", "--config.model.unroll=1")
    ended = run("main", *options, f"--workdir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^network +0\.\d+", ended.stdout, re.MULTILINE)


class PartOfInfants:
    """Synthetic infants with the keypoints of another set whose names are among theirs."""

    def __init__(self, count: int, seed: int, keypoint_set):
        self._infants = SyntheticInfants(count, seed=seed)
        self._rows = [INFANT_21.names.index(name) for name in keypoint_set.names]

    def __len__(self) -> int:
        return len(self._infants)

    def __getitem__(self, index: int) -> dict:
        return self._infants[index]

    def ground_truth(self) -> dict:
        truth = self._infants.ground_truth()
        for category in truth["categories"]:
            category["keypoints"] = [INFANT_21.names[row] for row in self._rows]
        for annotation in truth["annotations"]:
            keypoints = np.reshape(annotation["keypoints"], (-1, 3))[self._rows]
            annotation["keypoints"] = keypoints.ravel().tolist()
            annotation["num_keypoints"] = int(np.count_nonzero(keypoints[:, 2]))
        return truth


@pytest.mark.slow
def test_a_users_own_keypoint_set_is_trained_on_and_evaluated(tmp_path):
    file = ROOT / "configs" / "keypoints" / "lsp_14.json"
    keypoint_set = find_keypoint_set(str(file))
    for seed, (split, count) in enumerate({"train": 100, "val": 20}.items()):
        writers.write_coco(PartOfInfants(count, seed, keypoint_set), tmp_path / "data", split)
    ended = run(
        "main",
        *(*QUICK, "--config.data=coco", f"--config.data_dir={tmp_path / 'data'}"),
        *("--config.train_split=train", "--config.eval_split=val", f"--config.keypoint_set={file}"),
        *("--config.steps=20", f"--workdir={tmp_path / 'run'}"),
    )
    assert ended.returncode == 0, ended.stderr
    found = losses(tmp_path / "run")
    assert found[-5:].mean() < found[:5].mean()
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 20
    assert 0 <= last["eval/PCK@0.2"] <= 1
