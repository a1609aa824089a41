#!/usr/bin/env bash
# on-colony.sh COMMAND...: runs COMMAND with a colony of three daemons on 127.0.9.x, mounted at
# $COLONY/m1, m2 and m3; everything is taken away afterwards. Needs root and /dev/fuse.
set -euo pipefail
bin=$(cd "$(dirname "$0")/.." && pwd)/bin/honeyant
COLONY=$(mktemp -d /tmp/honeyant-colony-XXXXXX)
chmod 755 "$COLONY" # the suite changes users
export COLONY
pids=()
end() {
  for i in 1 2 3; do "$bin" umount "$COLONY/m$i" --dir "$COLONY/n$i" >/dev/null 2>&1 || true; done
  for p in "${pids[@]}"; do kill -TERM "$p" 2>/dev/null || true; done
  for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
  for i in 1 2 3; do umount -l "$COLONY/m$i" 2>/dev/null || true; done
  rm -rf "$COLONY"
}
trap end EXIT
port=$((20000 + RANDOM % 10000))
place() { echo --dir "$COLONY/n$1" --listen "127.0.9.$1:$port" --name "n$1" --capacity 4GiB --memory ${HONEYANT_MEMORY:-96MiB}; }
# shellcheck disable=SC2046
line=$("$bin" init $(place 1) 2>/dev/null)
for i in 1 2 3; do
  # shellcheck disable=SC2046,SC2086
  [ "$i" = 1 ] || "$bin" ${line#honeyant } $(place "$i") >/dev/null
  "$bin" serve --dir "$COLONY/n$i" 2>"$COLONY/n$i.log" &
  pids+=($!)
  until "$bin" status --dir "$COLONY/n$i" >/dev/null 2>&1; do sleep 0.1; done
  mkdir "$COLONY/m$i"
  "$bin" mount --once "$COLONY/m$i" --dir "$COLONY/n$i"
done
until [ "$("$bin" node ls --json --dir "$COLONY/n1" | grep -c '"voter": true')" = 3 ]; do sleep 0.2; done
"$@"
