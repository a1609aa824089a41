#!/bin/bash
# Copies trees over ssh through a link of given rates (two network namespaces, tbf in both
# directions) with rsync -a, rsync -az and honeyant cp, in turns, and prints the median of the
# seconds, MB/s of data, and what honeyant said about compressing. Needs root, openssh, rsync, iproute2.
#
# usage: test/cp/overssh.sh HONEYANT [ROUNDS]      RATES="20 200 2000" (Mbit/s), MIB of each tree (default: by the rate)
set -eu
honeyant=$(realpath "$1") rounds=${2:-3}
w=$(mktemp -d /tmp/honeyant-overssh-XXXXXX)
a=hacp$$a b=hacp$$b sshd=
end() {
  [ -z "$sshd" ] || kill "$sshd" 2>/dev/null || true
  ip netns del $a 2>/dev/null || true
  ip netns del $b 2>/dev/null || true
  rm -rf "$w"
}
trap end EXIT INT TERM
ip netns add $a
ip netns add $b
ip link add va$$ netns $a type veth peer name vb$$ netns $b
for n in "$a va$$ 1" "$b vb$$ 2"; do
  set -- $n
  ip -n "$1" addr add 10.99.0."$3"/24 dev "$2"
  ip -n "$1" link set "$2" up
  ip -n "$1" link set lo up
done
mkdir -p /run/sshd "$w/keys"
ssh-keygen -q -t ed25519 -N '' -f "$w/keys/host"
ssh-keygen -q -t ed25519 -N '' -f "$w/keys/user"
printf 'ListenAddress 10.99.0.2:2222\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nUseDNS no\nSubsystem sftp internal-sftp\n' "$w/keys/host" "$w/keys/user.pub" >"$w/sshd_config"
echo "[10.99.0.2]:2222 $(cat "$w/keys/host.pub")" >"$w/known"
ip netns exec $b /usr/sbin/sshd -D -e -f "$w/sshd_config" 2>"$w/sshd.log" &
sshd=$!
cat >"$w/ssh" <<EOF
#!/bin/sh
exec ssh -F none -p 2222 -i $w/keys/user -o IdentitiesOnly=yes -o UserKnownHostsFile=$w/known -o LogLevel=ERROR "\$@"
EOF
chmod +x "$w/ssh"
until ip netns exec $a "$w/ssh" 10.99.0.2 true 2>/dev/null; do sleep 0.1; done

now() { date +%s.%N; }
median() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }
copy() { # tool tree
  local over="ip netns exec $a" to=10.99.0.2:$w/out
  case $1 in
  rsync) $over rsync -a -e "$w/ssh" "$w/$2/" "$to" ;;
  "rsync -z") $over rsync -az -e "$w/ssh" "$w/$2/" "$to" ;;
  honeyant) $over "$honeyant" cp -r -T -e "$w/ssh" --remote "$honeyant" "$w/$2" "$to" 2>>"$w/said" >>"$w/said" ;;
  "honeyant --compress=off") $over "$honeyant" cp -rq -T --compress=off -e "$w/ssh" --remote "$honeyant" "$w/$2" "$to" ;;
  "honeyant --compress=zstd") $over "$honeyant" cp -rq -T --compress=zstd -e "$w/ssh" --remote "$honeyant" "$w/$2" "$to" ;;
  esac
}
tools=("rsync" "rsync -z" "honeyant" "honeyant --compress=off" "honeyant --compress=zstd")
printf '%-10s %-6s %-26s %8s %8s  %s\n' Mbit/s tree tool seconds MB/s 'honeyant said'
for rate in ${RATES:-20 200 2000}; do
  mib=${MIB:-$((rate < 100 ? 16 : 128))}
  for side in "$a va$$" "$b vb$$"; do
    set -- $side
    tc -n "$1" qdisc replace dev "$2" root tbf rate "${rate}mbit" burst 64kb latency 50ms
  done
  rm -rf "$w/text" "$w/noise"
  mkdir "$w/text" "$w/noise"
  head -c $((mib << 20)) /dev/urandom >"$w/noise/data"
  # lines of a log, none like another, about as compressible as logs are
  seq $((mib * 12000)) | awk '{printf "2026-11-23T%02d:%02d:%02d host app[%d]: request %x from 10.%d.%d.%d took %d us\n", $1/3600%24, $1/60%60, $1%60, $1*7%31, $1*2654435761%4294967296, $1%251, $1*3%241, $1*7%239, $1*$1%99991}' | head -c $((mib << 20)) >"$w/text/log"
  for tree in text noise; do
    for round in $(seq "$rounds"); do
      for tool in "${tools[@]}"; do
        rm -rf "$w/out"
        start=$(now)
        copy "$tool" $tree
        end=$(now)
        echo "$end $start" | awk '{print $1-$2}' >>"$w/time.$rate.$tree.$tool"
        diff -r "$w/$tree" "$w/out" >/dev/null || { echo "$tool: the copy differs" >&2; exit 1; }
      done
    done
    for tool in "${tools[@]}"; do
      s=$(median <"$w/time.$rate.$tree.$tool") said=
      [ "$tool" != honeyant ] || said=$(tail -n 1 "$w/said")
      printf '%-10s %-6s %-26s %8.2f %8.1f  %s\n' "$rate" "$tree" "$tool" "$s" "$(echo "$mib $s" | awk '{print $1*1.048576/$2}')" "$said"
    done
  done
done
