#!/usr/bin/env bash
# Reproduces Tables 3, 4 and 5 of AggPose: evaluates published weights, or trains where there are none, and prints the
# tables beside the published metrics. launch/README.md lists the files.
#
#   launch/tables.sh WEIGHTS RESULTS [--config.key=value …]
#   launch/tables.sh :debug RESULTS [--config.key=value …]       tiny networks on synthetic infants, in minutes
#
# WEIGHTS is the folder of the published files. Additional flags are passed to every training and evaluation. Rerun the
# same command to resume; remove RESULTS/ROW to repeat a row.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHONPATH=. exec python launch/tables.py "$@"
