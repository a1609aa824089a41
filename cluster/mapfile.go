package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/rpc/wire"
)

// The map file: magic, version, length of the body, body, CRC32C of all before it
// (doc/format/identity.md).
const (
	mapMagic   = "HAMAP\x00"
	mapVersion = 1
	mapHeader  = len(mapMagic) + 2 + 4
	mapMost    = 16 << 20 // bytes of the largest body: far more than 100 nodes need
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeMap is the content of a map file.
func EncodeMap(m *honeyant.Map) []byte {
	body := marshalMap(m)
	b := make([]byte, 0, mapHeader+len(body)+4)
	b = append(b, mapMagic...)
	b = binary.BigEndian.AppendUint16(b, mapVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// DecodeMap reads what EncodeMap wrote. Errors: Corrupt, Unsupported for a later version.
func DecodeMap(b []byte) (*honeyant.Map, error) {
	const op = "cluster.DecodeMap"
	if len(b) < mapHeader+4 || string(b[:len(mapMagic)]) != mapMagic {
		return nil, honeyant.E(op, honeyant.Corrupt, "", errors.New("not a map file"))
	}
	if v := binary.BigEndian.Uint16(b[len(mapMagic):]); v != mapVersion {
		return nil, honeyant.E(op, honeyant.Unsupported, "", fmt.Errorf("map file of version %d; is this node older than what wrote it?", v))
	}
	size := binary.BigEndian.Uint32(b[len(mapMagic)+2:])
	if size > mapMost || int(size) != len(b)-mapHeader-4 {
		return nil, honeyant.E(op, honeyant.Corrupt, "", fmt.Errorf("body of %d bytes in a file of %d", size, len(b)))
	}
	end := len(b) - 4
	if binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return nil, honeyant.E(op, honeyant.Corrupt, "", errors.New("checksum does not match"))
	}
	return unmarshalMap(b[mapHeader:end])
}

// SaveMap replaces the map file; on return it is on stable storage.
func SaveMap(path string, m *honeyant.Map) error {
	return config.WriteFile(path, EncodeMap(m), 0o600)
}

// LoadMap reads the map file; nil without an error if there is none.
func LoadMap(path string) (*honeyant.Map, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, honeyant.E("cluster.LoadMap", honeyant.Internal, path, err)
	}
	m, err := DecodeMap(raw)
	if err != nil {
		return nil, honeyant.E("cluster.LoadMap", honeyant.Other, path, err)
	}
	return m, nil
}

// firstMap is where the join kept its answer, empty for an identity in memory.
func (i *Identity) firstMap() string {
	if i.dir == "" {
		return ""
	}
	return filepath.Join(i.dir, fileFirst)
}

func marshalMap(m *honeyant.Map) []byte {
	return wire.Marshal(func(c *wire.Codec) { wire.Map(c, m) })
}

func unmarshalMap(b []byte) (*honeyant.Map, error) {
	m := new(honeyant.Map)
	if err := wire.Unmarshal(b, func(c *wire.Codec) { wire.Map(c, m) }); err != nil {
		return nil, err
	}
	return m, nil
}

// newer tells whether a replaces b: by incarnation, then leadership, then version (C4).
func newer(a, b *honeyant.Map) bool {
	switch {
	case b == nil:
		return a != nil
	case a == nil:
		return false
	case a.Incarnation != b.Incarnation:
		return a.Incarnation > b.Incarnation
	case a.Epoch != b.Epoch:
		return a.Epoch > b.Epoch
	}
	return a.Version > b.Version
}
