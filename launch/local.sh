#!/usr/bin/env bash
# Several processes on this machine that train one network together, each on a GPU of its own where there are GPUs.
#
#   launch/local.sh PROCESSES --config configs/infant_l.py [--config.key=value …]
#
# Only the first prints and writes; what the others say goes to standard error. SIGTERM and SIGINT go to every process.
# Ends when all have ended, with the exit status of the first that failed: 75 where they were preempted and saved.
# ${PORT:-…} is where they meet.
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
  # A signal that is trapped ends `wait` early: wait until the process itself has ended.
  while :; do
    wait "$process"
    ended=$?
    kill -0 "$process" 2>/dev/null || break
  done
  [ "$status" -ne 0 ] || status=$ended
done
exit "$status"
