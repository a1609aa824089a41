#!/bin/sh
# Copies the same trees with cp -a, rsync -a and honeyant cp in one run, each several
# times in turn, from a warm page cache, and prints the median of the seconds and what was
# kept. A sync after each copy is part of its time, in a second column: only honeyant cp
# leaves the data on the disk by itself.
#
# usage: test/cp/compare.sh HONEYANT DIRECTORY [ROUNDS]   (root, so that owners are kept)
# TO is where the copies are made, another file system for instance (default: DIRECTORY);
# DIRS is how many directories of 100 small files there are (default 80).
#
# Into a colony's mount: make build && test/on-colony.sh sh -c 'TO=$COLONY/m1 test/cp/compare.sh bin/honeyant /tmp 3'
set -eu
honeyant=$1 dir=$2/compare.$$ rounds=${3:-5} out=${TO:-$2}/compare.$$.out
mkdir "$dir"
trap 'rm -rf "$dir" "$out"' EXIT INT TERM

# many: 8000 files of 0 to 16 KiB in 80 directories; few: 4 files of 100 MiB; mixed: with
# hard links, holes, ACL-like attributes, links.
mkdir "$dir/many" "$dir/few" "$dir/mixed"
for d in $(seq "${DIRS:-80}"); do
  mkdir "$dir/many/$d"
  for f in $(seq 100); do head -c $(((f * 163 + d * 7) % 16384)) /dev/urandom >"$dir/many/$d/$f"; done
done
for f in 1 2 3 4; do head -c 104857600 /dev/urandom >"$dir/few/$f"; done
cp -a "$dir/many/1" "$dir/many/2" "$dir/mixed/"
ln "$dir/mixed/1/100" "$dir/mixed/hard"
ln -s nowhere "$dir/mixed/soft"
truncate -s 1G "$dir/mixed/holes"
printf middle | dd of="$dir/mixed/holes" bs=1 seek=500000000 conv=notrunc status=none
setfattr -n user.colour -v amber "$dir/mixed/1/50" 2>/dev/null || true
sync

now() { date +%s.%N; }
copy() { # tool tree
  case $1 in
  cp) cp -a "$dir/$2" "$out" ;;
  rsync) rsync -a "$dir/$2/" "$out" ;;
  "rsync -HAXS") rsync -aHAXS "$dir/$2/" "$out" ;;
  honeyant) "$honeyant" cp -rq "$dir/$2" "$out" ;;
  "honeyant --verify=false") "$honeyant" cp -rq --verify=false "$dir/$2" "$out" ;;
  esac
}
median() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }

for tree in many few mixed; do
  for round in $(seq "$rounds"); do
    for tool in cp rsync "rsync -HAXS" honeyant "honeyant --verify=false"; do
      rm -rf "$out"; sync; cat $(find "$dir/$tree" -type f -size -200M) >/dev/null
      start=$(now); copy "$tool" "$tree"; end=$(now); sync; safe=$(now)
      echo "$end $start" | awk '{print $1-$2}' >>"$dir/time.$tree.$tool"
      echo "$safe $start" | awk '{print $1-$2}' >>"$dir/safe.$tree.$tool"
      kept=$(rsync -aHAXn -i "$dir/$tree/" "$out/" | wc -l)
      blocks=$(du -s "$out" | cut -f1)
      echo "differs in $kept names, $((blocks / 1024)) MiB on disk" >"$dir/kept.$tree.$tool"
    done
  done
done
printf '%-6s %-26s %9s %9s   %s\n' tree tool seconds 'and sync' 'against rsync -aHAX'
for tree in many few mixed; do
  for tool in cp rsync "rsync -HAXS" honeyant "honeyant --verify=false"; do
    printf '%-6s %-26s %9.2f %9.2f   %s\n' "$tree" "$tool" "$(median <"$dir/time.$tree.$tool")" "$(median <"$dir/safe.$tree.$tool")" "$(cat "$dir/kept.$tree.$tool")"
  done
done
