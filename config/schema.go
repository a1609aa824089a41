package config

import (
	"fmt"
	"time"
)

// A field is one key of the file: how to explain, read and write it.
type field[T any] struct {
	key     string
	comment string // lines without #
	set     func(*T, any) error
	text    func(*T) string // as TOML
}

// fields lists the keys of the file in the order in which Write shows them.
func fields() []field[Config] {
	return []field[Config]{
		text("name", "Name of this machine, for people. Default: its host name.", func(c *Config) *string { return &c.Name }),
		text("listen", "The one port that others connect to.", func(c *Config) *string { return &c.Listen }),
		text("advertise", "Address at which the others reach this machine, if it is not the one it listens on\n(behind NAT, or with several networks). Default: found out.", func(c *Config) *string { return &c.Advertise }),
		text("zone", "Machines that fail together (one host, rack or data centre) have the same zone:\ncopies go to different zones first.", func(c *Config) *string { return &c.Zone }),
		size("memory", "Memory cap of the daemon. \"auto\": 20 % of the machine's RAM, at least 96MiB.", func(c *Config) *Size { return &c.Memory }),
		size("metadata_reserve", "Disk space that stores leave free for metadata. \"auto\": 5 % of the disk, at least 512MiB.", func(c *Config) *Size { return &c.MetadataReserve }),
		duration("down_after", "A machine silent for so long is down: reads and writes go round it. Counted by the\nleading machine: keep it the same on all.", func(c *Config) *time.Duration { return &c.DownAfter }),
		duration("out_after", "After so long what it held is copied elsewhere. Keep it the same on all machines.", func(c *Config) *time.Duration { return &c.OutAfter }),
		duration("backup_every", "So often the leading machine backs the metadata up into the stores. Keep it the same on\nall machines.", func(c *Config) *time.Duration { return &c.BackupEvery }),
		duration("flush_interval", "Written data that no fsync asked for are safe after so long.", func(c *Config) *time.Duration { return &c.FlushInterval }),
		duration("call_deadline", "A program that waits for a cluster out of reach gets an error after so long.", func(c *Config) *time.Duration { return &c.CallDeadline }),
		flag("kernel_cache", "Let the kernel keep attributes (and names: Linux 6.16, root) under leases: stat on a warm\ntree needs no request. See doc/semantics.md.", func(c *Config) *bool { return &c.KernelCache }),
		text("fuse_transport", "How file calls reach the daemon: \"uring\" (io_uring, Linux 6.14, quicker), \"dev\" (/dev/fuse), or\n\"auto\": io_uring where the machine has it. `honeyant doctor` tells.", func(c *Config) *string { return &c.FUSETransport }),
		text("log", "Least level that is logged: debug, info, warn or error.", func(c *Config) *string { return &c.LogLevel }),
	}
}

// Keys of the tables.
const (
	keyStores = "stores"
	keyMounts = "mounts"
)

func storeFields() []field[Store] {
	return []field[Store]{
		text("path", "", func(s *Store) *string { return &s.Path }),
		size("capacity", "", func(s *Store) *Size { return &s.Capacity }),
	}
}

func mountFields() []field[Mount] {
	return []field[Mount]{
		text("volume", "", func(m *Mount) *string { return &m.Volume }),
		text("path", "", func(m *Mount) *string { return &m.Path }),
	}
}

const (
	storesComment = "Directories of this machine that hold file data, one [[stores]] each; \"stores = []\" for\nnone. A path is relative to this file's directory. capacity is what the cluster may use\nthere at most; \"auto\": all that the disk has but a reserve."
	mountsComment = "Volumes that the daemon mounts at start, one [[mounts]] each."
)

// text is a string key.
func text[T any](key, comment string, at func(*T) *string) field[T] {
	return field[T]{
		key: key, comment: comment,
		set: func(c *T, v any) error {
			s, ok := v.(string)
			if !ok {
				return fmt.Errorf("want a text in quotes, not %v", v)
			}
			*at(c) = s
			return nil
		},
		text: func(c *T) string { return quote(*at(c)) },
	}
}

// size is a key of bytes, 0 being "auto".
func size[T any](key, comment string, at func(*T) *Size) field[T] {
	return field[T]{
		key: key, comment: comment,
		set: func(c *T, v any) error {
			switch v := v.(type) {
			case int64:
				if v < 0 {
					return fmt.Errorf("%d bytes are less than none", v)
				}
				*at(c) = Size(v)
				return nil
			case string:
				if v == "auto" {
					*at(c) = 0
					return nil
				}
				if n, err := ParseSize(v); err == nil {
					*at(c) = Size(n)
					return nil
				}
			}
			return fmt.Errorf(`%q is no size: say "auto", "20GiB", "500MB" or a number of bytes`, fmt.Sprint(v))
		},
		text: func(c *T) string {
			if *at(c) == 0 {
				return `"auto"`
			}
			return quote((*at(c)).String())
		},
	}
}

// duration is a key of time.
func duration[T any](key, comment string, at func(*T) *time.Duration) field[T] {
	return field[T]{
		key: key, comment: comment,
		set: func(c *T, v any) error {
			if s, ok := v.(string); ok {
				if d, err := ParseDuration(s); err == nil {
					*at(c) = d
					return nil
				}
			}
			return fmt.Errorf(`%q is no time: say it with its unit, such as "10s", "5m" or "2d"`, fmt.Sprint(v))
		},
		text: func(c *T) string { return quote(durationText(*at(c))) },
	}
}

// flag is a key that is true or false.
func flag[T any](key, comment string, at func(*T) *bool) field[T] {
	return field[T]{
		key: key, comment: comment,
		set: func(c *T, v any) error {
			b, ok := v.(bool)
			if !ok {
				return fmt.Errorf("want true or false, not %v", v)
			}
			*at(c) = b
			return nil
		},
		text: func(c *T) string { return fmt.Sprint(*at(c)) },
	}
}

// quote writes a TOML basic string.
func quote(s string) string {
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, string(r)...)
		}
	}
	return string(append(b, '"'))
}
