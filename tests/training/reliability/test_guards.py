"""The guards of a run, each with one fault."""

import errno
import os
import signal
import time

import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.training.reliability import data_watchdog, guarded_batches, guarded_run


class Source:
    """Ten records; the images with odd ids are unreadable."""

    def __len__(self):
        return 10

    def file_name(self, number):
        return f"{number}.jpg"

    def fault(self, number):
        return f"{number}.jpg is cut short"


def batches(*ids: int, seconds: float = 0.0):
    for number in ids:
        time.sleep(seconds)
        yield {"id": np.array([number]), "valid": np.array([1 - number % 2])}


def test_guarded_run_reports_sigterm_and_a_full_disk(tmp_path):
    previous, answers = signal.getsignal(signal.SIGTERM), []

    def run():
        with guarded_run(tmp_path) as notice:
            answers.append(notice.is_preempted())
            os.kill(os.getpid(), signal.SIGTERM)
            answers.append(notice.is_preempted())
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        run()
    assert answers == [False, True]
    assert signal.getsignal(signal.SIGTERM) == previous


def test_unreadable_images_are_listed_up_to_the_limit(tmp_path):
    logged = []
    guarded = guarded_batches(batches(2, 3, 5), Source(), 0.1, tmp_path, logged.append)
    assert [next(guarded)["id"].item() for _ in range(2)] == [2, 3]
    assert logged == [
        "1 of 10 training images cannot be read; training continues without them. The last one: 3.jpg is cut short"
    ]
    with pytest.raises(UserError, match="2 of 10 training images"):
        next(guarded)
    assert (tmp_path / "corrupt_images.txt").read_text() == "3.jpg\n5.jpg\n"


def test_rotated_images_are_counted_when_the_batches_are_closed(tmp_path):
    logged = []
    rotated = ({"reoriented": np.array([1, 0, 1]), "image_id": np.array([n, 8, 9])} for n in (3, 4, 5))
    merged = (batch | more for batch, more in zip(batches(2, 4, 6), rotated, strict=True))
    guarded = guarded_batches(merged, Source(), 0.1, tmp_path, logged.append)
    assert [next(guarded)["id"].item() for _ in range(2)] == [2, 4]
    assert not logged
    guarded.close()
    assert logged == ["3 training images were rotated by their EXIF orientation, as their annotations state"]


def test_late_batches_are_logged(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(data_watchdog, "SECONDS", 0.1)
    guarded = guarded_batches(batches(2, seconds=0.5), Source(), 0, tmp_path, logged.append)
    assert [batch["id"].item() for batch in guarded] == [2]
    assert "no data" in logged[0]
