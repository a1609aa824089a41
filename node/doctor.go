package node

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/frontend/fuse/uring"
)

// Level is how bad a finding is.
type Level string

// Good is fine, Note is worth knowing, Bad keeps the colony from working here.
const (
	Good Level = "ok"
	Note Level = "note"
	Bad  Level = "BAD"
)

// Finding is one thing that Doctor looked at.
type Finding struct {
	Subject string `json:"subject"`
	Level   Level  `json:"level"`
	Text    string `json:"text"`
	Mend    string `json:"mend,omitempty"` // the command or step that helps
}

const (
	minMemory = 400 << 20 // bytes of RAM below which a machine is too small
	minDisk   = 2 << 30   // bytes free below which a store makes no sense
)

// Doctor looks at this machine and at the node directory, which need not exist yet.
func Doctor(ctx context.Context, dir string) []Finding {
	distro := thisDistribution()
	return []Finding{
		{Subject: "system", Level: Good, Text: fmt.Sprintf("%s, kernel %s", distro.name, kernelRelease())},
		checkFUSE(distro),
		checkTransport(uring.Look(), os.Geteuid() == 0),
		checkUser(),
		checkPort(ctx, dir),
		checkDisk(dir),
		checkMemory(),
		checkClock(),
		checkTools(distro),
		checkDaemon(ctx, dir),
	}
}

func kernelRelease() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

func checkFUSE(d distribution) Finding {
	f := Finding{Subject: "mounting", Level: Good, Text: "/dev/fuse is there"}
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case err == nil:
		dev.Close()
	case os.IsNotExist(err):
		f.Level, f.Text, f.Mend = Bad, "there is no /dev/fuse, so nothing can be mounted (a store works without)", "modprobe fuse   (in a container: run it with --device /dev/fuse --cap-add SYS_ADMIN)"
	case os.IsPermission(err):
		f.Level, f.Text, f.Mend = Bad, "/dev/fuse may not be opened by this user", "run the daemon as root, or: "+d.packageLine("fuse3")
	default:
		f.Level, f.Text, f.Mend = Bad, "/dev/fuse: "+err.Error(), "modprobe fuse"
	}
	return f
}

// checkTransport tells how file calls reach the daemon, which only concerns speed.
func checkTransport(s uring.State, root bool) Finding {
	f := Finding{Subject: "transport", Level: Note}
	switch {
	case !s.Kernel:
		f.Text = "file calls come over /dev/fuse: this kernel has no FUSE over io_uring (Linux 6.14 with CONFIG_FUSE_IO_URING), which makes small files quicker"
	case s.Rings != nil:
		f.Text = "file calls come over /dev/fuse: " + s.Rings.Error()
		f.Mend = "sysctl kernel.io_uring_disabled=0   (in a container: a seccomp profile that allows io_uring)"
	case !root && !s.Switch:
		f.Text = "file calls come over /dev/fuse, unless the daemon runs as root: FUSE over io_uring is off"
		f.Mend = "run the daemon as root; it turns " + uring.Parameter + " on"
	case !s.Switch:
		f.Level, f.Text = Good, "file calls come over io_uring; the first mount turns that on for this machine: "+uring.Parameter
		f.Mend = "to turn it on at each start of the machine: echo options fuse enable_uring=Y > /etc/modprobe.d/fuse.conf"
	default:
		f.Level, f.Text = Good, "file calls come over io_uring"
	}
	return f
}

func checkUser() Finding {
	if os.Geteuid() == 0 {
		return Finding{Subject: "user", Level: Good, Text: "root"}
	}
	return Finding{Subject: "user", Level: Note, Text: "not root: mounts for all users and read-ahead tuning need root", Mend: "run the daemon by its systemd unit (make install)"}
}

func checkPort(ctx context.Context, dir string) Finding {
	listen := config.Default().Listen
	if cfg, err := config.Load(dir); err == nil {
		listen = cfg.Listen
	}
	f := Finding{Subject: "port", Level: Good, Text: listen + " is free"}
	if daemonAnswers(ctx, dir) {
		f.Text = listen + " is used by this node's daemon"
		return f
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		f.Level, f.Text, f.Mend = Bad, fmt.Sprintf("%s can not be listened on: %v", listen, err), "ss -ltnp   shows who has it; or choose another: --listen"
		return f
	}
	ln.Close()
	f.Mend = "the other machines must be able to reach it: open the port in the firewall of the machine and of the cloud"
	return f
}

// existingParent is the nearest directory upwards that exists.
func existingParent(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func checkDisk(dir string) Finding {
	var st syscall.Statfs_t
	parent := existingParent(dir)
	if err := syscall.Statfs(parent, &st); err != nil {
		return Finding{Subject: "disk", Level: Bad, Text: parent + ": " + err.Error()}
	}
	free := int64(st.Bavail) * st.Bsize
	f := Finding{Subject: "disk", Level: Good, Text: fmt.Sprintf("%.1f GiB free for %s", float64(free)/(1<<30), dir)}
	switch {
	case int64(st.Type) == 0x65735546:
		f.Level, f.Text, f.Mend = Bad, dir+" lies in a FUSE mount; a node must not live in the file system it serves", "choose another --dir"
	case free < minDisk:
		f.Level, f.Mend = Note, "little room for a store: free some, or join with --capacity 0 to mount only"
	}
	return f
}

func checkMemory() Finding {
	total := memoryTotal()
	f := Finding{Subject: "memory", Level: Good, Text: fmt.Sprintf("%.0f MiB", float64(total)/(1<<20))}
	if total > 0 && total < minMemory {
		f.Level, f.Mend = Note, "less than 400 MiB: keep --memory 96MiB and few other programs"
	}
	return f
}

// memoryTotal is the machine's RAM in bytes, 0 if unknown.
func memoryTotal() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kb int64
		if n, _ := fmt.Sscanf(s.Text(), "MemTotal: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}

func checkClock() Finding {
	f := Finding{Subject: "clock", Level: Good, Text: time.Now().UTC().Format(time.RFC3339)}
	var tx syscall.Timex
	state, err := syscall.Adjtimex(&tx)
	const timeError = 5 // TIME_ERROR: not synchronised
	switch {
	case time.Now().Year() < 2025:
		f.Level, f.Text, f.Mend = Note, "the clock is far off ("+f.Text+"); nothing depends on it, but file times will look odd", "timedatectl set-ntp true"
	case err == nil && state == timeError:
		f.Level, f.Text, f.Mend = Note, f.Text+", not synchronised; nothing depends on it, but file times may look odd", "timedatectl set-ntp true"
	}
	return f
}

func daemonAnswers(ctx context.Context, dir string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return admin.NewClient(dir).Call(ctx, "status", nil, nil) == nil
}

func checkDaemon(ctx context.Context, dir string) Finding {
	if _, err := os.Stat(filepath.Join(dir, "identity")); err != nil {
		return Finding{Subject: "colony", Level: Note, Text: "this machine is in no colony yet", Mend: "honeyant init, or honeyant join ..."}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var s admin.Status
	if err := admin.NewClient(dir).Call(ctx, "status", nil, &s); err != nil {
		return Finding{Subject: "colony", Level: Bad, Text: err.Error(), Mend: "systemctl start honeyant   (journalctl -u honeyant says why it stopped)"}
	}
	f := Finding{Subject: "colony", Level: Good, Text: "health " + s.Health}
	if s.Health != "ok" {
		f.Level = Note
		f.Text += ": " + strings.Join(s.Summary, " ")
	}
	return f
}
