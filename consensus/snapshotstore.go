package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/rpc/wire"
)

// Names in the snapshot directory. A snapshot is a directory with a manifest and the
// directory of the state; it is whole when it has a name without tempPrefix.
const (
	tempPrefix   = "tmp-"
	stateName    = "state"
	manifestName = "manifest"

	manifestMagic   = "HYSM"
	manifestVersion = 1
)

// pinAfterInstall is how long the log behind a snapshot is kept after it was sent, so
// that the follower finds what comes next.
const pinAfterInstall = 30 * time.Second

// manifest is what a snapshot says about itself.
type manifest struct {
	index, term uint64
	configIndex uint64
	config      []byte // raft's encoding of the configuration
	applied     uint64 // the last command in the state
	size        int64  // of the archive
}

func (m *manifest) fields(c *wire.Codec) {
	wire.Uint(c, &m.index)
	wire.Uint(c, &m.term)
	wire.Uint(c, &m.configIndex)
	c.Bytes(&m.config, 1<<20)
	wire.Uint(c, &m.applied)
	wire.Int(c, &m.size)
}

func (m *manifest) encode() []byte {
	c := wire.NewEncoder([]byte(manifestMagic + string(rune(manifestVersion))))
	m.fields(c)
	return binary.BigEndian.AppendUint32(c.Encoded(), crc32.Checksum(c.Encoded(), castagnoli))
}

func decodeManifest(raw []byte) (*manifest, error) {
	bad := func(cause error) error {
		return honeyant.E("consensus.decodeManifest", honeyant.Corrupt, "manifest", cause)
	}
	head := manifestMagic + string(rune(manifestVersion))
	if len(raw) < len(head)+4 || string(raw[:len(head)]) != head {
		return nil, bad(errors.New("not a manifest of this version"))
	}
	body, sum := raw[:len(raw)-4], binary.BigEndian.Uint32(raw[len(raw)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, bad(errors.New("checksum"))
	}
	m := &manifest{}
	if err := wire.Unmarshal(body[len(head):], m.fields); err != nil {
		return nil, bad(err)
	}
	return m, nil
}

// snapshot is one published snapshot.
type snapshot struct {
	manifest
	id      string
	dir     string
	readers int  // guarded by snapshotStore.mu
	old     bool // a newer one is published; deleted when readers is 0
}

func (s *snapshot) newer(o *snapshot) bool {
	return o == nil || s.index > o.index || s.index == o.index && s.term >= o.term
}

// snapshotStore is raft's SnapshotStore. It keeps the newest snapshot.
type snapshotStore struct {
	fs  vfs.FS
	dir string

	mu     sync.Mutex // guards all below
	newest *snapshot
	serial int
	pins   map[*snapshot]time.Time // sent or being sent: keep the log behind it, until then and while it is read
}

// openSnapshotStore removes what was left unfinished and finds the newest snapshot.
func openSnapshotStore(fs vfs.FS, dir string) (*snapshotStore, error) {
	s := &snapshotStore{fs: fs, dir: dir, pins: map[*snapshot]time.Time{}}
	if err := makeDir(fs, dir); err != nil {
		return nil, err
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var all []*snapshot
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		if strings.HasPrefix(name, tempPrefix) {
			if err := fs.RemoveAll(path); err != nil {
				return nil, err
			}
			continue
		}
		m, err := readManifest(fs, path)
		if err != nil {
			return nil, err
		}
		snap := &snapshot{manifest: *m, id: name, dir: path}
		if snap.newer(s.newest) {
			s.newest = snap
		}
		all = append(all, snap)
	}
	for _, snap := range all {
		if snap != s.newest {
			if err := s.remove(snap.dir); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func readManifest(fs vfs.FS, dir string) (m *manifest, err error) {
	f, err := fs.Open(fs.PathJoin(dir, manifestName))
	if err != nil {
		return nil, honeyant.E("consensus.openSnapshots", honeyant.Corrupt, dir, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	raw, err := io.ReadAll(io.LimitReader(f, 2<<20))
	if err != nil {
		return nil, err
	}
	if m, err = decodeManifest(raw); err != nil {
		return nil, honeyant.E("consensus.openSnapshots", honeyant.Corrupt, dir, err)
	}
	return m, nil
}

// makeDir makes dir durably.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(dir))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove deletes a whole snapshot; unfinished first, so that no half of one looks whole.
func (s *snapshotStore) remove(dir string) error {
	temp := s.fs.PathJoin(s.dir, tempPrefix+"old-"+s.fs.PathBase(dir))
	if err := s.fs.Rename(dir, temp); err != nil {
		return err
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		return err
	}
	return s.fs.RemoveAll(temp)
}

// temp makes an empty directory that openSnapshotStore would remove.
func (s *snapshotStore) temp() (string, error) {
	s.mu.Lock()
	s.serial++
	dir := s.fs.PathJoin(s.dir, fmt.Sprintf("%s%d", tempPrefix, s.serial))
	s.mu.Unlock()
	if err := s.fs.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, makeDir(s.fs, dir)
}

// current is the newest snapshot, nil if there is none.
func (s *snapshotStore) current() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest
}

// covered is where the newest snapshot ends.
func (s *snapshotStore) covered() (index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return 0, 0
	}
	return s.newest.index, s.newest.term
}

// trimTop is the last entry that may go without one being missed by a follower that is
// installing a snapshot or has just done so.
func (s *snapshotStore) trimTop() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	top := ^uint64(0)
	for snap, until := range s.pins {
		if snap.readers == 0 && time.Now().After(until) {
			delete(s.pins, snap)
			continue
		}
		top = min(top, max(snap.index, 1)-1) // raft asks for the term of the entry at index, too
	}
	return top
}

// List implements raft.SnapshotStore.
func (s *snapshotStore) List() ([]*hraft.SnapshotMeta, error) {
	if snap := s.current(); snap != nil {
		return []*hraft.SnapshotMeta{snap.meta()}, nil
	}
	return nil, nil
}

func (s *snapshot) meta() *hraft.SnapshotMeta {
	return &hraft.SnapshotMeta{
		Version: hraft.SnapshotVersionMax, ID: s.id, Index: s.index, Term: s.term, Size: s.size,
		Configuration: hraft.DecodeConfiguration(s.config), ConfigurationIndex: s.configIndex,
	}
}

// Open implements raft.SnapshotStore: it streams the archive of the state.
func (s *snapshotStore) Open(id string) (*hraft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := s.newest
	if snap == nil || snap.id != id {
		return nil, nil, honeyant.E("consensus.OpenSnapshot", honeyant.NotExist, id, nil)
	}
	snap.readers++
	if _, sent := s.pins[snap]; !sent {
		s.pins[snap] = time.Time{}
	}
	return snap.meta(), &snapshotReader{store: s, snap: snap}, nil
}

// snapshotReader streams a snapshot; the packing starts with the first Read.
type snapshotReader struct {
	store *snapshotStore
	snap  *snapshot
	pipe  *io.PipeReader
	done  chan struct{}
	once  sync.Once
}

func (r *snapshotReader) Read(p []byte) (int, error) {
	if r.pipe == nil {
		in, out := io.Pipe()
		r.pipe, r.done = in, make(chan struct{})
		go func() {
			defer close(r.done)
			dir := r.store.fs.PathJoin(r.snap.dir, stateName)
			files, err := archiveFiles(r.store.fs, dir)
			if err == nil {
				err = pack(out, r.store.fs, dir, files)
			}
			out.CloseWithError(err)
		}()
	}
	return r.pipe.Read(p)
}

func (r *snapshotReader) Close() (err error) {
	r.once.Do(func() {
		if r.pipe != nil {
			err = r.pipe.Close()
			<-r.done
		}
		s := r.store
		s.mu.Lock()
		r.snap.readers--
		if r.pipe != nil { // else nothing was sent: the follower could not be reached
			s.pins[r.snap] = time.Now().Add(pinAfterInstall)
		}
		gone := r.snap.old && r.snap.readers == 0
		s.mu.Unlock()
		if gone {
			err = errors.Join(err, s.remove(r.snap.dir))
		}
	})
	return err
}

// restoreCopy makes a copy of the snapshot's state that the state machine may take over:
// the files that never change by hard link, the others as copies.
func (s *snapshotStore) restoreCopy(snap *snapshot) (string, error) {
	temp, err := s.temp()
	if err != nil {
		return "", err
	}
	from, to := s.fs.PathJoin(snap.dir, stateName), s.fs.PathJoin(temp, stateName)
	if err := s.fs.MkdirAll(to, 0o700); err != nil {
		return "", err
	}
	files, err := archiveFiles(s.fs, from)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		share := vfs.Copy
		if strings.HasSuffix(f.name, ".sst") || strings.HasSuffix(f.name, ".blob") {
			share = vfs.LinkOrCopy
		}
		if err := share(s.fs, s.fs.PathJoin(from, f.name), s.fs.PathJoin(to, f.name)); err != nil {
			return "", err
		}
	}
	return to, errors.Join(syncDir(s.fs, to), syncDir(s.fs, temp))
}

// Create implements raft.SnapshotStore.
func (s *snapshotStore) Create(_ hraft.SnapshotVersion, index, term uint64, config hraft.Configuration,
	configIndex uint64, _ hraft.Transport) (hraft.SnapshotSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest != nil && index < s.newest.index {
		return nil, honeyant.E("consensus.CreateSnapshot", honeyant.Conflict, s.newest.id, fmt.Errorf("entry %d is older", index))
	}
	s.serial++
	id := fmt.Sprintf("%d-%d-%d-%d", term, index, time.Now().UnixNano(), s.serial)
	m := manifest{index: index, term: term, configIndex: configIndex, config: hraft.EncodeConfiguration(config)}
	return &snapshotSink{store: s, id: id, manifest: m}, nil
}

// snapshotSink takes a snapshot in: either adopt gives it a checkpoint, or Write an archive.
type snapshotSink struct {
	store *snapshotStore
	id    string
	manifest
	dir    string // with the state in it
	pipe   *io.PipeWriter
	result chan error
	closed bool
}

// ID implements raft.SnapshotSink.
func (k *snapshotSink) ID() string { return k.id }

// adopt makes the checkpoint in dir/state the content.
func (k *snapshotSink) adopt(dir string, applied uint64) { k.dir, k.applied = dir, applied }

// Write unpacks the next part of an archive that another node sends.
func (k *snapshotSink) Write(p []byte) (int, error) {
	if k.pipe == nil {
		dir, err := k.store.temp()
		if err != nil {
			return 0, err
		}
		state := k.store.fs.PathJoin(dir, stateName)
		if err := k.store.fs.MkdirAll(state, 0o700); err != nil {
			return 0, err
		}
		in, out := io.Pipe()
		k.dir, k.pipe, k.result = dir, out, make(chan error, 1)
		go func() {
			err := unpack(in, k.store.fs, state)
			in.CloseWithError(errors.Join(err, io.ErrClosedPipe))
			k.result <- err
		}()
	}
	return k.pipe.Write(p)
}

// Close publishes the snapshot; it is durable on return, and the one before is deleted.
func (k *snapshotSink) Close() error {
	if k.closed {
		return nil
	}
	k.closed = true
	if k.pipe != nil {
		err := errors.Join(k.pipe.Close(), <-k.result)
		if err == nil {
			k.applied = k.index // whatever commands there were up to index, they are in it
		}
		if err != nil {
			return errors.Join(err, k.store.fs.RemoveAll(k.dir))
		}
	}
	if k.dir == "" {
		return honeyant.E("consensus.CloseSnapshot", honeyant.Internal, k.id, errors.New("empty"))
	}
	return k.store.publish(k)
}

// Cancel implements raft.SnapshotSink.
func (k *snapshotSink) Cancel() error {
	if k.closed {
		return nil
	}
	k.closed = true
	if k.pipe != nil {
		k.pipe.CloseWithError(io.ErrUnexpectedEOF)
		<-k.result
	}
	if k.dir == "" {
		return nil
	}
	return k.store.fs.RemoveAll(k.dir)
}

func (s *snapshotStore) publish(k *snapshotSink) error {
	state := s.fs.PathJoin(k.dir, stateName)
	files, err := archiveFiles(s.fs, state)
	if err != nil {
		return err
	}
	k.size = archiveSize(files)
	snap := &snapshot{manifest: k.manifest, id: k.id, dir: s.fs.PathJoin(s.dir, k.id)}
	err = errors.Join(syncDir(s.fs, state), writeFile(s.fs, s.fs.PathJoin(k.dir, manifestName), k.manifest.encode()))
	if err = errors.Join(err, syncDir(s.fs, k.dir)); err != nil {
		return err
	}
	if err := s.fs.Rename(k.dir, snap.dir); err != nil {
		return err
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		return err
	}
	s.mu.Lock()
	gone := s.newest
	if snap.newer(gone) {
		s.newest = snap
	} else {
		gone = snap
	}
	busy := false
	if gone != nil {
		gone.old = true
		busy = gone.readers > 0
	}
	s.mu.Unlock()
	if gone == nil || busy {
		return nil
	}
	return s.remove(gone.dir)
}

func writeFile(fs vfs.FS, path string, raw []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
