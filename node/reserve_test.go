package node

import (
	"testing"

	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/disk"
)

// Rule 9: a store on the disk of the metadata never sees what is kept for these.
func TestReserveIsTakenOutOfTheStore(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name                   string
		size, reserve, visible int64
	}{
		{"a large disk keeps a twentieth", 40 << 30, 0, 38 << 30},
		{"a small one 512 MiB", 4 << 30, 0, 4<<30 - 512*mib},
		{"a tiny one a quarter", 1 << 30, 0, 768 * mib},
		{"as configured", 4 << 30, 1 << 30, 3 << 30},
		{"more than there is", 1 << 30, 2 << 30, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := reserved{disk.NewMemory(c.size), &config.Config{MetadataReserve: config.Size(c.reserve)}}
			space, err := fs.Space()
			if err != nil || space.Free != c.visible || space.Total != c.visible {
				t.Errorf("%+v %v, want %d bytes", space, err, c.visible)
			}
		})
	}
	if dir := t.TempDir(); !sameDisk(dir, dir) || sameDisk(dir, dir+"/none") || sameDisk(dir, "/proc") {
		t.Error("sameDisk does not know disks")
	}
}
