package admin

import "time"

// Status is what `honeyant status --json` prints.
type Status struct {
	Health    string        `json:"health"`  // ok, degraded, critical
	Summary   []string      `json:"summary"` // what is at risk, what heals, until when: plain sentences
	Cluster   string        `json:"cluster"`
	Self      string        `json:"self"`
	Leader    string        `json:"leader"` // "" while there is none
	CanLose   int           `json:"can_lose_nodes"`
	Nodes     []NodeStatus  `json:"nodes"`
	Chunks    ChunkStatus   `json:"chunks"`
	Backup    *BackupStatus `json:"backup,omitempty"` // the newest one
	Bytes     ByteStatus    `json:"bytes"`
	Heal      HealStatus    `json:"heal"`
	Mounts    []MountStatus `json:"mounts"` // of this node
	Memory    MemoryStatus  `json:"memory"` // of this node
	UptimeSec float64       `json:"uptime_seconds"`
}

// NodeStatus is a node in lists.
type NodeStatus struct {
	ID              string  `json:"id"`
	Name            string  `json:"name"`
	Address         string  `json:"address"`
	Zone            string  `json:"zone,omitempty"`
	State           string  `json:"state"` // up, down, out, removed
	Voter           bool    `json:"voter"`
	Role            string  `json:"role"`
	Leader          bool    `json:"leader"`
	SilentSeconds   float64 `json:"silent_seconds"`
	CapacityBytes   int64   `json:"capacity_bytes"`
	UsedBytes       int64   `json:"used_bytes"`
	AvailableBytes  int64   `json:"available_bytes"`
	Version         string  `json:"version,omitempty"`
	ReplicasToMove  int64   `json:"replicas_to_move,omitempty"`
	DrainedSafely   bool    `json:"drained,omitempty"`
	LastHeartbeatOK bool    `json:"heartbeat_ok"`
}

// BackupStatus is a backup of the metadata in the cluster's own stores.
type BackupStatus struct {
	Number      uint32    `json:"number"` // within its incarnation
	Incarnation uint32    `json:"incarnation"`
	Made        time.Time `json:"made"`
	AgeSeconds  float64   `json:"age_seconds"`
	Inodes      uint64    `json:"inodes"`
	Chunks      uint64    `json:"chunks"`
	Bytes       int64     `json:"bytes"`  // one copy
	Copies      int       `json:"copies"` // stores that hold all of it
}

// BackupFound is a backup that was found in stores without the metadata.
type BackupFound struct {
	Cluster     string    `json:"cluster"`
	Incarnation uint32    `json:"incarnation"`
	Number      uint32    `json:"number"`
	Made        time.Time `json:"made"`
	Inodes      uint64    `json:"inodes"`
	Chunks      uint64    `json:"chunks"`
	Bytes       int64     `json:"bytes"`
	Parts       int       `json:"parts"`
	Missing     int       `json:"parts_missing"` // in none of the stores that were searched
	Verified    bool      `json:"verified"`      // read whole, and as it was made
	Fault       string    `json:"fault,omitempty"`
}

// ChunkStatus counts chunks.
type ChunkStatus struct {
	Total           uint64 `json:"total"`
	UnderReplicated uint64 `json:"under_replicated"`
	Lost            uint64 `json:"lost"` // no replica on any store that is up
	Dead            uint64 `json:"dead"`

	Sparse    uint64 `json:"sparse"`          // of which files use less than half; they are rewritten
	Unused    int64  `json:"unused"`          // bytes of these that no file uses, one copy counted
	Rewritten uint64 `json:"rewritten"`       // under the present leader
	Freed     int64  `json:"freed"`           // by these, one copy counted
	Stuck     string `json:"stuck,omitempty"` // why sparse chunks can not be rewritten
}

// ByteStatus is the space of the cluster at the default policy.
type ByteStatus struct {
	Capacity  int64 `json:"capacity"`
	Used      int64 `json:"used"`
	Available int64 `json:"available"`
}

// HealStatus tells what is being re-created.
type HealStatus struct {
	Pending    uint64  `json:"pending"`
	ETASeconds float64 `json:"eta_seconds"`
	Stuck      string  `json:"stuck,omitempty"` // why chunks can not be healed
}

// MountStatus is one mount of this node.
type MountStatus struct {
	Volume         string `json:"volume"`
	Path           string `json:"path"`
	Session        uint64 `json:"session"`
	OpenFiles      int    `json:"open_files"`
	Inodes         int    `json:"inodes"`
	DirtyBytes     int64  `json:"dirty_bytes"`
	ReadCacheBytes int64  `json:"read_cache_bytes"`
	// Names and attributes that this node may change by itself, and what it has not told the leader yet.
	HeldInodes        int     `json:"held_inodes"`
	JournalRecords    int     `json:"journal_records"`
	JournalBytes      int64   `json:"journal_bytes"`
	JournalAgeSeconds float64 `json:"journal_age_seconds"`
	SlowestFlush      float64 `json:"slowest_flush_seconds"`
	LostChanges       uint64  `json:"lost_changes"`
}

// MemoryStatus says who holds the daemon's bytes.
type MemoryStatus struct {
	CapBytes  int64            `json:"cap_bytes"`
	RSSBytes  int64            `json:"rss_bytes"`
	HeapBytes int64            `json:"heap_bytes"`
	Pools     map[string]int64 `json:"pools_bytes"`
}

// StoreStatus is a store in lists.
type StoreStatus struct {
	ID             string `json:"id"`
	Node           string `json:"node"`
	State          string `json:"state"`
	CapacityBytes  int64  `json:"capacity_bytes"`
	UsedBytes      int64  `json:"used_bytes"`
	AvailableBytes int64  `json:"available_bytes"`
}

// VolumeStatus is a volume in lists.
type VolumeStatus struct {
	Name        string `json:"name"`
	Inodes      uint64 `json:"inodes"`
	Bytes       uint64 `json:"bytes"`
	InlineBytes uint64 `json:"inline_bytes"`
	Chunks      uint64 `json:"chunks"`
	ChunkBytes  uint64 `json:"chunk_bytes"`
}

// Join is how a machine comes in: `honeyant join ADDRESS --token TOKEN`.
type Join struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// TokenRequest asks for a token. Zero means the defaults: a day, any number of machines.
type TokenRequest struct {
	TTLSeconds float64 `json:"ttl_seconds,omitempty"`
	Uses       uint32  `json:"uses,omitempty"`
}

// TokenStatus is a token in lists.
type TokenStatus struct {
	Name      string    `json:"name"`
	Expires   time.Time `json:"expires"`
	Expired   bool      `json:"expired"`
	UsesLeft  uint32    `json:"uses_left"` // 0 in the list means used up
	Unlimited bool      `json:"unlimited"`
}

// PolicyStatus is the policy that holds at a path.
type PolicyStatus struct {
	Path            string   `json:"path"`
	From            string   `json:"from"` // the directory that carries it, or "default"
	Copies          int      `json:"copies"`
	Auto            bool     `json:"auto"`
	MinCopies       int      `json:"min_copies"`
	Placement       string   `json:"placement"`
	Stores          []string `json:"stores,omitempty"`
	BackgroundMoves bool     `json:"moves_existing_data,omitempty"`
}

// WhyReport explains one path.
type WhyReport struct {
	Path      string     `json:"path"`
	Ino       uint64     `json:"ino"`
	Type      string     `json:"type"`
	SizeBytes uint64     `json:"size_bytes"`
	Inline    uint64     `json:"inline_bytes"`
	Holes     uint64     `json:"hole_bytes"`
	Policy    string     `json:"policy"`
	Chunks    []WhyChunk `json:"chunks"`
	Sentences []string   `json:"sentences"`
	// Leases lists which nodes may answer for it from memory, or change it by themselves.
	Leases []LeaseHolder `json:"leases"`
}

// LeaseHolder is a session that has a lease on a file or directory.
type LeaseHolder struct {
	Session       uint64  `json:"session"`
	Node          string  `json:"node"`
	Exclusive     bool    `json:"exclusive"` // it may change it without asking
	Recalled      bool    `json:"recalled"`  // it was asked to give it back
	SilentSeconds float64 `json:"silent_seconds"`
}

// LeaseQuery asks who has leases on an inode.
type LeaseQuery struct {
	Ino uint64 `json:"ino"`
}

// WhyChunk is one chunk of a file.
type WhyChunk struct {
	ID       string       `json:"id"`
	Bytes    uint32       `json:"bytes"`
	Extents  int          `json:"extents"`
	Replicas []WhyReplica `json:"replicas"`
}

// WhyReplica is one copy.
type WhyReplica struct {
	Store      string `json:"store"`
	Node       string `json:"node"`
	Generation uint64 `json:"generation"`
	State      string `json:"state"` // ok, down, bad, dropping, missing
}

// WorkerStatus is a background job.
type WorkerStatus struct {
	Name     string  `json:"name"`
	State    string  `json:"state"`
	Progress string  `json:"progress,omitempty"`
	Error    string  `json:"last_error,omitempty"`
	ETA      float64 `json:"eta_seconds,omitempty"`
}

// FsckReport is what `honeyant fsck` found.
type FsckReport struct {
	OK            bool     `json:"ok"`
	Inodes        uint64   `json:"inodes"`
	Chunks        uint64   `json:"chunks"`
	Replicas      uint64   `json:"replicas"`
	ReplicaBytes  uint64   `json:"replica_bytes"`
	Faults        []string `json:"faults"`
	Missing       uint64   `json:"missing_replicas"`
	Unknown       uint64   `json:"unknown_replicas"`
	Quarantined   uint64   `json:"quarantined_replicas"`
	StoresSkipped []string `json:"stores_not_reached,omitempty"`
}

// PutRequest writes a piece of a file without a mount, making its directories.
type PutRequest struct {
	Path   string `json:"path"` // below the root of the volume
	Offset int64  `json:"offset_bytes"`
	Data   []byte `json:"data"`
	Last   bool   `json:"last"` // close the file
}

// SumRequest reads a file without a mount.
type SumRequest struct {
	Path string `json:"path"`
}

// SumReply is what a file holds.
type SumReply struct {
	SHA256 []byte `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}
