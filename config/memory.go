package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// MinMemory is the smallest cap that the pools fit, and the least default, in bytes.
const MinMemory = 96 * mib

// MemoryBytes is the daemon's memory cap: what is configured, or 20 % of the machine's RAM
// (or of its cgroup's limit, if that is less), at least MinMemory.
func (c *Config) MemoryBytes() int64 {
	if c.Memory > 0 {
		return int64(c.Memory)
	}
	return max(MinMemory, machineMemory()/5)
}

// machineMemory is the RAM that this process may have at all, 0 if it can not be told.
func machineMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	ram := int64(uint64(info.Totalram) * uint64(info.Unit))
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ram
	}
	for line := range strings.Lines(string(own)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for ; len(path) > 1; path = filepath.Dir(path) { // a limit further up counts too
			raw, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.max"))
			if err != nil {
				continue
			}
			if limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil {
				ram = min(ram, limit)
			}
		}
	}
	return ram
}

// Pools is the memory table of rule 37: bytes that each part may hold. A pool that is
// exhausted blocks; it never grows.
type Pools struct {
	FUSE           int64 // requests in flight from the kernel
	Write          int64 // written data not yet committed, in whole chunks
	ReadAhead      int64
	Streams        int64 // between network and disk of the stores
	PebbleCache    int64 // block cache of the metadata
	PebbleMemtable int64 // each of the metadata's two memtables
	LogMemtable    int64 // each of the raft log's two memtables
	Raft           int64 // entries in memory
	TLS            int64 // connections
	Names          int64 // names and attributes that the mounts remember
	Journal        int64 // what the mounts hold exclusively, with their changes
}

// What grows with the cap, up to limits above which more does not make anything faster.
const (
	chunkBytes   = 4 * mib
	mostFUSE     = 64 * mib
	mostWrite    = 512 * mib
	mostRead     = 512 * mib
	mostCache    = 128 * mib
	mostMemtable = 16 * mib
	mostNames    = 64 * mib
	mostJournal  = 64 * mib
)

// PoolsFor divides a memory cap in bytes: at 96 MiB (or less) the table of rule 37 as it
// stands; above it the pools for FUSE, writing, read-ahead, the metadata's tables and what mounts know grow in proportion.
func PoolsFor(memory int64) Pools {
	grown := func(least, most int64) int64 {
		return min(most, max(least*mib, memory/(MinMemory/mib)*least))
	}
	return Pools{
		FUSE: grown(8, mostFUSE), Write: grown(8, mostWrite) / chunkBytes * chunkBytes, ReadAhead: grown(8, mostRead),
		Streams: 4 * mib, PebbleCache: grown(4, mostCache), PebbleMemtable: grown(2, mostMemtable), LogMemtable: 2 * mib,
		Raft: 6 * mib, TLS: 4 * mib, Names: grown(3, mostNames), Journal: grown(4, mostJournal),
	}
}

// Total is the sum in bytes.
func (p Pools) Total() (sum int64) {
	for _, b := range p.Named() {
		sum += b
	}
	return sum
}

// Named is the table with the names that status shows, both memtables of a kind together.
func (p Pools) Named() map[string]int64 {
	return map[string]int64{
		"fuse": p.FUSE, "write": p.Write, "read_ahead": p.ReadAhead, "streams": p.Streams,
		"pebble": p.PebbleCache + 2*p.PebbleMemtable, "raft_log": 2 * p.LogMemtable, "raft": p.Raft, "tls": p.TLS, "names": p.Names, "journal": p.Journal,
	}
}

// MetadataReserveOf is how many bytes of a disk are kept for metadata and the raft log: what
// is configured, or 5 % of it and at least 512 MiB, but never more than a quarter (rule 9).
func (c *Config) MetadataReserveOf(diskBytes int64) int64 {
	if c.MetadataReserve > 0 {
		return int64(c.MetadataReserve)
	}
	return min(max(512*mib, diskBytes/20), diskBytes/4)
}
