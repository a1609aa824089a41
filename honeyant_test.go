package honeyant_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/honeyant/honeyant"
)

func TestChunkIDKeepsItsParts(t *testing.T) {
	for _, c := range []struct {
		incarnation uint32
		session     honeyant.SessionID
		counter     uint64
	}{{0, 0, 0}, {1, 2, 3}, {1<<32 - 1, 1<<48 - 1, 1<<48 - 1}, {7, 1 << 40, 1 << 33}} {
		id := honeyant.NewChunkID(c.incarnation, c.session, c.counter)
		if id.Incarnation() != c.incarnation || id.Session() != c.session || id.Counter() != c.counter {
			t.Errorf("%+v came back as %d, %d, %d", c, id.Incarnation(), id.Session(), id.Counter())
		}
		back, err := honeyant.ParseChunkID(id.String())
		if err != nil || back != id {
			t.Errorf("ParseChunkID(%s) = %v, %v", id, back, err)
		}
	}
	if _, err := honeyant.ParseChunkID("xyz"); !errors.Is(err, honeyant.Invalid) {
		t.Errorf("a bad ID gives %v", err)
	}
}

func TestErrorsAreDecidedByKind(t *testing.T) {
	inner := honeyant.E("chunk.Read", honeyant.Corrupt, "0102", errors.New("frame 3"))
	outer := honeyant.E("volume.Read", honeyant.Other, "", inner)
	if !errors.Is(outer, honeyant.Corrupt) || honeyant.KindOf(fmt.Errorf("x: %w", outer)) != honeyant.Corrupt {
		t.Errorf("kind was lost: %v", outer)
	}
	stale := honeyant.E("volume.Read", honeyant.Stale, "", inner)
	if !errors.Is(stale, honeyant.Stale) || honeyant.KindOf(stale) != honeyant.Stale {
		t.Errorf("the outer kind does not win: %v", stale)
	}
	if got := outer.Error(); strings.Count(got, "corrupt") != 1 {
		t.Errorf("the kind is told %d times: %s", strings.Count(got, "corrupt"), got)
	}
}

func TestEveryKindHasAName(t *testing.T) {
	for _, k := range honeyant.Kinds() {
		if k.String() == "" || strings.HasPrefix(k.String(), "kind ") {
			t.Errorf("kind %d has no name", uint8(k))
		}
	}
}

func TestPolicyResolvesAuto(t *testing.T) {
	for _, c := range []struct {
		p             honeyant.Policy
		nodes, copies int
		min           int
	}{
		{honeyant.Policy{}, 1, 1, 1}, {honeyant.Policy{}, 2, 2, 1}, {honeyant.Policy{}, 3, 2, 2}, {honeyant.Policy{Copies: 1}, 5, 1, 1},
		{honeyant.Policy{Copies: 3}, 2, 3, 1}, {honeyant.Policy{Copies: 3}, 4, 3, 2}, {honeyant.Policy{Copies: 3, MinCopies: 3}, 4, 3, 3},
	} {
		if copies, minCopies := c.p.Effective(c.nodes); copies != c.copies || minCopies != c.min {
			t.Errorf("%+v on %d nodes: %d copies, at least %d; want %d, %d", c.p, c.nodes, copies, minCopies, c.copies, c.min)
		}
	}
}

func TestKindOfSystem(t *testing.T) {
	_, missing := os.Stat(filepath.Join(t.TempDir(), "none"))
	for name, c := range map[string]struct {
		err  error
		kind honeyant.Kind
	}{
		"a path error":      {missing, honeyant.NotExist},
		"wrapped":           {fmt.Errorf("x: %w", syscall.ENOSPC), honeyant.NoSpace},
		"EACCES":            {syscall.EACCES, honeyant.Permission},
		"ENOLCK":            {syscall.ENOLCK, honeyant.NoLocks},
		"EPERM":             {syscall.EPERM, honeyant.NotPermitted},
		"the machine's":     {syscall.EIO, honeyant.Other},
		"no errno":          {fs.ErrExist, honeyant.Exist},
		"a kind goes first": {honeyant.E("x", honeyant.Corrupt, "", syscall.ENOENT), honeyant.Corrupt},
		"anything":          {errors.New("x"), honeyant.Other},
		"none":              {nil, honeyant.Other},
	} {
		if got := honeyant.KindOfSystem(c.err); got != c.kind {
			t.Errorf("%s: %v, want %v", name, got, c.kind)
		}
	}
}
