package chunk

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/disk"
)

const (
	identityName = "STORE"
	identityTemp = "STORE.tmp"
	identitySize = 64
	floorStep    = 64 // segment numbers claimed at a time
)

// identity is the content of the STORE file.
type identity struct {
	key         [16]byte
	incarnation uint32
	floor       uint64 // segment numbers from it on were never used
	future      bool
}

func (id *identity) encode() []byte {
	b := make([]byte, identitySize)
	putPrefix(b, magicStore)
	copy(b[16:], id.key[:])
	binary.BigEndian.PutUint32(b[32:], id.incarnation)
	binary.BigEndian.PutUint64(b[40:], id.floor)
	sealCRC(b, 0)
	return b
}

func decodeIdentity(b []byte) (identity, bool) {
	var id identity
	if len(b) != identitySize || string(b[:8]) != magicStore || !checkCRC(b, 0) {
		return id, false
	}
	copy(id.key[:], b[16:])
	id.incarnation = binary.BigEndian.Uint32(b[32:])
	id.floor = binary.BigEndian.Uint64(b[40:])
	id.future = fromFuture(b)
	return id, id.floor <= maxSegment
}

// readIdentity gives the identity of the store, a new one if the directory has neither STORE nor segments.
func readIdentity(fs disk.FS, segments int) (identity, error) {
	const op = "chunk.Open"
	f, err := fs.Open(identityName)
	switch {
	case err == nil:
	case !errors.Is(err, honeyant.NotExist):
		return identity{}, err
	case segments > 0:
		return identity{}, corrupt(op, identityName, "missing beside %d segments", segments)
	default:
		id := identity{floor: 1}
		_, _ = rand.Read(id.key[:]) // never fails
		return id, writeIdentity(fs, &id)
	}
	b := make([]byte, identitySize+1)
	n, err := readFull(f, b, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return identity{}, honeyant.E(op, honeyant.Other, identityName, err)
	}
	id, ok := decodeIdentity(b[:n])
	if !ok {
		return id, corrupt(op, identityName, "checksum or magic is wrong")
	}
	return id, nil
}

// writeIdentity replaces the STORE file; on stable storage when it returns nil.
func writeIdentity(fs disk.FS, id *identity) error {
	return replaceFile(fs, identityTemp, identityName, id.encode())
}

// replaceFile writes data under the name temp, then renames it to name; on stable storage
// when it returns nil.
func replaceFile(fs disk.FS, temp, name string, data []byte) error {
	if err := fs.Remove(temp); err != nil && !errors.Is(err, honeyant.NotExist) {
		return err
	}
	f, err := fs.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, ignoreMissing(fs.Remove(temp)))
	}
	if err := fs.Rename(temp, name); err != nil {
		return err
	}
	return fs.SyncDir()
}

func ignoreMissing(err error) error {
	if errors.Is(err, honeyant.NotExist) {
		return nil
	}
	return err
}

// Incarnation is the highest cluster incarnation the store has seen.
func (s *Store) Incarnation() uint32 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ident.incarnation
}

// RaiseIncarnation makes the store refuse everything older than n (rule 4). It returns nil when that is
// on stable storage; Kinds: Stale if the store has already seen a higher one,
// Unavailable (failing, closed), Unsupported (read-only store).
func (s *Store) RaiseIncarnation(n uint32) error {
	const op = "chunk.RaiseIncarnation"
	return s.changeIdentity(op, func(id *identity) (bool, error) {
		if n < id.incarnation {
			return false, honeyant.E(op, honeyant.Stale, "", fmt.Errorf("incarnation %d, the store has seen %d", n, id.incarnation))
		}
		raised := n > id.incarnation
		id.incarnation = n
		return raised, nil
	})
}

// Key names this store for ever: 32 hexadecimal digits made at its creation.
func (s *Store) Key() string { return hex.EncodeToString(s.ident.key[:]) }

// changeIdentity writes the identity as change leaves it, one change after another.
func (s *Store) changeIdentity(op string, change func(*identity) (bool, error)) error {
	s.identToken <- struct{}{}
	defer func() { <-s.identToken }()
	s.mu.RLock()
	id, err := s.ident, s.mayChange(op)
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	changed, err := change(&id)
	if err != nil || !changed {
		return err
	}
	if err := writeIdentity(s.fs, &id); err != nil {
		return honeyant.E(op, honeyant.Other, identityName, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ident = id
	return nil
}
