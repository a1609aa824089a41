package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/config"
	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/pebblekv"
	"github.com/honeyant/honeyant/meta"
)

// What fsck takes grows with the number of files: where it is more than there is, fsck says so instead of having the leader
// killed. And of two at once, whose copies would lie in one place, the second is refused.
func TestCheckKeepsItsMemory(t *testing.T) {
	home, err := pebbleHome(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		memory int64
		kind   honeyant.Kind
	}{{20 * checkBytes, honeyant.TooLarge}, {40 * checkBytes, honeyant.Other}} {
		faults, err := home.check(tc.memory)
		if tc.kind == honeyant.TooLarge && !errors.Is(err, honeyant.TooLarge) || tc.kind != honeyant.TooLarge && (err != nil || len(faults) > 0) {
			t.Errorf("with %d bytes: %v, %v", tc.memory, faults, err)
		}
	}
	home.checking.Lock()
	if _, err := home.check(1 << 30); !errors.Is(err, honeyant.Conflict) {
		t.Errorf("beside another: %v", err)
	}
	home.checking.Unlock()
}

// Rule 34: metadata of a level that this program does not know are not opened.
func TestHigherFeatureLevelIsRefused(t *testing.T) {
	_, err := pebbleHome(t, &meta.PutSetting{Name: laterLevel, Value: []byte("2")})
	if !errors.Is(err, honeyant.Unsupported) || !strings.Contains(err.Error(), "install a newer one") {
		t.Fatal(err)
	}
}

// laterLevel stands for the feature level where a later program has written it: this one
// refuses to.
const laterLevel = "feature_LEVEL"

// pebbleHome is a database with a root and 30 files, and what more says.
func pebbleHome(t *testing.T, more ...meta.Op) (*database, error) {
	dir := t.TempDir()
	_, db, err := pebblekv.OpenHome(dir, pebblekv.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ops := []meta.Op{&meta.Bootstrap{Cluster: "x"}}
	for n := range 30 {
		ops = append(ops, &meta.Make{Volume: honeyant.MainVolume, Parent: honeyant.RootIno, Name: fmt.Sprint(n), Mode: honeyant.ModeFile, Exclusive: true})
	}
	for _, op := range append(ops, more...) {
		_, evaluated, err := meta.Eval(db, meta.Env{Incarnation: 1, Epoch: 1}, op)
		if err != nil {
			return nil, err
		}
		var changes kv.Batch
		for _, c := range evaluated.Changes() {
			if key := bytes.Replace(c.Key, []byte(laterLevel), []byte(meta.SettingFeatureLevel), 1); c.Delete {
				changes.Delete(key)
			} else {
				changes.Put(key, c.Value)
			}
		}
		if err := db.Apply(&changes); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(db.Flush(), db.Close()); err != nil {
		return nil, err
	}
	d, err := openDatabase(vfs.Default, dir, config.PoolsFor(0), slog.New(slog.DiscardHandler))
	if err == nil {
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return d, err
}
