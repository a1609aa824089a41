package honeyant

// Limits of the data plane, in bytes.
const (
	// ChunkSize is the most file data a chunk holds.
	ChunkSize = 4 << 20
	// FrameSize is the checksummed unit inside a chunk: the least that is read and verified.
	FrameSize = 64 << 10
	// InlineLimit is how far into a file its content may live with the inode.
	InlineLimit = 4 << 10
	// MaxName is the longest name of a directory entry.
	MaxName = 255
	// MaxSymlink is the longest target of a symbolic link.
	MaxSymlink = 4095
	// MaxXattr is the largest value of one extended attribute.
	MaxXattr = 64 << 10
	// MaxFileSize is the largest file: 2^63-1 rounded down to a chunk.
	MaxFileSize = 1<<63 - ChunkSize
)

// Replica is one full copy of a chunk in a store.
type Replica struct {
	Store      StoreID
	Generation Generation
}

// ChunkSum identifies a chunk's content: its length and a CRC32C over the list of its
// frames' CRCs (rule 36). Two replicas with equal sums hold equal bytes.
type ChunkSum struct {
	Length uint32 // bytes
	CRC    uint32
}

// ChunkRef is a committed or about-to-be-committed chunk with the stores that hold it.
type ChunkRef struct {
	ID       ChunkID
	Sum      ChunkSum
	Replicas []Replica
}

// Extent maps the byte range [Offset, Offset+Length) of a file onto a byte range of a
// chunk, or carries the bytes itself (Inline, then Chunk is zero). Bytes of a file that
// no extent covers are zero.
type Extent struct {
	Offset      uint64
	Length      uint32
	Chunk       ChunkID
	ChunkOffset uint32
	Inline      []byte
}

// End is the first byte after the extent.
func (e *Extent) End() uint64 { return e.Offset + uint64(e.Length) }
