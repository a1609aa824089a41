package bench

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/honeyant/honeyant/internal/mountinfo"
)

// ReadHost collects what can be known about this machine and the disk below dir. It runs
// short commands (go version, cc --version) and never fails: what is unknown stays empty.
func ReadHost(ctx context.Context, dir string) Host {
	h := Host{Arch: runtime.GOARCH, Cores: runtime.NumCPU(), MemoryBytes: memInfo("MemTotal")}
	h.Name, _ = os.Hostname()
	h.Machine = machineHash()
	h.readCPU()
	h.Kernel = readLine("/proc/sys/kernel/osrelease")
	h.readOS("/etc/os-release")
	h.Libc = libc(ctx)
	h.Disk = readDisk(dir)
	h.readVirtualisation()
	h.readLimits()
	h.ClockSource = readLine("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	h.GoToolchain = firstLine(ctx, "go", "env", "GOVERSION")
	h.CCompiler = firstLine(ctx, cCompiler(), "--version")
	return h
}

func readLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(strings.TrimRight(line, "\x00"))
}

// firstLine is the first line that a command prints, "" if it is not there.
func firstLine(ctx context.Context, name string, args ...string) string {
	if name == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// machineHash tells machines apart without telling who they are.
func machineHash() string {
	id := readLine("/etc/machine-id")
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("honeyant-bench " + id))
	return hex.EncodeToString(sum[:8])
}

// flagsThatMatter are the processor features that change our figures by much.
var flagsThatMatter = map[string]bool{
	"aes": true, "vaes": true, "pclmulqdq": true, "vpclmulqdq": true, "sha_ni": true, "avx": true, "avx2": true, "avx512f": true,
	"avx512vl": true, "bmi2": true, "sse4_2": true, "rdrand": true, "hypervisor": true, "constant_tsc": true,
	"pmull": true, "sha1": true, "sha2": true, "sha512": true, "crc32": true, "asimd": true, "sve": true,
}

func (h *Host) readCPU() {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return
	}
	defer f.Close()
	arm := ""
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch key {
		case "model name", "Model":
			if h.CPU == "" {
				h.CPU = value
			}
		case "cpu MHz":
			if h.MHz == 0 {
				h.MHz, _ = strconv.ParseFloat(value, 64)
			}
		case "CPU part", "CPU implementer":
			if !strings.Contains(arm, key) {
				arm += key + " " + value + " "
			}
		case "flags", "Features":
			if h.Flags != nil {
				continue
			}
			for _, flag := range strings.Fields(value) {
				if flagsThatMatter[flag] {
					h.Flags = append(h.Flags, flag)
				}
			}
			slices.Sort(h.Flags)
		}
	}
	if h.CPU == "" {
		h.CPU = strings.TrimSpace(arm)
	}
}

func (h *Host) readOS(path string) {
	fields := keyValues(path)
	h.OS = fields["PRETTY_NAME"]
	h.OSID = strings.TrimSpace(fields["ID"] + " " + fields["VERSION_ID"])
}

// keyValues reads a file of KEY="value" lines.
func keyValues(path string) map[string]string {
	all := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		return all
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), "="); ok {
			all[key] = strings.Trim(value, `"'`)
		}
	}
	return all
}

func libc(ctx context.Context) string {
	if v := firstLine(ctx, "getconf", "GNU_LIBC_VERSION"); v != "" {
		return v
	}
	if musl, err := filepath.Glob("/lib/ld-musl-*"); err == nil && len(musl) > 0 {
		return "musl"
	}
	return ""
}

// cCompiler is the C compiler's name, "" if there is none.
func cCompiler() string {
	for _, name := range []string{"cc", "gcc", "clang"} {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	return ""
}

// readVirtualisation tells the hypervisor, the container and the cloud by what the kernel
// and the firmware say; no network is used.
func (h *Host) readVirtualisation() {
	vendor := strings.ToLower(readLine("/sys/class/dmi/id/sys_vendor") + " " + readLine("/sys/class/dmi/id/product_name") + " " + readLine("/sys/class/dmi/id/bios_vendor"))
	for _, c := range []struct{ sign, cloud string }{
		{"amazon", "aws"}, {"google", "gcp"}, {"microsoft corporation virtual", "azure"}, {"hetzner", "hetzner"}, {"digitalocean", "digitalocean"},
		{"vultr", "vultr"}, {"linode", "linode"}, {"akamai", "linode"}, {"scaleway", "scaleway"}, {"alibaba", "alibaba"}, {"openstack", "openstack"}, {"ovh", "ovh"}, {"upcloud", "upcloud"},
	} {
		if strings.Contains(vendor, c.sign) {
			h.Cloud = c.cloud
			break
		}
	}
	h.Virtualisation = "none"
	switch kind := readLine("/sys/hypervisor/type"); {
	case kind != "":
		h.Virtualisation = kind
	case strings.Contains(vendor, "vmware"):
		h.Virtualisation = "vmware"
	case strings.Contains(vendor, "virtualbox"):
		h.Virtualisation = "virtualbox"
	case strings.Contains(vendor, "microsoft corporation virtual"):
		h.Virtualisation = "hyper-v"
	case strings.Contains(vendor, "qemu"), strings.Contains(vendor, "kvm"), strings.Contains(vendor, "amazon ec2"), strings.Contains(vendor, "google"),
		readLine("/sys/devices/system/clocksource/clocksource0/current_clocksource") == "kvm-clock":
		h.Virtualisation = "kvm"
	case slices.Contains(h.Flags, "hypervisor"):
		h.Virtualisation = "yes, of unknown kind"
	}
	for _, sign := range []struct{ path, kind string }{{"/.dockerenv", "docker"}, {"/run/.containerenv", "podman"}, {"/proc/vz", "openvz"}, {"/dev/lxd", "lxd"}} {
		if _, err := os.Stat(sign.path); err == nil {
			h.Containerised = true
			h.Virtualisation += ", " + sign.kind
		}
	}
}

// readLimits reads those of the control group (version 2).
func (h *Host) readLimits() {
	group := "/"
	if text := readLine("/proc/self/cgroup"); strings.HasPrefix(text, "0::") {
		group = strings.TrimPrefix(text, "0::")
	}
	for dir := filepath.Join("/sys/fs/cgroup", group); strings.HasPrefix(dir, "/sys/fs/cgroup"); dir = filepath.Dir(dir) {
		if v, err := strconv.ParseInt(readLine(filepath.Join(dir, "memory.max")), 10, 64); err == nil && (h.MemoryLimit == 0 || v < h.MemoryLimit) {
			h.MemoryLimit = v
		}
		var quota, period float64
		if n, _ := fmt.Sscanf(readLine(filepath.Join(dir, "cpu.max")), "%g %g", &quota, &period); n == 2 && period > 0 && (h.CPUQuota == 0 || quota/period < h.CPUQuota) {
			h.CPUQuota = quota / period
		}
	}
}

// readDisk tells the file system and device below dir.
func readDisk(dir string) Disk {
	d := Disk{Directory: dir}
	if full, err := filepath.Abs(dir); err == nil {
		d.Directory = full
	}
	if full, err := filepath.EvalSymlinks(d.Directory); err == nil {
		d.Directory = full
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(d.Directory, &fs) == nil {
		d.TotalBytes, d.FreeBytes = int64(fs.Blocks)*fs.Bsize, int64(fs.Bavail)*fs.Bsize
	}
	var st syscall.Stat_t
	if syscall.Stat(d.Directory, &st) != nil {
		return d
	}
	number := fmt.Sprintf("%d:%d", uint32(st.Dev>>8)&0xfff, uint32(st.Dev&0xff|st.Dev>>12&0xfff00))
	d.FileSystem, d.Device = mountOf(d.Directory, number)
	switch {
	case d.FileSystem == "tmpfs" || d.FileSystem == "ramfs":
		d.Type = "memory"
	case strings.HasPrefix(d.FileSystem, "nfs"), strings.HasPrefix(d.FileSystem, "fuse."), d.FileSystem == "cifs", d.FileSystem == "ceph", d.FileSystem == "9p":
		d.Type = "network"
	default:
		d.Type, d.Model = deviceType(number, d.Device)
	}
	return d
}

// mountOf is the type and source of the mount that holds dir; empty where that can not be told.
func mountOf(dir, number string) (kind, source string) {
	all, err := mountinfo.Read()
	if err != nil {
		return "", ""
	}
	best := -1
	for _, m := range all {
		inside := m.Point == "/" || dir == m.Point || strings.HasPrefix(dir, m.Point+"/")
		if inside && len(m.Point) >= best && (m.Device() == number || best < 0 || len(m.Point) > best) {
			best, kind, source = len(m.Point), m.Type, m.Source
		}
	}
	return kind, source
}

// deviceType asks sysfs what kind of device number (or name) is.
func deviceType(number, device string) (kind, model string) {
	base, err := filepath.EvalSymlinks("/sys/dev/block/" + number)
	if err != nil {
		base, err = filepath.EvalSymlinks("/sys/class/block/" + filepath.Base(device))
		if err != nil {
			return "", ""
		}
	}
	if _, err := os.Stat(filepath.Join(base, "partition")); err == nil {
		base = filepath.Dir(base)
	}
	model = strings.TrimSpace(readLine(filepath.Join(base, "device/vendor")) + " " + readLine(filepath.Join(base, "device/model")))
	if strings.HasPrefix(model, "0x") {
		model = ""
	}
	name := filepath.Base(base)
	switch {
	case strings.HasPrefix(name, "nvme"):
		return "nvme", model
	case strings.HasPrefix(name, "vd"), strings.HasPrefix(name, "xvd"):
		return "virtual", model
	case readLine(filepath.Join(base, "queue/rotational")) == "1":
		return "hdd", model
	case readLine(filepath.Join(base, "queue/rotational")) == "0":
		return "ssd", model
	}
	return "", model
}
