#!/usr/bin/env bash
# Runs the staged training policy of AggPose §4.1, from an ImageNet Mix Transformer to infants, as configured in
# configs/recipe_infant_l.py.
#
#   launch/recipe_infant_l.sh WORKDIR MIT_B5_WEIGHTS [--config.key=value …]
#   launch/recipe_infant_l.sh WORKDIR :debug [--config.key=value …]         trains on synthetic infants, in minutes
#
# Each stage starts from the best checkpoint of the stage before it and trains in WORKDIR/STAGE. Additional flags are
# passed to every stage. Rerun the same command to resume.
set -euo pipefail
workdir=${1:?WORKDIR} start=${2:?MIT_B5_WEIGHTS or :debug}
shift 2
debug=
if [ "$start" = :debug ]; then debug=,debug start=; fi

for stage in mit join level1 level2 level3 level4 coco infant; do
  if [ ! -e "$workdir/$stage/finished" ]; then
    echo "== $stage, from ${start:-new parameters}"
    python -m aggpose_jax.main --config "configs/recipe_infant_l.py:$stage$debug" --workdir "$workdir/$stage" \
      --config.init_from="$start" "$@"
    touch "$workdir/$stage/finished"
  fi
  start=$workdir/$stage
done
