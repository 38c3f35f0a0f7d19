"""Runs the protocol of PROTOCOL.md: what masked pretraining and pseudo-labels gain where labels are few.

python tests/endurance/few_labels/run.py WORKDIR

Several processes may run the command in the same folder, one for each core; they share the work. Rerun it to resume.
"""

import pathlib
import sys

from infants import Infants
from jobs import work

if __name__ == "__main__":
    work(Infants(pathlib.Path(sys.argv[1]).resolve()).jobs)
