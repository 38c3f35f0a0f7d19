"""Runs the protocol of PROTOCOL.md: what masked pretraining and pseudo-labels gain where labels are few.

python tests/endurance/few_labels/run.py WORKDIR [PROJECT]

PROJECT is the folder of DeepLabCut's open-field example; without it, the part on the mouse is left out. Several
processes may run the command in the same folder, one for each core; they share the work. Rerun it to resume.
"""

import itertools
import pathlib
import sys

from infants import Infants
from jobs import work
from mouse import Mouse


def main(folder: str, project: str | None = None) -> None:
    """Does all jobs."""
    infants = Infants(pathlib.Path(folder).resolve())
    if project is None:
        work(infants.jobs)
    else:
        mouse = Mouse(infants.folder, pathlib.Path(project).resolve(), infants)
        work(lambda: itertools.chain(infants.jobs(), mouse.jobs()))


if __name__ == "__main__":
    main(*sys.argv[1:])
