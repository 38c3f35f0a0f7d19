#!/usr/bin/env bash
# Copies or mounts the shards that `prepare frames` wrote on this host. Run it on every host of a pod before training.
#
#   launch/frames.sh SOURCE DIR            copies; SOURCE is a folder (for rsync, such as NFS) or gs://BUCKET/PATH
#   launch/frames.sh --mount SOURCE DIR    mounts gs://BUCKET/PATH with gcsfuse, which reads files when they are needed
#   VERIFY=1 launch/frames.sh SOURCE DIR   also compares the SHA-256 of every shard with the manifest
#
# Then train with --config.data_dir=DIR. Every host needs all shards, since every batch is drawn from all of them.
#
# Copy if the disk is large enough: 15 million frames of 320x240 take 300 to 375 GB, or 62 to 78 GB at four frames per
# second. DIR may be on a local SSD, on a disk that is attached to all hosts for reading, or in /dev/shm if the memory
# of a host is several times the size of the shards. Otherwise mount: every frame then opens its shard over the network,
# with several requests one after the other. In that case raise --config.threads, watch the data wait that training logs
# (% of step time), and configure gcsfuse's file cache if it is high.
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
gs://*) echo "error: $source: has no path in the bucket. Give gs://BUCKET/PATH." >&2; exit 1 ;;
*)
  if [ -n "$mount" ]; then echo "error: $source: is a folder. Pass it as --config.data_dir instead." >&2; exit 1; fi
  # The manifest is copied last, because training refuses a folder of shards that has none.
  rsync --archive --exclude=/manifest.json "$source/" "$dir/"
  rsync --archive "$source/manifest.json" "$dir/"
  ;;
esac

if [ -n "${VERIFY:-}" ]; then (
  cd "$dir"
  python -c 'import json; [print(s["sha256"], "", s["file"]) for s in json.load(open("manifest.json"))["shards"]]' |
    sha256sum --check --quiet || { echo "error: $dir: delete the shards listed above and copy them again" >&2; exit 1; }
) fi
python - "$dir" <<'END'
import json, sys
manifest = json.load(open(f"{sys.argv[1]}/manifest.json"))
print(f"{sys.argv[1]}: {manifest['frames']:,} frames of {manifest['videos']:,} videos")
END
