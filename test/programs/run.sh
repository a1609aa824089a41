#!/usr/bin/env bash
# run.sh: what people do on a shared disk, done with their own programs: git, go build, npm ci, tar, rm, SQLite from two
# nodes, and in WAL mode from several processes of one. Each runs on a local directory and on the mount ($COLONY/m1, see test/on-colony.sh), alternately; the
# results are compared and the times printed. What a tool is missing for is said and left out. Needs no network.
set -euo pipefail
: "${COLONY:?run me by test/on-colony.sh}"
source=$(cd "$(dirname "$0")/../.." && pwd)
local=$(mktemp -d /tmp/honeyant-programs-XXXXXX)
trap 'rm -rf "$local"' EXIT
shared=$COLONY/m1/programs
mkdir "$shared"
cd "$local"
fail() { echo "FAILED: $*" >&2; exit 1; }

# a repository of a few thousand files, made here
git init -q "$local/origin"
cd "$local/origin"
for d in $(seq 1 60); do
  mkdir "d$d"
  for f in $(seq 1 40); do head -c $((RANDOM % 6000)) /dev/urandom | base64 >"d$d/f$f.txt"; done
done
git add . && git -c user.name=a -c user.email=a@example.org commit -qm files

clone() { git clone -q --no-hardlinks "$local/origin" "$1/clone"; }
status() { [ -z "$(git -C "$1/clone" status --porcelain)" ]; }
fsck() { git -C "$1/clone" fsck --no-progress --no-dangling; }
pack() { tar -C "$1" -cf "$1/clone.tar" clone; }
unpack() { mkdir "$1/un" && tar -C "$1/un" -xf "$1/clone.tar"; }
remove() { rm -rf "$1/un"; }
gobuild() {
  [ -d "$1/src" ] || { mkdir "$1/src" && (cd "$source" && tar -cf - go.mod go.sum ./*.go rpc internal) | tar -C "$1/src" -xf -; }
  (cd "$1/src" && GOFLAGS=-mod=mod GOPROXY=off CGO_ENABLED=0 go build ./rpc/wire ./internal/... )
}
npmci() {
  rm -rf "$1/web" && mkdir -p "$1/web"
  for p in $(seq 1 30); do
    mkdir -p "$1/web/packages/p$p/lib"
    echo "{\"name\":\"p$p\",\"version\":\"1.0.0\"}" >"$1/web/packages/p$p/package.json"
    for f in $(seq 1 20); do echo "module.exports=$f" >"$1/web/packages/p$p/lib/f$f.js"; done
  done
  (cd "$1/web" && for p in $(seq 1 30); do (cd "packages/p$p" && npm pack --silent --offline >/dev/null); done &&
    node -e 'const d={};for(let i=1;i<=30;i++)d["p"+i]="file:packages/p"+i+"/p"+i+"-1.0.0.tgz";require("fs").writeFileSync("package.json",JSON.stringify({name:"web",version:"1.0.0",dependencies:d}))' &&
    npm install --silent --offline --no-audit --no-fund --package-lock-only >/dev/null)
}
npmrun() { (cd "$1/web" && npm ci --silent --offline --no-audit --no-fund >/dev/null); }

took() { # took NAME: runs it here and there, prints both times
  local t0 t1 t2
  t0=$(date +%s.%N); "$1" "$local"; t1=$(date +%s.%N); "$1" "$shared"; t2=$(date +%s.%N)
  awk -v n="$1" -v a="$t0" -v b="$t1" -v c="$t2" 'BEGIN { l = b - a; s = c - b; printf "%-8s local %7.2f s   shared %7.2f s   %5.1f x\n", n, l, s, s / (l > 0.001 ? l : 0.001) }'
}

for step in clone status fsck pack unpack remove gobuild; do took $step; done
if command -v npm >/dev/null && command -v node >/dev/null; then
  npmci "$local"; npmci "$shared"
  took npmrun
else
  echo "npm      not installed, left out"
fi
diff -r --exclude=.git "$local/clone" "$shared/clone" || fail "the clones differ"
diff -r --exclude=.git "$local/clone" "$COLONY/m2/programs/clone" || fail "the clone differs as seen by another node"
git -C "$COLONY/m3/programs/clone" status --porcelain | grep . && fail "a third node sees changes in the clone"

# SQLite with a rollback journal, from two nodes at once
if ! command -v python3 >/dev/null; then echo "sqlite   python3 is not installed, left out"; exit; fi
python3 - "$COLONY/m1/programs/db" "$COLONY/m2/programs/db" <<'PY'
import sqlite3, sys, threading, time
began, each = time.time(), 60
def connect(path):
    c = sqlite3.connect(path, timeout=60, isolation_level=None)
    c.execute('pragma journal_mode=delete'); c.execute('pragma synchronous=full')
    return c
c = connect(sys.argv[1])
c.execute('create table t (who integer, n integer)'); c.execute('create table total (n integer)'); c.execute('insert into total values (0)')
c.close()
faults = []
def work(who, path):
    try:
        c = connect(path)
        for n in range(each):
            c.execute('begin immediate')
            c.execute('insert into t values (?, ?)', (who, n))
            c.execute('update total set n = n + 1')
            c.execute('commit')
        c.close()
    except Exception as e:
        faults.append((who, e))
all = [threading.Thread(target=work, args=(i, p)) for i, p in enumerate(sys.argv[1:])]
for t in all: t.start()
for t in all: t.join()
assert not faults, faults
for path in sys.argv[1:]:
    c = connect(path)
    assert c.execute('pragma integrity_check').fetchone()[0] == 'ok', path
    assert c.execute('select n from total').fetchone()[0] == 2 * each, path
    assert c.execute('select count(*) from t').fetchone()[0] == 2 * each, path
print('sqlite   %d transactions from two nodes, %.1f/s, sound on both' % (2 * each, 2 * each / (time.time() - began)))
PY
python3 "$source/test/programs/wal.py" "$COLONY/m1/programs/wal" "$COLONY/m2/programs/wal"
