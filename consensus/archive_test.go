package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	hraft "github.com/hashicorp/raft"

	"github.com/honeyant/honeyant"
)

// packed makes an archive of files of these sizes.
func packed(t testing.TB, sizes ...int) (raw []byte, contents map[string]string) {
	t.Helper()
	fs := vfs.NewMem()
	contents = map[string]string{}
	if err := fs.MkdirAll("from", 0o755); err != nil {
		t.Fatal(err)
	}
	rng := rand.NewChaCha8([32]byte{1})
	for i, size := range sizes {
		name := fmt.Sprintf("%06d.sst", i)
		b := make([]byte, size)
		_, _ = rng.Read(b)
		contents[name] = string(b)
		if err := writeFile(fs, "from/"+name, b); err != nil {
			t.Fatal(err)
		}
	}
	files, err := archiveFiles(fs, "from")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := pack(&out, fs, "from", files); err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != archiveSize(files) {
		t.Fatalf("%d bytes, %d announced", out.Len(), archiveSize(files))
	}
	return out.Bytes(), contents
}

func unpacked(raw []byte) (map[string]string, error) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("to", 0o755); err != nil {
		return nil, err
	}
	if err := unpack(bytes.NewReader(raw), fs, "to"); err != nil {
		return nil, err
	}
	files, err := archiveFiles(fs, "to")
	contents := map[string]string{}
	for _, f := range files {
		b := make([]byte, f.size)
		file, err := fs.Open("to/" + f.name)
		if err != nil {
			return nil, err
		}
		if _, err := file.ReadAt(b, 0); err != nil && f.size > 0 {
			return nil, err
		}
		contents[f.name] = string(b)
	}
	return contents, err
}

func TestArchive(t *testing.T) {
	raw, want := packed(t, 0, 1, 1000, archiveBlock, archiveBlock+1, 3*archiveBlock)
	got, err := unpacked(raw)
	if err != nil || len(got) != len(want) {
		t.Fatal(len(got), err)
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	small, _ := packed(t, 3, 40, 0)
	for i := range small {
		if _, err := unpacked(small[:i]); !errors.Is(err, honeyant.Corrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		flipped := bytes.Clone(small)
		flipped[i] ^= 1 << (i % 8)
		if _, err := unpacked(flipped); !errors.Is(err, honeyant.Corrupt) {
			t.Fatalf("flipped at %d: %v", i, err)
		}
	}
}

func TestSinkRefusesBadArchive(t *testing.T) {
	good, _ := packed(t, 100, 2000)
	s, err := openSnapshotStore(vfs.NewMem(), "snapshots")
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"short": good[:len(good)-1], "long": append(bytes.Clone(good), 0), "nonsense": []byte("nonsense, and a lot of it"), "empty": nil,
	} {
		sink, err := s.Create(1, 10, 2, hraft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		for part := raw; len(part) > 0; { // in small writes, as from a network
			n := min(len(part), 700)
			if _, err := sink.Write(part[:n]); err != nil {
				break
			}
			part = part[n:]
		}
		if err := sink.Close(); err == nil {
			t.Errorf("%s: published", name)
		}
	}
	if names, err := s.fs.List("snapshots"); err != nil || len(names) != 0 || s.current() != nil {
		t.Errorf("left over: %v %v", names, err)
	}
	sink, err := s.Create(1, 10, 2, hraft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(good); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if snap := s.current(); snap == nil || snap.index != 10 || snap.size != int64(len(good)) {
		t.Errorf("snapshot %+v", snap)
	}
}

func FuzzUnpack(f *testing.F) {
	raw, _ := packed(f, 0, 10, 300)
	f.Add(raw)
	f.Add([]byte(archiveMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := unpacked(raw); err != nil && !errors.Is(err, honeyant.Corrupt) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add((&manifest{index: 7, term: 3, configIndex: 2, config: []byte("x"), applied: 6, size: 100}).encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeManifest(raw)
		if err != nil {
			if !errors.Is(err, honeyant.Corrupt) {
				t.Errorf("%v", err)
			}
			return
		}
		if again, err := decodeManifest(m.encode()); err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Errorf("%+v encoded again: %+v %v", m, again, err)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(entryKey(5), encodeEntry(&hraft.Log{Index: 5, Term: 2, Data: []byte("data"), Extensions: []byte("x")}))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var l, again hraft.Log
		if decodeEntry(key, value, &l) != nil {
			return
		}
		if err := decodeEntry(entryKey(l.Index), encodeEntry(&l), &again); err != nil || fmt.Sprint(l) != fmt.Sprint(again) {
			t.Errorf("%+v encoded again: %+v %v", l, again, err)
		}
	})
}
