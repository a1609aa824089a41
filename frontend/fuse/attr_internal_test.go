package fuse

import (
	"testing"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/honeyant/honeyant/meta"
)

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
