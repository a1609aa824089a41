package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLabel is the longest name of a machine, zone or volume.
const maxLabel = 63

// Validate tells every fault of the configuration at once: an error of Kind Invalid that
// wraps Faults, or nil. Whether directories can be used is found out by who opens them.
func (c *Config) Validate() error { return c.faults().err("config.Validate", c.Dir) }

func (c *Config) faults() Faults {
	var f Faults
	if fault := label(c.Name); fault != "" {
		f.add("name", "%s", fault)
	}
	if fault := label(c.Zone); c.Zone != "" && fault != "" {
		f.add("zone", "%s", fault)
	}
	if _, fault := hostPort(c.Listen); fault != "" {
		f.add("listen", "%s", fault)
	}
	if c.Advertise != "" {
		host, fault := hostPort(c.Advertise)
		if ip, err := netip.ParseAddr(host); fault == "" && (host == "" || err == nil && ip.IsUnspecified()) {
			fault = fmt.Sprintf("%q is no address that others can connect to: say this machine's own", c.Advertise)
		}
		if fault != "" {
			f.add("advertise", "%s", fault)
		}
	}
	c.memoryFaults(&f)
	c.timeFaults(&f)
	c.storeFaults(&f)
	c.mountFaults(&f)
	if !slices.Contains([]string{"auto", "uring", "dev"}, c.FUSETransport) {
		f.add("fuse_transport", "%q is no transport: say auto, uring or dev", c.FUSETransport)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		f.add("log", "%q is no level: say debug, info, warn or error", c.LogLevel)
	}
	return f
}

func (c *Config) memoryFaults(f *Faults) {
	if c.Memory != 0 && c.Memory < MinMemory {
		f.add("memory", "%v is too little: say at least %v", c.Memory, Size(MinMemory))
	}
	if ram := machineMemory(); ram > MinMemory && int64(c.Memory) > ram {
		f.add("memory", "%v is more than this machine has (%v): say less, or \"auto\"", c.Memory, Size(ram/mib*mib))
	}
	if c.MetadataReserve < 0 || c.MetadataReserve > 0 && c.MetadataReserve < 64*mib {
		f.add("metadata_reserve", "%v is too little: say at least 64MiB, or \"auto\"", c.MetadataReserve)
	}
}

func (c *Config) timeFaults(f *Faults) {
	between := func(key string, d, least, most time.Duration) {
		if d < least || d > most {
			f.add(key, "%s is out of range: say between %s and %s", durationText(d), durationText(least), durationText(most))
		}
	}
	between("down_after", c.DownAfter, 3*time.Second, 10*time.Minute)
	between("out_after", c.OutAfter, 10*time.Second, 30*24*time.Hour)
	between("backup_every", c.BackupEvery, time.Minute, 7*24*time.Hour)
	if c.OutAfter < c.DownAfter {
		f.add("out_after", "%s is less than down_after (%s): say more", durationText(c.OutAfter), durationText(c.DownAfter))
	}
	between("flush_interval", c.FlushInterval, 50*time.Millisecond, time.Minute)
	between("call_deadline", c.CallDeadline, time.Second, time.Hour)
}

func (c *Config) storeFaults(f *Faults) {
	for i, s := range c.Stores {
		key := fmt.Sprintf("%s[%d].", keyStores, i)
		if s.Path == "" {
			f.add(key+"path", "say the directory that holds the data")
		}
		if s.Capacity < 0 || s.Capacity > 0 && s.Capacity < mib {
			f.add(key+"capacity", "%v is too little: say at least 1MiB, or \"auto\"", s.Capacity)
		}
		for j, other := range c.Stores[:i] {
			if s.Path != "" && (within(s.Path, other.Path) || within(other.Path, s.Path)) {
				f.add(key+"path", "%s and %s[%d] (%s) share a directory: say another one", s.Path, keyStores, j, other.Path)
			}
		}
	}
}

func (c *Config) mountFaults(f *Faults) {
	for i, m := range c.Mounts {
		key := fmt.Sprintf("%s[%d].", keyMounts, i)
		if fault := label(m.Volume); fault != "" {
			f.add(key+"volume", "%s", fault)
		}
		if !filepath.IsAbs(m.Path) {
			f.add(key+"path", "%q is no absolute path: say where to mount, such as /mnt/honeyant", m.Path)
			continue
		}
		if c.Dir != "" && filepath.IsAbs(c.Dir) && within(c.Dir, m.Path) {
			f.add(key+"path", "the node's own directory %s lies in it: mount elsewhere", c.Dir)
		}
		for j, s := range c.Stores {
			if s.Path != "" && within(s.Path, m.Path) {
				f.add(key+"path", "%s[%d] (%s) lies in it: mount elsewhere", keyStores, j, s.Path)
			}
		}
		for j, other := range c.Mounts[:i] {
			if filepath.Clean(m.Path) == filepath.Clean(other.Path) {
				f.add(key+"path", "%s[%d] is mounted there already: say another directory", keyMounts, j)
			}
		}
	}
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	path, dir = filepath.Clean(path), filepath.Clean(dir)
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// LabelFault tells what is wrong with the name of a machine, zone or volume; empty: nothing.
func LabelFault(s string) string { return label(s) }

// label tells what is wrong with a name, if anything.
func label(s string) string {
	switch {
	case s == "":
		return "say a name"
	case len(s) > maxLabel:
		return fmt.Sprintf("the name is longer than %d letters: say a shorter one", maxLabel)
	case strings.ContainsFunc(s, func(r rune) bool { return !nameRune(r) }) || strings.ContainsRune("-._", rune(s[0])):
		return fmt.Sprintf("%q is no name: use letters, digits, and - . _ inside", s)
	}
	return ""
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
}

// hostPort tells the host of an address, and what is wrong with it, if anything.
func hostPort(s string) (host, fault string) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Sprintf("%q is no address: say HOST:PORT, such as 10.0.0.1:%s", s, DefaultPort)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Sprintf("%q has no port from 1 to 65535: say HOST:PORT, such as 10.0.0.1:%s", s, DefaultPort)
	}
	if strings.ContainsAny(host, " /") {
		return "", fmt.Sprintf("%q is no host: say HOST:PORT, such as 10.0.0.1:%s", host, DefaultPort)
	}
	return host, ""
}
