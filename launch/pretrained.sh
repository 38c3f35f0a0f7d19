#!/usr/bin/env bash
# Makes the weights that come with the package, as configured in configs/pretrained.py: trains the demo on drawn infants,
# from it a network on rendered ones, and from that the network of the package on both, and writes it to
# aggpose_jax/pretrained.
#
#   launch/pretrained.sh WORKDIR
#
# Hours on two CPU cores. Rerun the same command to resume.
set -euo pipefail
cd "$(dirname "$0")/.."
workdir=${1:?WORKDIR}

python -m aggpose_jax.main --config configs/synthetic.py --workdir "$workdir/demo"

python -m aggpose_jax.prepare infants --out "$workdir/rendered" --images 20000
python -m aggpose_jax.prepare infants --out "$workdir/rendered" --images 400 --split val --variety degradation
python -m aggpose_jax.main --config configs/pretrained.py --workdir "$workdir/first" \
  --config.data_dir="$workdir/rendered" --config.init_from="$workdir/demo"
python launch/release_pretrained.py "$workdir/first" "$workdir/first/half"

python -m aggpose_jax.prepare infants --out "$workdir/both" --images 24000 --drawn 4 --seed 1
python -m aggpose_jax.prepare infants --out "$workdir/both" --images 400 --split val --variety degradation
python -m aggpose_jax.main --config configs/pretrained.py --workdir "$workdir/run" --config.steps=10000 \
  --config.data_dir="$workdir/both" --config.init_from="$workdir/first/half/weights.safetensors"
python launch/release_pretrained.py "$workdir/run"
