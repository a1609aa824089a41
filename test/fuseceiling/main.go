// Fuseceiling mounts a file system that lives in memory, over /dev/fuse or over io_uring, on the transports that Honeyant uses.
// There is nothing behind it: no disk, no network, no locks to speak of. What a program can do on it is what FUSE
// allows on this machine, the ceiling for any file system in user space.
//
//	fuseceiling -transport uring /mnt/x &
//	...
//	umount /mnt/x
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/frontend/fuse/uring"
)

func main() {
	transport := flag.String("transport", "auto", "auto, uring or dev")
	timeout := flag.Duration("timeout", time.Minute, "how long the kernel may keep names and attributes")
	memory := flag.Int("memory", 8<<20, "bytes for requests under way")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "want one directory to mount on; -help lists the options")
		os.Exit(2)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(uring.Processors()) // as the daemon
	}
	if err := run(flag.Arg(0), *transport, *profile, *timeout, *memory); err != nil {
		fmt.Fprintln(os.Stderr, "fuseceiling:", err)
		os.Exit(1)
	}
}

// run mounts and returns when the mount has ended. SIGTERM and SIGINT end it.
func run(path, transport, profile string, timeout time.Duration, size int) (err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, f.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			_ = f.Close() // a profile that could not be written whole says so when it is read
		}()
	}
	server, err := fuse.Connect(newMemory(timeout), path, mountOptions(size), fuse.ConnectOptions{Transport: fuse.Transport(transport), Log: log})
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		_ = unix.Unmount(path, unix.MNT_DETACH) // as umount -l: whoever is inside ends when he leaves
	}()
	server.Serve()
	return nil
}

// mountOptions are what Honeyant negotiates, as far as it concerns speed.
func mountOptions(memory int) *gofuse.MountOptions {
	return &gofuse.MountOptions{
		AllowOther: true, DirectMountStrict: os.Geteuid() == 0, Options: []string{"default_permissions"}, FsName: "fuseceiling", Name: "fuseceiling",
		MaxWrite: 1 << 20, MaxBackground: 16, MaxInflightRequestBytes: memory, DisableSplice: true,
		ExtraCapabilities: gofuse.CAP_HANDLE_KILLPRIV_V2 | gofuse.CAP_ATOMIC_O_TRUNC | gofuse.CAP_ASYNC_DIO,
	}
}
