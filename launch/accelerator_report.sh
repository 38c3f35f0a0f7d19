#!/usr/bin/env bash
# Measures a GPU or TPU in at most 8 minutes and writes OUT/report.md and OUT/report.json.
#
#   launch/accelerator_report.sh [OUT] [--parts roofs,stencils …]
#
# OUT is a folder; the default is accelerator_report. Parts that are finished there are not repeated, so rerun the same
# command if a part was left out or failed. Python needs only jax, flax, optax and numpy, and PyTorch for the last part.
# The crops are accelerator_crops.npz in the root of the source tree, or --crops with an absolute path. Set PYTHON to use
# another interpreter than python. The exit status is 124 if the 8 minutes were not enough.
set -euo pipefail
out=$(realpath -m "${1:-accelerator_report}")
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/.."
exec timeout 480 "${PYTHON:-python}" -m aggpose_jax.benchmarks.accelerator --out "$out" "$@"
