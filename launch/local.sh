#!/usr/bin/env bash
# Starts several processes on this machine that train one network together. Process N uses GPU N unless
# CUDA_VISIBLE_DEVICES is set.
#
#   launch/local.sh PROCESSES --config configs/infant_l.py [--config.key=value …]
#
# Only process 0 logs and writes files; the other processes print only to standard error. SIGTERM and SIGINT are passed
# on to every process. The script exits when all processes have ended, with the exit status of the first one that
# failed, which is 75 if the run was preempted and saved. PORT is the port through which the processes connect to
# process 0; the default is a random port.
set -uo pipefail
count=${1:?PROCESSES}
shift
port=${PORT:-$((20000 + RANDOM % 10000))}
cd "$(dirname "$0")/.."

processes=()
for ((index = 0; index < count; index++)); do
  CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-$index} python -m aggpose_jax.main \
    --coordinator="127.0.0.1:$port" --processes="$count" --process="$index" "$@" &
  processes+=($!)
done
trap 'kill -TERM "${processes[@]}" 2>/dev/null' TERM INT

status=0
for process in "${processes[@]}"; do
  # A trapped signal makes `wait` return early, so it is repeated until the process has ended.
  while :; do
    wait "$process"
    ended=$?
    kill -0 "$process" 2>/dev/null || break
  done
  [ "$status" -ne 0 ] || status=$ended
done
exit "$status"
