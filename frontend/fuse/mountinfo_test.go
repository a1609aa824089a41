package fuse

import (
	"slices"
	"testing"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant/meta"
)

func TestParseMountinfo(t *testing.T) {
	raw := "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n" +
		"36 22 0:52 / /mnt/a\\040b\\134c rw,nosuid,nodev - fuse.honeyant honeyant rw,user_id=0\n" +
		"rubbish\n" +
		"37 22 x:y / /bad rw - tmpfs tmpfs rw\n"
	want := []mountEntry{
		{path: "/", major: 254, minor: 0, kind: "ext4"},
		{path: `/mnt/a b\c`, minor: 52, kind: "fuse.honeyant"},
	}
	if got := parseMountinfo([]byte(raw)); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add([]byte("36 22 0:52 / /mnt/a\\040b rw - fuse.honeyant honeyant rw\n"))
	f.Add([]byte("\\ \\1 - "))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, m := range parseMountinfo(raw) {
			if m.path == "" {
				t.Error("a mount without a path")
			}
		}
	})
}

func TestSetAttrMask(t *testing.T) {
	for name, c := range map[string]struct {
		valid uint32
		want  meta.AttrMask
	}{
		"chmod":         {gofuse.FATTR_MODE, meta.SetMode},
		"chown":         {gofuse.FATTR_UID | gofuse.FATTR_GID, meta.SetUID | meta.SetGID | meta.KillPriv},
		"truncate":      {gofuse.FATTR_SIZE | gofuse.FATTR_FH | gofuse.FATTR_KILL_SUIDGID, meta.SetSize | meta.KillPriv},
		"utimens":       {gofuse.FATTR_ATIME | gofuse.FATTR_MTIME, meta.SetAtime | meta.SetMtime},
		"touch":         {gofuse.FATTR_ATIME | gofuse.FATTR_ATIME_NOW | gofuse.FATTR_MTIME | gofuse.FATTR_MTIME_NOW, meta.SetAtimeNow | meta.SetMtimeNow},
		"only a ctime":  {gofuse.FATTR_CTIME, 0},
		"mtime omitted": {gofuse.FATTR_ATIME | gofuse.FATTR_ATIME_NOW, meta.SetAtimeNow},
	} {
		in := gofuse.SetAttrInCommon{Valid: c.valid}
		if got := setAttrOp(&in).Valid; got != c.want {
			t.Errorf("%s: mask %b, want %b", name, got, c.want)
		}
	}
}
