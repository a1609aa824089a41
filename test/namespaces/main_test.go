package namespaces_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// rootEnv and binEnv tell the tests what TestMain has made.
const (
	binEnv  = "HONEYANT_BIN"
	rootEnv = "HONEYANT_NS_ROOT"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run makes the directory of this process and the shell that takes everything away again.
func run(m *testing.M) int {
	if missing() != "" {
		return m.Run()
	}
	root, err := os.MkdirTemp("", fmt.Sprintf("honeyant-ns-%d-", os.Getpid()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	release, err := guard(root, prefix())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer release()
	os.Setenv(rootEnv, root)
	if bin := os.Getenv(binEnv); bin == "" {
		bin = filepath.Join(root, "honeyant")
		build := exec.Command("go", "build", "-o", bin, "github.com/honeyant/honeyant/cmd/honeyant")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		os.Setenv(binEnv, bin)
	}
	return m.Run()
}

// missing says what this machine lacks, "" for nothing.
func missing() string {
	if os.Geteuid() != 0 {
		return "needs root: network namespaces, loop devices and mounts are made"
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return "needs /dev/fuse: " + err.Error()
	}
	f.Close()
	for _, tool := range []string{"ip", "nsenter", "losetup", "mkfs.ext4", "mount", "umount", "sh", "awk"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "needs the program " + tool
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "needs loop devices: " + err.Error()
	}
	return ""
}

// prefix begins the names of all namespaces of this process.
func prefix() string { return fmt.Sprintf("hns%d", os.Getpid()) }

// sweep takes away what was made below $1 and the namespaces whose names begin with $2-. It
// ends only processes that were written down below $1 and still have it in their arguments.
const sweep = `
dir=$1 prefix=$2
for round in 1 2 3; do
  cat "$dir"/pids "$dir"/Test*/pids 2>/dev/null | while read pid; do
    { tr '\0' ' ' </proc/$pid/cmdline | grep -qF "$dir/" && kill -9 $pid; } 2>/dev/null
  done
  sleep 0.1
done
loops=$(losetup -l -n -O NAME,BACK-FILE | awk -v d="$dir/" 'index($2, d) == 1 { print $1 }')
awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | while read at; do
  timeout 10 umount "$at" 2>/dev/null || umount -l "$at" 2>/dev/null
done
for dev in $loops; do losetup -d $dev; done
ip netns list | awk -v p="$prefix-" 'index($1, p) == 1 { print $1 }' | while read ns; do
  ip netns del $ns
done
rmdir /sys/fs/cgroup/*/$prefix-* /sys/fs/cgroup/$prefix-* 2>/dev/null
[ -n "$3" ] || rm -rf --one-file-system "$dir"
`

// orphaned ends the file systems under the disks that a dead test process served ($1 is its
// directory): daemons still hold their connections, so every request to such a disk would wait
// for ever, and with it whoever lists the loop devices of this machine. A forced umount aborts.
const orphaned = `
cat >/dev/null
awk -v d="$1/" 'index($2, d) == 1 && $1 == "honeyant-test-disk" { print $2 }' /proc/mounts | while read at; do
  umount -f "$at" 2>/dev/null
done
`

// guard sweeps when release is called or this process is gone, whichever is first.
func guard(root, prefix string) (release func(), err error) {
	cmd := exec.Command("sh", "-c", orphaned+sweep, "sweep", root, prefix, os.Getenv("HONEYANT_NS_KEEP"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		pipe.Close()
		cmd.Wait()
	}, nil
}
