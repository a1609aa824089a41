package backup

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/wire"
)

const (
	magicManifest = "HNYBKMAN"
	partBits      = 16
	maxParts      = 1<<partBits - 1
)

// chunkID names a chunk of a backup; part 0 is the manifest.
func chunkID(incarnation uint32, number uint32, part int) honeyant.ChunkID {
	return honeyant.NewChunkID(incarnation, honeyant.BackupSession, uint64(number)<<partBits|uint64(part))
}

// numberOf is which backup of its incarnation a chunk belongs to, partOf which part of it.
func numberOf(id honeyant.ChunkID) uint32 { return uint32(id.Counter() >> partBits) }
func partOf(id honeyant.ChunkID) int      { return int(id.Counter() & maxParts) }

// Manifest describes a backup.
type Manifest struct {
	Number  uint32
	Made    time.Time // by the clock of the leader that made it; to the second
	Length  uint64    // bytes of all parts together
	Digest  [32]byte  // SHA-256 of all parts together
	Holds   meta.Holdings
	Parts   []honeyant.ChunkSum // in order
	version uint8
}

const manifestVersion = 1

func (m *Manifest) fields(c *wire.Codec) {
	m.version = manifestVersion
	wire.Uint(c, &m.version)
	if m.version != manifestVersion {
		c.Failf("manifest version %d", m.version)
		return
	}
	made := m.Made.Unix()
	wire.Int(c, &made)
	m.Made = time.Unix(made, 0).UTC()
	wire.Uint(c, &m.Number)
	wire.Uint(c, &m.Length)
	c.Fixed(m.Digest[:])
	c.String(&m.Holds.Cluster, 64)
	for _, n := range []*uint64{&m.Holds.Applied, &m.Holds.Pairs, &m.Holds.Bytes, &m.Holds.Inodes, &m.Holds.Names, &m.Holds.Chunks} {
		wire.Uint(c, n)
	}
	wire.Uint(c, &m.Holds.Incarnation)
	wire.Slice(c, &m.Parts, maxParts, wire.Sum)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode is the manifest's chunk: magic, fields, CRC32C of both.
func (m *Manifest) encode() []byte {
	b := append([]byte(magicManifest), wire.Marshal(m.fields)...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeManifest reads what encode made. Errors: Corrupt.
func decodeManifest(b []byte) (*Manifest, error) {
	fail := func(err error) (*Manifest, error) {
		return nil, honeyant.E("backup.Manifest", honeyant.Corrupt, "", err)
	}
	n := len(b) - 4
	if n < len(magicManifest) || string(b[:len(magicManifest)]) != magicManifest {
		return fail(fmt.Errorf("no manifest in %d bytes", len(b)))
	}
	if crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return fail(fmt.Errorf("its checksum does not match"))
	}
	m := &Manifest{}
	if err := wire.Unmarshal(b[len(magicManifest):n], m.fields); err != nil {
		return fail(err)
	}
	if len(m.Parts) == 0 || m.Number == 0 {
		return fail(fmt.Errorf("backup %d of %d parts", m.Number, len(m.Parts)))
	}
	return m, nil
}
