#!/usr/bin/env bash
# Makes the weights that come with the package, as configured in configs/pretrained.py: draws the infants, trains the demo
# and from it the network, and writes the weights and their configuration to aggpose_jax/pretrained.
#
#   launch/pretrained.sh WORKDIR
#
# Hours on two CPU cores. Rerun the same command to resume.
set -euo pipefail
cd "$(dirname "$0")/.."
workdir=${1:?WORKDIR}

python -m aggpose_jax.prepare infants --out "$workdir/data" --images 20000
python -m aggpose_jax.prepare infants --out "$workdir/data" --images 400 --split val --variety degradation
python -m aggpose_jax.main --config configs/synthetic.py --workdir "$workdir/demo"
python -m aggpose_jax.main --config configs/pretrained.py --workdir "$workdir/run" --config.data_dir="$workdir/data" \
  --config.init_from="$workdir/demo"
python launch/release_pretrained.py "$workdir/run"
