package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/frontend/fuse"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
	"github.com/honeyant/honeyant/volume"
	"github.com/honeyant/honeyant/volume/fileapi/server"
)

// mountsFile remembers the mounts over restarts of the daemon.
const mountsFile = "mounts.json"

// partingDeadline bounds telling the leader that this node's session ends.
const partingDeadline = 3 * time.Second

// mountDeadline bounds mounting and unmounting, which wait for the cluster.
const mountDeadline = 30 * time.Second

// mounts are the mounts of this node and the volume behind them: one session, one write
// buffer and one read cache for all of them. Safe for concurrent use.
type mounts struct {
	n *Node

	opening turn       // held while the volume or a mount is being opened or closed
	mu      sync.Mutex // guards the fields below
	volume  *volume.Volume
	session *remote.Session
	list    map[string]*mounted
	wanted  map[string]rememberedMount // by path; mounted by an earlier daemon, and not yet, or in vain, by this one
	closed  bool

	recall sync.Once // reads wanted

	files *server.Server // for other processes of this machine; nil if there is no socket
}

// turn is a lock that is held across I/O; waiting for it ends with a context.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return honeyant.E("node.mounts", honeyant.Unavailable, "", context.Cause(ctx))
	}
}

func (t turn) give() { <-t }

// mounted is one mount.
type mounted struct {
	volume string
	once   bool
	asked  string // the transport asked for, empty: as configured
	fuse   *fuse.Mount
	fs     *fuse.FS
}

// use answers the volume, opening it on first use. Kinds: Unavailable while no leader is found.
func (m *mounts) use(ctx context.Context) (*volume.Volume, error) {
	if err := m.opening.take(ctx); err != nil {
		return nil, err
	}
	defer m.opening.give()
	return m.useLocked(ctx)
}

func (m *mounts) useLocked(ctx context.Context) (*volume.Volume, error) {
	m.mu.Lock()
	v, closed := m.volume, m.closed
	m.mu.Unlock()
	if closed {
		return nil, honeyant.E("node.volume", honeyant.Unavailable, "", errors.New("the daemon is stopping"))
	}
	if v != nil {
		return v, nil
	}
	session, err := m.newSession(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.endEarlier(ctx, session.ID()); err != nil {
		return nil, errors.Join(err, session.Close(ctx))
	}
	v, err = volume.New(volume.Options{
		Meta: session, Chunks: m.n.chunks, Map: m.n.agent.Map, Node: m.n.identity.Self(),
		WriteMemory: m.n.pools.Write, ReadMemory: m.n.pools.ReadAhead, NameMemory: m.n.pools.Names, JournalMemory: m.n.pools.Journal,
		FlushInterval: m.n.cfg.FlushInterval, Deadline: m.n.cfg.CallDeadline,
		OnFenced: m.renew, Log: m.n.log,
	})
	if err != nil {
		return nil, errors.Join(err, session.Close(ctx))
	}
	m.mu.Lock()
	m.volume, m.session = v, session
	m.mu.Unlock()
	return v, nil
}

func (m *mounts) newSession(ctx context.Context) (*remote.Session, error) {
	return remote.Open(ctx, m.n.sessionOptions("mounts of "+m.n.cfg.Name))
}

// endEarlier closes the sessions that earlier daemons of this node left behind when they were
// killed: one daemon at a time has the node's directory, so they are gone. What they had open or
// locked is free at once instead of after the leader's patience with silence.
func (m *mounts) endEarlier(ctx context.Context, own honeyant.SessionID) error {
	list, err := meta.Do(ctx, m.n.doer, &meta.ListSessions{})
	if err != nil {
		return err
	}
	for _, s := range list.Sessions {
		if s.Node != m.n.identity.Self() || s.ID >= own || s.Dead {
			continue
		}
		if _, err := meta.Do(ctx, m.n.doer, &meta.CloseSession{Session: s.ID}); err != nil {
			return err
		}
	}
	return nil
}

// renew replaces a session that died: this node was silent for too long.
func (m *mounts) renew(volume.Meta) {
	m.n.log.Warn("this node's session died; what was written and not synced is lost and reported to its programs as EIO")
	for {
		ctx, cancel := context.WithTimeout(m.n.ctx, mountDeadline)
		session, err := m.newSession(ctx)
		if err == nil {
			m.mu.Lock()
			old, v := m.session, m.volume
			m.session = session
			m.mu.Unlock()
			if v != nil {
				err = v.Reset(ctx, session)
			}
			if old != nil {
				old.Close(ctx)
			}
		}
		cancel()
		if m.n.ctx.Err() != nil {
			return
		}
		if err == nil {
			m.n.log.Info("a new session is open", "session", session.ID())
			return
		}
		m.n.log.Warn("no new session yet", "error", err)
		select {
		case <-m.n.ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// add mounts at path. Kinds: Exist if it is mounted there already, Invalid, Unavailable.
func (m *mounts) add(ctx context.Context, req MountRequest) error {
	const op = "node.Mount"
	if req.Volume != "" && req.Volume != "main" {
		return honeyant.E(op, honeyant.NotExist, req.Volume, errors.New("no such volume; `honeyant volume ls` lists them"))
	}
	if !filepath.IsAbs(req.Path) {
		return honeyant.E(op, honeyant.Invalid, req.Path, errors.New("want an absolute path"))
	}
	ctx, cancel := context.WithTimeout(ctx, mountDeadline)
	defer cancel()
	if err := m.opening.take(ctx); err != nil {
		return err
	}
	defer m.opening.give()
	path := filepath.Clean(req.Path)
	if m.find(path) != nil {
		return honeyant.E(op, honeyant.Exist, path, errors.New("it is mounted there already"))
	}
	if inside(m.n.path, path) {
		return honeyant.E(op, honeyant.Invalid, path, fmt.Errorf("the node's own directory %s lies below it; a node must not live in the file system it serves", m.n.path))
	}
	transport, err := fuse.ParseTransport(cmp.Or(req.FUSETransport, m.n.cfg.FUSETransport))
	if err != nil {
		return err
	}
	v, err := m.useLocked(ctx)
	if err != nil {
		return err
	}
	var incarnation uint32
	if now := m.n.agent.Map(); now != nil {
		incarnation = now.Incarnation
	}
	fs := fuse.New(v, fuse.Options{Incarnation: incarnation, Deadline: m.n.cfg.CallDeadline, KernelCache: m.n.cfg.KernelCache, Log: m.n.log})
	mount, err := fuse.NewMount(ctx, fs, path, fuse.MountOptions{MaxInflight: int(m.n.pools.FUSE), Transport: transport, Log: m.n.log})
	if err != nil {
		return err
	}
	one := &mounted{volume: "main", once: req.Once, asked: req.FUSETransport, fuse: mount, fs: fs}
	m.mu.Lock()
	m.list[path] = one
	delete(m.wanted, path)
	m.mu.Unlock()
	go m.watch(path, one)
	m.n.log.Info("mounted", "volume", one.volume, "path", path, "transport", mount.Transport())
	return m.remember()
}

// inside tells whether path lies at or below dir.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// watch forgets a mount that somebody took away with umount(8).
func (m *mounts) watch(path string, one *mounted) {
	<-one.fuse.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.list[path] == one {
		delete(m.list, path)
	}
}

func (m *mounts) find(path string) *mounted {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list[path]
}

// remove unmounts path; a mount that is not ours, but a Honeyant one, goes too.
func (m *mounts) remove(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, mountDeadline)
	defer cancel()
	if err := m.opening.take(ctx); err != nil {
		return err
	}
	defer m.opening.give()
	path = filepath.Clean(path)
	m.recallWanted()
	m.mu.Lock()
	_, waited := m.wanted[path]
	delete(m.wanted, path)
	m.mu.Unlock()
	one := m.find(path)
	if one == nil {
		err := fuse.Unmount(ctx, path)
		if waited && errors.Is(err, honeyant.NotExist) {
			err = nil // it was not back yet, and will not come
		}
		return errors.Join(err, m.remember())
	}
	m.mu.Lock()
	v := m.volume
	m.mu.Unlock()
	syncErr := v.Sync(ctx)
	err := one.fuse.Close()
	m.mu.Lock()
	delete(m.list, path)
	m.mu.Unlock()
	return errors.Join(syncErr, err, m.remember())
}

// rememberedMount is a line of mountsFile.
type rememberedMount struct {
	Volume        string `json:"volume"`
	Path          string `json:"path"`
	FUSETransport string `json:"fuse_transport,omitempty"`
}

// remember writes the list of mounts that come back after a restart: those that are there, and those of an earlier
// daemon that this one has not brought back.
func (m *mounts) remember() error {
	m.recallWanted()
	m.mu.Lock()
	all := maps.Clone(m.wanted)
	for path, one := range m.list {
		delete(all, path)
		if !one.once {
			all[path] = rememberedMount{one.volume, path, one.asked}
		}
	}
	m.mu.Unlock()
	list := []rememberedMount{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[path])
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return config.WriteFile(filepath.Join(m.n.path, mountsFile), append(data, '\n'), 0o600)
}

// recallWanted reads, once and before anything is remembered anew, what was mounted before.
func (m *mounts) recallWanted() {
	m.recall.Do(func() {
		wanted := map[string]rememberedMount{}
		if data, err := os.ReadFile(filepath.Join(m.n.path, mountsFile)); err == nil {
			var list []rememberedMount
			if err := json.Unmarshal(data, &list); err != nil {
				m.n.log.Warn("the list of mounts can not be read; mount again by hand", "file", mountsFile, "error", err)
			}
			for _, r := range list {
				wanted[r.Path] = r
			}
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.wanted = wanted
	})
}

// restore mounts what was mounted before, and what the configuration asks for. It goes on
// trying while the cluster is not to be reached.
func (m *mounts) restore(ctx context.Context) {
	m.recallWanted()
	m.mu.Lock()
	for _, c := range m.n.cfg.Mounts {
		if path := filepath.Clean(c.Path); m.wanted[path] == (rememberedMount{}) {
			m.wanted[path] = rememberedMount{Volume: c.Volume, Path: path}
		}
	}
	wanted := maps.Clone(m.wanted)
	m.mu.Unlock()
	for len(wanted) > 0 && ctx.Err() == nil {
		for path, r := range wanted {
			if !m.stillWanted(path) {
				delete(wanted, path)
				continue
			}
			err := m.add(ctx, MountRequest{Path: path, FUSETransport: r.FUSETransport})
			if err == nil || errors.Is(err, honeyant.Exist) {
				delete(wanted, path)
			} else if !errors.Is(err, honeyant.Unavailable) {
				m.n.log.Error("not mounted", "path", path, "error", err)
				delete(wanted, path)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// stillWanted tells whether nobody has mounted or unmounted path since the daemon started.
func (m *mounts) stillWanted(path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, still := m.wanted[path]
	return still
}

// status is what `status` tells of the mounts.
func (m *mounts) status() []admin.MountStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []admin.MountStatus{}
	if m.volume == nil {
		return list
	}
	st := m.volume.Stats()
	for _, path := range slices.Sorted(maps.Keys(m.list)) {
		one := m.list[path]
		files, _, _ := one.fs.InUse()
		list = append(list, admin.MountStatus{Volume: one.volume, Path: path, Session: uint64(st.Session), OpenFiles: files,
			Inodes: st.Inodes, DirtyBytes: st.DirtyBytes + st.FlyingBytes, ReadCacheBytes: st.ReadCacheBytes,
			HeldInodes: st.Journal.Held, JournalRecords: st.Journal.Records, JournalBytes: st.Journal.Bytes,
			JournalAgeSeconds: st.Journal.Age.Seconds(), SlowestFlush: st.Journal.Slowest.Seconds(), LostChanges: st.Journal.Lost})
	}
	return list
}

// locate finds the mount above path and the path below its root.
func (m *mounts) locate(path string) (rel string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	best := ""
	for root := range m.list {
		if (path == root || strings.HasPrefix(path, root+"/")) && len(root) > len(best) {
			best = root
		}
	}
	if best == "" {
		return "", honeyant.E("node.locate", honeyant.Invalid, path, fmt.Errorf("it lies in no mount of this node; `honeyant status` lists them"))
	}
	return strings.TrimPrefix(path[len(best):], "/"), nil
}

// close takes all mounts away, then ends the session.
func (m *mounts) close(ctx context.Context) error {
	m.opening <- struct{}{} // whoever holds it has a deadline
	defer m.opening.give()
	m.mu.Lock()
	v, session := m.volume, m.session
	list := slices.Collect(maps.Values(m.list))
	m.closed, m.volume, m.session = true, nil, nil
	m.mu.Unlock()
	var faults []error
	if v != nil {
		faults = append(faults, v.Sync(ctx))
	}
	for _, one := range list {
		faults = append(faults, one.fuse.Close())
	}
	// What is left is only polite: without it the leader finds out by itself. When all machines stop at once
	// there is none to tell.
	ctx, cancel := context.WithTimeout(ctx, partingDeadline)
	defer cancel()
	if m.files != nil {
		m.files.Close(ctx)
	}
	if v != nil {
		faults = append(faults, v.Close(ctx))
	}
	if session != nil {
		faults = append(faults, session.Close(ctx))
	}
	return errors.Join(faults...)
}
