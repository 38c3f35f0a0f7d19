"""Trains a narrow variant of every network on the same synthetic infants and compares them with their controls.

python tests/endurance/learn.py WORKDIR [STEPS] [NETWORK …]

A network has learned if its AP on 200 other infants is at least three times that of each control: the mean training
pose in the box of each infant, and the network itself on the crop of another infant. TokenPose starts from the HRNet
that was trained before it, as its authors start from one: from random parameters it had learned no more than the mean
heatmap after 1,000 steps. Rerun the command to resume. The table is written to WORKDIR/learned.md.
"""

import json
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
BACKBONES = {"tokenpose": "hrnet"}
NETWORKS = ("aggpose", "simple_baseline", "hrnet", "hrformer", "transpose", "tokenpose", "swin_pose")


def train(network: str, workdir: pathlib.Path, steps: int) -> dict:
    """Trains the network; returns the AP of it and of its controls, the minutes, and whether it has learned."""
    options = (f"--config.model.name={network}_tiny", f"--config.steps={steps}", "--config.eval_epochs=1000.0")
    if network in BACKBONES:
        options = (*options, f"--config.init_from={workdir.parent / BACKBONES[network]}")
    command = (sys.executable, "-m", "aggpose_jax.main", "--config=configs/synthetic.py", *options)
    start = time.monotonic()
    output = subprocess.check_output((*command, f"--workdir={workdir}"), cwd=ROOT, text=True)
    minutes = (time.monotonic() - start) / 60
    rows = ("network", "mean pose", "exchanged crops")
    ap = {row: float(re.search(rf"^{row} +(\S+)", output, re.MULTILINE)[1]) for row in rows}
    learned = ap["network"] >= 3 * max(ap["mean pose"], ap["exchanged crops"], 1e-3)
    return {"variant": f"{network}_tiny", **ap, "minutes": minutes, "learned": learned}


def main(folder: str, steps: str = "3000", *networks: str) -> int:
    """Trains all networks, or those that are named; returns 1 if one of them has not learned, else 0."""
    rows = []
    for network in networks or NETWORKS:
        file = pathlib.Path(folder) / network / "learned.json"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(train(network, file.parent, int(steps))))
        rows.append(json.loads(file.read_text()))
        cells = [[f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
        lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        (pathlib.Path(folder) / "learned.md").write_text(f"{table}\n")
        print(table, flush=True)
    return 0 if all(row["learned"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
