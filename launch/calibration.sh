#!/usr/bin/env bash
# Makes the calibration of the network that comes with the package: films of synthetic infants, rendered and drawn, that
# training never shows; their keypoints; and what the scores of these say about their errors.
#
#   launch/calibration.sh WORKDIR
#
# An hour on two CPU cores. Rerun the same command to resume. Films in which the network finds no infant are
# left out and listed, and make the exit status 1.
set -euo pipefail
cd "$(dirname "$0")/.."
workdir=$(realpath -m "${1:?WORKDIR}")
mkdir -p "$workdir/truth"

python -m aggpose_jax.prepare infants --out "$workdir/rendered" --videos 240 --frames 150 --split val --variety degradation
if [ ! -e "$workdir/truth/drawn" ]; then
  rm -rf "$workdir/drawn"
  python -m aggpose_jax.prepare synthetic --out "$workdir/drawn" --images 10 --videos 120 --frames 150
  ln -s ../drawn/annotations/videos "$workdir/truth/drawn"
fi
ln -sfn ../rendered/val/annotations/videos "$workdir/truth/rendered"
python -m aggpose_jax.predict "$workdir/rendered/val/videos" --out "$workdir/keypoints/rendered" --no-overlay
python -m aggpose_jax.predict "$workdir/drawn/videos" --out "$workdir/keypoints/drawn" --no-overlay
python -m aggpose_jax.calibrate "$workdir/keypoints" --truth "$workdir/truth" --out aggpose_jax/pretrained/calibration.json \
  --domain "synthetic infants, rendered and drawn, in clothes and surroundings that training never shows"
