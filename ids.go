package honeyant

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// NodeID names a machine of the cluster. The leader hands them out from 1 on and never twice.
type NodeID uint32

// StoreID names a store (a chunk directory on a node's disk). Never reused.
type StoreID uint32

// VolumeID names a volume. The first one, called "main", is MainVolume.
type VolumeID uint32

// MainVolume is the volume that every cluster has from birth.
const MainVolume VolumeID = 1

// SessionID names one client of the metadata leader. Never reused; 48 bits are used.
type SessionID uint64

// Ino is an inode number of a volume. Never reused.
type Ino uint64

// RootIno is the inode number of a volume's root directory.
const RootIno Ino = 1

// Generation is a store-local record number: a chunk put twice into one store has
// two generations, so a late delete of the first can not touch the second (rule 5).
type Generation uint64

// ChunkID names an immutable chunk: incarnation (32 bit) ‖ session (48) ‖ counter (48),
// big-endian (rule 6). Incarnations never repeat, so neither do IDs.
type ChunkID [16]byte

// NewChunkID joins the three parts; session and counter must fit 48 bits.
func NewChunkID(incarnation uint32, session SessionID, counter uint64) ChunkID {
	var id ChunkID
	binary.BigEndian.PutUint32(id[:4], incarnation)
	putUint48(id[4:10], uint64(session))
	putUint48(id[10:16], counter)
	return id
}

// Incarnation is the cluster incarnation under which the chunk was made.
func (id ChunkID) Incarnation() uint32 { return binary.BigEndian.Uint32(id[:4]) }

// Session is the session that made the chunk.
func (id ChunkID) Session() SessionID { return SessionID(uint48(id[4:10])) }

// Counter is the session's own number of the chunk.
func (id ChunkID) Counter() uint64 { return uint48(id[10:16]) }

// BackupSession is the session number in the IDs of chunks that hold a backup of the metadata. No
// session ever has it, so that the header of a record alone tells a backup from a file's data (rule 6).
const BackupSession SessionID = 1<<48 - 1

// IsBackup tells whether the chunk is part of a backup of the metadata.
func (id ChunkID) IsBackup() bool { return id.Session() == BackupSession }

// IsZero tells whether id is the zero value, which names no chunk.
func (id ChunkID) IsZero() bool { return id == ChunkID{} }

// String is 32 hexadecimal digits.
func (id ChunkID) String() string { return hex.EncodeToString(id[:]) }

// ParseChunkID reads what String wrote.
func ParseChunkID(s string) (ChunkID, error) {
	var id ChunkID
	raw, err := hex.DecodeString(strings.TrimSpace(s))
	if err != nil || len(raw) != len(id) {
		return id, E("honeyant.ParseChunkID", Invalid, s, fmt.Errorf("want %d hexadecimal digits", 2*len(id)))
	}
	copy(id[:], raw)
	return id, nil
}

func (n NodeID) String() string  { return "n" + strconv.FormatUint(uint64(n), 10) }
func (s StoreID) String() string { return "s" + strconv.FormatUint(uint64(s), 10) }

// ParseNodeID reads "n3" or "3".
func ParseNodeID(s string) (NodeID, error) {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "n"), 10, 32)
	if err != nil || v == 0 {
		return 0, E("honeyant.ParseNodeID", Invalid, s, fmt.Errorf("want a node ID such as n3"))
	}
	return NodeID(v), nil
}

// ParseStoreID reads "s3" or "3".
func ParseStoreID(s string) (StoreID, error) {
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "s"), 10, 32)
	if err != nil || v == 0 {
		return 0, E("honeyant.ParseStoreID", Invalid, s, fmt.Errorf("want a store ID such as s3"))
	}
	return StoreID(v), nil
}

func putUint48(b []byte, v uint64) {
	b[0], b[1] = byte(v>>40), byte(v>>32)
	binary.BigEndian.PutUint32(b[2:6], uint32(v))
}

func uint48(b []byte) uint64 {
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(binary.BigEndian.Uint32(b[2:6]))
}
