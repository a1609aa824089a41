package node

import (
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
)

// The parameters and answers of the command socket that are not in package admin.

// Target names a node, by ID or by name.
type Target struct {
	Node string `json:"node"`
}

// ShowReply is one node with its stores.
type ShowReply struct {
	Node   admin.NodeStatus    `json:"node"`
	Stores []admin.StoreStatus `json:"stores"`
}

// DrainRequest empties a node, or with Undo lets it take data again.
type DrainRequest struct {
	Node string `json:"node"`
	Undo bool   `json:"undo,omitempty"`
}

// DrainProgress tells how far a drain is. Done comes with the proof: metadata list no replica
// there any more, and every chunk's other replicas were read back before each drop.
type DrainProgress struct {
	Node     string `json:"node"`
	Left     uint64 `json:"replicas_left"`
	Scanned  bool   `json:"scanned"`
	Stuck    string `json:"stuck,omitempty"`
	Done     bool   `json:"done"`
	SafeNote string `json:"note,omitempty"`
}

// String is the progress in words.
func (p DrainProgress) String() string {
	switch {
	case p.Done:
		return p.SafeNote
	case !p.Scanned:
		return "looking at all chunks"
	case p.Stuck != "":
		return fmt.Sprintf("%d replicas left on %s; some can not be moved: %s", p.Left, p.Node, p.Stuck)
	}
	return fmt.Sprintf("%d replicas left on %s", p.Left, p.Node)
}

// RemoveRequest locks a node out.
type RemoveRequest struct {
	Node  string `json:"node"`
	Force bool   `json:"force,omitempty"`
}

// LabelRequest changes a node's name or zone.
type LabelRequest struct {
	Node string `json:"node"`
	Name string `json:"name,omitempty"`
	Zone string `json:"zone,omitempty"`
}

// PathRequest asks about a path, absolute in this machine's name space, below a mount.
type PathRequest struct {
	Path string `json:"path"`
}

// PolicyRequest sets or removes the policy of a directory.
type PolicyRequest struct {
	Path   string          `json:"path"`
	Policy honeyant.Policy `json:"policy"`
	Remove bool            `json:"remove,omitempty"`
}

// WorkerRequest names a background job.
type WorkerRequest struct {
	Name string `json:"name"`
}

// MountRequest mounts or unmounts.
type MountRequest struct {
	Volume string `json:"volume,omitempty"`
	Path   string `json:"path"`
	Once   bool   `json:"once,omitempty"` // not again when the daemon restarts
	// FUSETransport is how requests come: auto, uring or dev; empty: as the configuration says.
	FUSETransport string `json:"fuse_transport,omitempty"`
}

// JoinReply tells who the machine is now.
type JoinReply struct {
	Node    string `json:"node"`
	Cluster string `json:"cluster"`
}
