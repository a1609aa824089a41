package node

import (
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/disk"
)

// reserved is the disk of a store that lies on the same file system as the metadata: it never sees the
// bytes that are kept for these (rule 9), whatever capacity the store was given.
type reserved struct {
	disk.FS
	cfg *config.Config
}

// Space implements disk.FS.
func (r reserved) Space() (disk.Space, error) {
	s, err := r.FS.Space()
	kept := min(r.cfg.MetadataReserveOf(s.Total), s.Total)
	return disk.Space{Total: s.Total - kept, Free: max(0, s.Free-kept)}, err
}

// sameDisk tells whether two directories are on one file system; not if one of them can not be seen.
func sameDisk(a, b string) bool {
	x, okA := deviceOf(a)
	y, okB := deviceOf(b)
	return okA && okB && x == y
}

func deviceOf(path string) (uint64, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Dev), true
}

const (
	// fullPart is how much of the reserve is left when changes are refused. The stores leave the whole of it
	// to the metadata, which grow into it; the last part is for deletes, for the raft log and for snapshots.
	fullPart = 4
	fullLook = time.Second // between two looks at the disk
)

// diskWatch remembers what was last seen of the disk of the metadata.
type diskWatch struct {
	mu     sync.Mutex // guards the rest
	looked time.Time
	full   bool
}

// metadataFull tells the leader that the metadata's own disk reserve is used up (rule 9).
func (n *Node) metadataFull() bool {
	d := &n.leadership.full
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.looked) >= fullLook {
		d.looked = now
		was := d.full
		use, err := n.parts.FS.GetDiskUsage(n.dir.Meta())
		d.full = err == nil && int64(use.AvailBytes) < n.cfg.MetadataReserveOf(int64(use.TotalBytes))/fullPart
		if d.full && !was {
			n.log.Error("the disk of the metadata is full: only deletes are possible", "available_bytes", use.AvailBytes)
		}
	}
	return d.full
}
