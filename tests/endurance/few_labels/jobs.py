"""Jobs that several processes share: each makes one file, and is done when the file exists."""

import os
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

WAIT = 10  # seconds until a process looks again for jobs that can be done


class Job(NamedTuple):
    """A piece of work: the file that it makes, and a function that makes it."""

    file: pathlib.Path
    make: Callable[[], None]


def claim(job: Job) -> bool:
    """Returns whether this process may do a job: no other process that is alive has begun it."""
    file = job.file.with_name(f"{job.file.name}.claim")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x") as out:
            out.write(str(os.getpid()))
    except FileExistsError:
        owner = file.read_text()
        if owner and pathlib.Path(f"/proc/{owner}").exists():
            return False
        file.unlink(missing_ok=True)
        return claim(job)
    return True


def work(find_jobs: Callable[[], Iterable[Job | None]]) -> None:
    """Does jobs until all are done.

    Args:
      find_jobs: returns the jobs that can be done, in their order; None stands for jobs that need results of others.
    """
    while True:
        found = list(find_jobs())
        open_jobs = [job for job in found if job is not None and not job.file.exists()]
        job = next((job for job in open_jobs if claim(job)), None)
        if job is not None:
            begin = time.monotonic()
            job.make()
            print(f"{time.strftime('%H:%M:%S')} {time.monotonic() - begin:6.0f} s  {job.file.stem}", flush=True)
        elif open_jobs or None in found:
            time.sleep(WAIT)
        else:
            return
