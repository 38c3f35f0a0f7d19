#!/usr/bin/env bash
# Trains on all hosts of a TPU slice. JAX finds the hosts through the TPU's metadata. Rerun the same command after a
# preemption.
#
#   launch/tpu_pod.sh NAME ZONE --config configs/infant_l.py --workdir /mnt/runs/infant_l [--config.key=value …]
#
# NAME is a TPU VM. Its hosts need this repository in ~/aggpose_jax, its requirements and jax[tpu] installed, and a
# workdir that all of them can access (in a mounted bucket or on a file server). When a host receives SIGTERM because it
# is preempted, the run saves a checkpoint and all processes exit with status 75.
set -euo pipefail
name=${1:?NAME} zone=${2:?ZONE}
shift 2
printf -v arguments ' %q' "$@"
gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="cd aggpose_jax && exec python3 -m aggpose_jax.main$arguments"
