package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/dchest/siphash"

	"github.com/honeyant/honeyant"
)

// Tables: the first byte of every key. The truth about keys and records is
// doc/format/meta.md. Tables of a volume have its ID next.
const (
	tabInode   = 'i' // volume, ino -> Inode
	tabDentry  = 'd' // volume, parent, hash, name -> dentry
	tabExtent  = 'e' // volume, data ID, offset -> extentRecord
	tabXattr   = 'x' // volume, ino, name -> value
	tabLocks   = 'l' // volume, ino -> lock list
	tabOrphan  = 'o' // volume, ino -> empty
	tabQueue   = 'q' // volume, data ID -> queued: data to be freed in slices
	tabPolicy  = 'p' // volume, ino -> Policy
	tabChunk   = 'c' // volume, chunk ID -> chunkRecord
	tabDead    = 'D' // volume, chunk ID -> empty: count is 0, not yet reclaimed
	tabShort   = 'w' // volume, chunk ID -> empty: fewer copies than wanted
	tabSparse  = 'W' // volume, chunk ID -> empty: extents use less than half of it
	tabIntent  = 'h' // volume, chunk ID, store -> intent: a replica being made
	tabRetag   = 'R' // volume, ino -> cursor of Retag: a policy to be moved down from there
	tabVolume  = 'v' // volume -> volumeRecord
	tabUsage   = 'u' // volume -> StatFSReply as record
	tabSession = 's' // session -> sessionRecord
	tabSlot    = 'S' // session, slot -> slotRecord
	tabHeld    = 'L' // session, volume, ino -> empty: the session has locks there
	tabNode    = 'n' // node -> nodeRecord
	tabStore   = 'r' // store -> storeRecord
	tabToken   = 'k' // hash -> Token
	tabSetting = 'z' // name -> value
	tabCounter = 'a' // name -> next number
	tabApplied = 'A' // -> appliedRecord: index, epoch, seq (M1, M3)
)

func key(table byte, size int) []byte {
	return append(make([]byte, 0, 1+size), table)
}

func volumeKey(table byte, v honeyant.VolumeID, more int) []byte {
	return binary.BigEndian.AppendUint32(key(table, 4+more), uint32(v))
}

// appendInoKey is inoKey in dst.
func appendInoKey(dst []byte, table byte, v honeyant.VolumeID, ino honeyant.Ino) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(append(dst, table), uint32(v)), uint64(ino))
}

// inoKey serves inode, locks, orphan and policy.
func inoKey(table byte, v honeyant.VolumeID, ino honeyant.Ino) []byte {
	return binary.BigEndian.AppendUint64(volumeKey(table, v, 8), uint64(ino))
}

func dataKey(table byte, v honeyant.VolumeID, data DataID) []byte {
	return binary.BigEndian.AppendUint64(volumeKey(table, v, 16), uint64(data))
}

func extentKey(v honeyant.VolumeID, data DataID, offset uint64) []byte {
	return binary.BigEndian.AppendUint64(dataKey(tabExtent, v, data), offset)
}

func dentryKey(v honeyant.VolumeID, parent honeyant.Ino, name string) []byte {
	k := binary.BigEndian.AppendUint64(inoKey(tabDentry, v, parent), nameHash(name))
	return append(k, name...)
}

// dentryFrom is the least key of the parent's entries with at least that hash.
func dentryFrom(v honeyant.VolumeID, parent honeyant.Ino, hash uint64) []byte {
	return binary.BigEndian.AppendUint64(inoKey(tabDentry, v, parent), hash)
}

// splitDentry reads hash and name out of a dentry key.
func splitDentry(k []byte) (hash uint64, name string) {
	return binary.BigEndian.Uint64(k[13:21]), string(k[21:])
}

func xattrKey(v honeyant.VolumeID, ino honeyant.Ino, name string) []byte {
	return append(inoKey(tabXattr, v, ino), name...)
}

// chunkKey serves chunk, dead, short and sparse.
func chunkKey(table byte, v honeyant.VolumeID, id honeyant.ChunkID) []byte {
	return append(volumeKey(table, v, 16), id[:]...)
}

func intentKey(v honeyant.VolumeID, id honeyant.ChunkID, s honeyant.StoreID) []byte {
	return binary.BigEndian.AppendUint32(chunkKey(tabIntent, v, id), uint32(s))
}

func sessionKey(s honeyant.SessionID) []byte {
	return binary.BigEndian.AppendUint64(key(tabSession, 8), uint64(s))
}

func slotKey(s honeyant.SessionID, slot uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(key(tabSlot, 12), uint64(s)), slot)
}

func heldKey(s honeyant.SessionID, v honeyant.VolumeID, ino honeyant.Ino) []byte {
	k := binary.BigEndian.AppendUint64(key(tabHeld, 20), uint64(s))
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(k, uint32(v)), uint64(ino))
}

func nodeKey(n honeyant.NodeID) []byte {
	return binary.BigEndian.AppendUint32(key(tabNode, 4), uint32(n))
}

func storeKey(s honeyant.StoreID) []byte {
	return binary.BigEndian.AppendUint32(key(tabStore, 4), uint32(s))
}

func nameKey(table byte, name string) []byte { return append(key(table, len(name)), name...) }

// nameHash is the readdir cookie of a name: SipHash-2-4 with a fixed key, cut to 63 bits so
// that it is a valid off_t, and never 0 ("from the start"), 1 or 2 (front ends: after "." and "..").
func nameHash(name string) uint64 {
	h := siphash.Hash(0x686f6e6579616e74, 0x6469722d68617368, []byte(name)) >> 1
	return max(h, 3)
}

// NameCookie is the cookie under which a listing shows a name.
func NameCookie(name string) uint64 { return nameHash(name) }

// keyString shows a key to people.
func keyString(k []byte) string {
	if len(k) == 0 {
		return "(empty key)"
	}
	return fmt.Sprintf("%c:%x", k[0], k[1:])
}
