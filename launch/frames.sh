#!/usr/bin/env bash
# The shards of `prepare frames` onto this host; run it on every host of a pod before training.
#
#   launch/frames.sh SOURCE DIR            copy: SOURCE is a folder (NFS, by rsync) or gs://BUCKET/PATH
#   launch/frames.sh --mount SOURCE DIR    no copy: SOURCE is gs://BUCKET/PATH, read through gcsfuse as it is needed
#   VERIFY=1 launch/frames.sh SOURCE DIR   also compare the SHA-256 of every shard with the manifest
#
# then train with --config.data_dir=DIR. Every host needs all shards, since every batch is drawn from all of them.
#
# Copy where there is room: 15 million frames of 320x240 are 300 to 375 GB, four a second 62 to 78 GB. DIR may be a local
# SSD, a disk attached to all hosts for reading, or /dev/shm where the memory of a host is several times the shards.
# Otherwise mount: each frame then opens its shard over the network, several requests one after the other. Give it more
# --config.threads, watch the share of time that steps wait for data, and set gcsfuse's file cache if it is high.
set -euo pipefail
mount=
if [ "${1:-}" = --mount ]; then mount=1; shift; fi
source=${1:?SOURCE, a folder or gs://BUCKET/PATH} dir=${2:?DIR}
mkdir -p "$dir"

case $source in
gs://*/*)
  if [ -n "$mount" ]; then
    path=${source#gs://}
    mountpoint -q "$dir" || gcsfuse --implicit-dirs -o ro --only-dir "${path#*/}" "${path%%/*}" "$dir"
  else
    gcloud storage rsync --recursive "$source" "$dir"
  fi
  ;;
gs://*) echo "error: $source names no folder of the bucket; give gs://BUCKET/PATH" >&2; exit 1 ;;
*)
  if [ -n "$mount" ]; then echo "error: $source needs no mount; give it as --config.data_dir" >&2; exit 1; fi
  # The manifest goes last: without it the folder is not trained on.
  rsync --archive --exclude=/manifest.json "$source/" "$dir/"
  rsync --archive "$source/manifest.json" "$dir/"
  ;;
esac

if [ -n "${VERIFY:-}" ]; then (
  cd "$dir"
  python -c 'import json; [print(s["sha256"], "", s["file"]) for s in json.load(open("manifest.json"))["shards"]]' |
    sha256sum --check --quiet || { echo "error: $dir: delete the shards named above and copy them again" >&2; exit 1; }
) fi
python - "$dir" <<'END'
import json, sys
manifest = json.load(open(f"{sys.argv[1]}/manifest.json"))
print(f"{sys.argv[1]}: {manifest['frames']:,} frames of {manifest['videos']:,} videos")
END
