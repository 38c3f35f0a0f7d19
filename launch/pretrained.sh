#!/usr/bin/env bash
# Makes the weights that come with the package, as configured in configs/pretrained.py: draws the infants, trains on them
# in two stages and writes the weights and their configuration to aggpose_jax/pretrained.
#
#   launch/pretrained.sh WORKDIR
#
# Hours on two CPU cores. Rerun the same command to resume.
set -euo pipefail
cd "$(dirname "$0")/.."
workdir=${1:?WORKDIR}

python -m aggpose_jax.prepare infants --out "$workdir/data_bare" --images 4000 --variety bare
python -m aggpose_jax.prepare infants --out "$workdir/data_bare" --images 100 --split val --variety bare
python -m aggpose_jax.prepare infants --out "$workdir/data" --images 20000
python -m aggpose_jax.prepare infants --out "$workdir/data" --images 400 --split val --variety degradation
python -m aggpose_jax.main --config configs/pretrained.py:bare --workdir "$workdir/bare" \
  --config.data_dir="$workdir/data_bare"
python -m aggpose_jax.main --config configs/pretrained.py --workdir "$workdir/run" --config.data_dir="$workdir/data" \
  --config.init_from="$workdir/bare"
python launch/release_pretrained.py "$workdir/run"
