#!/usr/bin/env bash
# Trains on every host of a TPU slice; the hosts find each other. Give the same command again after a preemption.
#
#   launch/tpu_pod.sh NAME ZONE --config configs/infant_l.py --workdir /mnt/runs/infant_l [--config.key=value …]
#
# NAME is a TPU VM whose hosts have this repository in ~/aggpose_jax with its requirements and jax[tpu] installed, and
# one folder for the workdir that all of them see (a mounted bucket or a file server). A host that is preempted gets
# SIGTERM: the run saves on all and ends with exit status 75.
set -euo pipefail
name=${1:?NAME} zone=${2:?ZONE}
shift 2
printf -v arguments ' %q' "$@"
gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="cd aggpose_jax && exec python3 -m aggpose_jax.main$arguments"
