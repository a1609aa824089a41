// Package pebblekv keeps a kv.DB on disk with Pebble, in a few MiB of memory.
//
// Invariants:
//
//	P1  Without a write-ahead log (the default) what is on disk is always a prefix of the
//	    applied batches, in order, each wholly or not at all: memtables are flushed in
//	    order and a batch never spans two of them. Flush makes that prefix all of them. [2]
//	P2  The first error of the disk, in the foreground or the background, sticks: every
//	    later Apply, Flush and Checkpoint returns it, nothing is retried into success, and
//	    no call waits for a disk that has failed. [9]
//	P3  A checkpoint holds everything applied before the call, and is durable on return. [2]
package pebblekv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/kv"
)

// Defaults of Options: the metadata row of the memory table (rule 37).
const (
	DefaultCacheBytes    = 4 << 20
	DefaultMemtableBytes = 2 << 20
)

// formatVersion is the on-disk format Pebble may use; raising it is an upgrade step.
const formatVersion = pebble.FormatTableFormatV6

// closeDeadline bounds how long Close waits for a database whose disk failed.
const closeDeadline = 5 * time.Second

// Options of a DB. The zero value means the documented defaults.
type Options struct {
	CacheBytes    int64  // block cache; DefaultCacheBytes if 0
	MemtableBytes uint64 // of each of two memtables; DefaultMemtableBytes if 0
	// WAL keeps a write-ahead log, so that ApplySync can make single batches durable.
	WAL bool
	FS  vfs.FS       // the real disk if nil
	Log *slog.Logger // slog.Default if nil
}

// DB is a kv.DB on disk. Safe for concurrent use.
type DB struct {
	dir   string
	wal   bool
	disk  *stopFS
	db    *pebble.DB
	calls callGate
	fault *fault

	removeOnClose atomic.Bool // another database took its place in a Home

	applied atomic.Uint64 // batches applied
	flushed atomic.Uint64 // of them known to be durable
}

var _ kv.DB = (*DB)(nil)

// Open opens the database in dir and creates it if there is none. One process at a time.
func Open(dir string, o Options) (*DB, error) {
	d := &DB{dir: dir, wal: o.WAL, fault: newFault(o.Log)}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.WAL {
		o.FS = filledFS{o.FS, int64(cmp.Or(o.MemtableBytes, DefaultMemtableBytes))}
	}
	d.disk = newStopFS(o.FS, dir, d.fault)
	d.calls.init()
	opened := make(chan error, 1)
	go func() {
		var err error
		d.db, err = pebble.Open(dir, d.pebbleOptions(o))
		opened <- err
	}()
	var err error
	select {
	case err = <-opened:
	case <-d.fault.failed:
		err = d.fault.error()
	}
	if err != nil {
		return nil, honeyant.E("pebblekv.Open", kindOf(err), dir, err)
	}
	return d, nil
}

func (d *DB) pebbleOptions(o Options) *pebble.Options {
	p := &pebble.Options{
		CacheSize:                   cmp.Or(o.CacheBytes, DefaultCacheBytes),
		MemTableSize:                cmp.Or(o.MemtableBytes, DefaultMemtableBytes),
		MemTableStopWritesThreshold: 2,
		FS:                          d.disk,
		DisableWAL:                  !o.WAL,
		FormatMajorVersion:          formatVersion,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		MaxOpenFiles:                256,
		L0CompactionThreshold:       2,
		LBaseMaxBytes:               16 << 20,
		Logger:                      d.fault,
		EventListener:               d.fault.listener(),
	}
	// Pebble takes the memory of its memtables out of the block cache, of which nothing was left.
	p.CacheSize += int64(p.MemTableSize) * int64(p.MemTableStopWritesThreshold)
	p.EnsureDefaults()
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return p
}

// Dir is where the database lives.
func (d *DB) Dir() string { return d.dir }

// Failed is closed when the disk has failed; Err then tells why.
func (d *DB) Failed() <-chan struct{} { return d.fault.failed }

// Err is the error that made the database fail, nil if none did.
func (d *DB) Err() error { return d.fault.error() }

// Apply implements kv.DB. It copies what it needs of b.
func (d *DB) Apply(b *kv.Batch) error { return d.apply(b, pebble.NoSync) }

// ApplySync is Apply, and the batch is on stable storage on return. Needs Options.WAL.
func (d *DB) ApplySync(b *kv.Batch) error { return d.apply(b, pebble.Sync) }

func (d *DB) apply(b *kv.Batch, w *pebble.WriteOptions) error {
	if b.Len() == 0 {
		return d.Err()
	}
	batch := d.db.NewBatchWithSize(b.Size() + 64)
	for i := range b.Changes() {
		c := &b.Changes()[i]
		var err error
		if c.Delete {
			err = batch.Delete(c.Key, nil)
		} else {
			err = batch.Set(c.Key, c.Value, nil)
		}
		if err != nil {
			return honeyant.E("pebblekv.Apply", honeyant.Internal, d.dir, errors.Join(err, batch.Close()))
		}
	}
	return d.commit("pebblekv.Apply", batch, w)
}

// DeleteRange removes lower <= key < upper at constant cost; synced if there is a WAL.
func (d *DB) DeleteRange(lower, upper []byte) error {
	batch := d.db.NewBatch()
	if err := batch.DeleteRange(lower, upper, nil); err != nil {
		return honeyant.E("pebblekv.DeleteRange", honeyant.Internal, d.dir, errors.Join(err, batch.Close()))
	}
	w := pebble.NoSync
	if d.wal {
		w = pebble.Sync
	}
	return d.commit("pebblekv.DeleteRange", batch, w)
}

// commit gives the batch to Pebble. A goroutine of its own does, because one that meets a
// failed disk never comes back (stopFS), and P2 wants an error then.
func (d *DB) commit(op string, batch *pebble.Batch, w *pebble.WriteOptions) error {
	return d.guarded(op, func() error {
		err := batch.Commit(w)
		if err == nil {
			d.applied.Add(1)
			err = batch.Close()
		}
		return err
	})
}

// Flush implements kv.DB.
func (d *DB) Flush() error {
	return d.guarded("pebblekv.Flush", d.flush)
}

func (d *DB) flush() error {
	target := d.applied.Load()
	if d.flushed.Load() >= target {
		return nil
	}
	done, err := d.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-d.fault.failed:
		return d.fault.error()
	}
	for old := d.flushed.Load(); old < target && !d.flushed.CompareAndSwap(old, target); old = d.flushed.Load() {
	}
	return nil
}

// Checkpoint implements kv.DB.
func (d *DB) Checkpoint(dir string) error {
	if err := d.Flush(); err != nil {
		return err
	}
	// A checkpoint that fails leaves nothing behind and says nothing about the database
	// itself, so its error does not stick.
	var failed error
	err := d.guarded("pebblekv.Checkpoint", func() error {
		failed = d.db.Checkpoint(dir, pebble.WithFlushedWAL())
		return nil
	})
	if err == nil && failed != nil {
		err = honeyant.E("pebblekv.Checkpoint", kindOf(failed), dir, failed)
	}
	return err
}

// guarded runs f unless the database has failed or is closed, and gives up waiting for it
// when the database fails meanwhile. f's own error makes the database fail.
func (d *DB) guarded(op string, f func() error) error {
	if err := d.fault.error(); err != nil {
		return honeyant.E(op, kindOf(err), d.dir, err)
	}
	if !d.calls.enter() {
		return honeyant.E(op, honeyant.Unavailable, d.dir, pebble.ErrClosed)
	}
	done := make(chan error, 1)
	go func() {
		defer d.calls.leave()
		done <- f()
	}()
	var err error
	select {
	case err = <-done:
		if err == nil {
			err = d.fault.error() // Pebble reports some failures only to its logger
		} else {
			d.fault.fail(err)
		}
	case <-d.fault.failed:
		err = d.fault.error()
	}
	if err != nil {
		return honeyant.E(op, kindOf(err), d.dir, err)
	}
	return nil
}

// Metrics is Pebble's own account of itself.
func (d *DB) Metrics() *pebble.Metrics { return d.db.Metrics() }

// Close flushes and closes. Closing twice is harmless.
func (d *DB) Close() error {
	if d.removeOnClose.Load() {
		d.flushed.Store(d.applied.Load()) // nobody will read it again
	}
	flushErr := d.Flush()
	if errors.Is(flushErr, pebble.ErrClosed) {
		return nil
	}
	if !d.calls.close() {
		return nil
	}
	if d.disk.stopped.Load() {
		return flushErr
	}
	done := make(chan error, 1)
	go func() {
		d.calls.wait()
		done <- d.db.Close()
	}()
	if flushErr == nil {
		err := <-done
		if err == nil && d.removeOnClose.Load() {
			err = d.disk.RemoveAll(d.dir)
		}
		if err != nil {
			return honeyant.E("pebblekv.Close", kindOf(err), d.dir, err)
		}
		return nil
	}
	timeout := time.NewTimer(closeDeadline)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C: // a stalled writer holds Pebble's locks; the process has to end
	}
	return flushErr
}

// kindOf classifies what Pebble or the disk said.
func kindOf(err error) honeyant.Kind {
	switch {
	case pebble.IsCorruptionError(err):
		return honeyant.Corrupt
	case vfs.IsNoSpaceError(err):
		return honeyant.NoSpace
	case errors.Is(err, pebble.ErrClosed):
		return honeyant.Unavailable
	}
	if errors.Is(err, fs.ErrExist) {
		return honeyant.Exist
	}
	if k := honeyant.KindOf(err); k != honeyant.Other {
		return k
	}
	return honeyant.Internal
}

// fault is the sticky first error, and Pebble's logger and listener that feed it.
type fault struct {
	log    *slog.Logger
	failed chan struct{} // closed by the first fail
	once   sync.Once
	err    error // set before failed is closed
}

func newFault(log *slog.Logger) *fault {
	if log == nil {
		log = slog.Default()
	}
	return &fault{log: log, failed: make(chan struct{})}
}

func (f *fault) fail(err error) {
	if errors.Is(err, pebble.ErrClosed) {
		return
	}
	f.once.Do(func() {
		f.log.Error("database failed", "err", err)
		f.err = err
		close(f.failed)
	})
}

func (f *fault) error() error {
	select {
	case <-f.failed:
		return f.err
	default:
		return nil
	}
}

func (f *fault) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: f.fail,
		DataCorruption:  func(i pebble.DataCorruptionInfo) { f.fail(i.Details) },
		DiskSlow: func(i pebble.DiskSlowInfo) {
			f.log.Warn("disk is slow", "path", i.Path, "op", i.OpType.String(), "for", i.Duration)
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) { f.log.Debug("write stall", "why", i.Reason) },
	}
}

// Infof implements pebble.Logger.
func (f *fault) Infof(format string, args ...any) {
	if f.log.Enabled(context.Background(), slog.LevelDebug) {
		f.log.Debug(fmt.Sprintf(format, args...))
	}
}

// Errorf implements pebble.Logger.
func (f *fault) Errorf(format string, args ...any) { f.log.Warn(fmt.Sprintf(format, args...)) }

// Fatalf implements pebble.Logger: Pebble can not go on, and returns an error or
// continues after this; either way the database has failed.
func (f *fault) Fatalf(format string, args ...any) { f.fail(fmt.Errorf(format, args...)) }
