package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/clustertest"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/volume"
)

// nameOp is one operation in one directory.
type nameOp struct {
	op       string // mkdir, create, lookup, unlink, rmdir, rename, replace, link
	name, to string
	ino      honeyant.Ino // of link
	number   int          // tells the operations apart
}

// nameAnswer is what it was answered; Kind 0 is success.
type nameAnswer struct {
	kind honeyant.Kind
	ino  honeyant.Ino
	dir  bool
}

// entry is what a name stands for; an inode number that nobody was told is 0.
type entry struct {
	ino honeyant.Ino
	dir bool
	tag int // the operation that made it, if nobody was told the inode number
}

type names struct{ at map[string]entry }

// anyError as the inode number told to a link makes Exist go before NotExist.
const anyError = ^honeyant.Ino(0)

func (n names) clone() names { return names{maps.Clone(n.at)} }

// apply does the operation as POSIX wants it; told is the inode number in the answer, if any.
func (n names) apply(in nameOp, told honeyant.Ino) (nameAnswer, names) {
	e, there := n.at[in.name]
	old, taken := n.at[in.to]
	fail := func(k honeyant.Kind) (nameAnswer, names) { return nameAnswer{kind: k}, n }
	next := n.clone()
	switch in.op {
	case "mkdir", "create":
		if there {
			return fail(honeyant.Exist)
		}
		e = entry{told, in.op == "mkdir", 0}
		if told == 0 {
			e.tag = in.number
		}
		next.at[in.name] = e
		return nameAnswer{ino: told, dir: e.dir}, next
	case "lookup":
		if !there {
			return fail(honeyant.NotExist)
		}
		if e.ino == 0 { // made by an operation that was never answered: now it has a number
			for name, other := range n.at {
				if other == e {
					next.at[name] = entry{told, e.dir, 0}
				}
			}
			e.ino = told
		}
		return nameAnswer{ino: e.ino, dir: e.dir}, next
	case "unlink", "rmdir":
		switch {
		case !there:
			return fail(honeyant.NotExist)
		case e.dir && in.op == "unlink":
			return fail(honeyant.IsDir)
		case !e.dir && in.op == "rmdir":
			return fail(honeyant.NotDir)
		}
		delete(next.at, in.name)
	case "rename", "replace":
		switch {
		case !there:
			return fail(honeyant.NotExist)
		case taken && in.op == "rename":
			return fail(honeyant.Exist)
		case taken && e == old: // two names of one file: nothing happens
			return nameAnswer{}, n
		case taken && e.dir && !old.dir:
			return fail(honeyant.NotDir)
		case taken && !e.dir && old.dir:
			return fail(honeyant.IsDir)
		}
		delete(next.at, in.name)
		next.at[in.to] = e
	case "link":
		alive := false
		for _, other := range n.at {
			if other.ino == in.ino {
				e, alive = other, true
			}
		}
		switch {
		case !alive && !(taken && told == anyError):
			return fail(honeyant.NotExist)
		case taken:
			return fail(honeyant.Exist)
		}
		next.at[in.to] = e
	}
	return nameAnswer{}, next
}

var namesModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{names{at: map[string]entry{}}} },
	Step: func(state, input, output any) []any {
		n, in := state.(names), input.(nameOp)
		if output == nil { // no answer: it is done now, or it never is
			_, next := n.apply(in, 0)
			return []any{next, n}
		}
		out := output.(nameAnswer)
		want, next := n.apply(in, out.ino)
		if in.op == "link" && out.kind == honeyant.Exist { // a file that is gone to a name that is taken: either
			want, next = n.apply(in, anyError)
		}
		if want != out {
			return nil
		}
		return []any{next}
	},
	Equal: func(a, b any) bool { return maps.Equal(a.(names).at, b.(names).at) },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v -> %+v", input, output)
	},
}

// Rename, link, unlink, mkdir, rmdir and exclusive create are atomic and seen by all nodes in
// one order (promise 1), and each takes effect at most once, whatever dies or is cut meanwhile.
func TestNamesAreLinearizable(t *testing.T) {
	clustertest.Run(t, clustertest.Options{}, func(c *clustertest.Cluster) {
		one := clustertest.Files{Host: c.Host(1)}
		if err := one.Mkdir(context.Background(), "d"); err != nil {
			t.Fatal(err)
		}
		attr, err := one.Stat(context.Background(), "d")
		if err != nil {
			t.Fatal(err)
		}
		var h history
		records := map[int]*recorder{}
		for i := range 6 {
			records[i+1] = h.recorder()
		}
		var numbers atomic.Int64
		last := make([]honeyant.Ino, 7) // the file that each client looked up last, to link
		clients(c, 2, func(host *clustertest.Host, rng *rand.Rand, number int) {
			in := nameOp{op: []string{"mkdir", "create", "create", "lookup", "lookup", "unlink", "rmdir", "rename", "replace", "link"}[rng.IntN(10)],
				name: string(rune('a' + rng.IntN(4))), to: string(rune('a' + rng.IntN(4)))}
			if in.op == "link" {
				if in.ino = last[number]; in.ino == 0 {
					return
				}
				in.name = ""
			}
			in.number = int(numbers.Add(1))
			if in.name == in.to {
				in.to += "x"
			}
			ctx, cancel := patience(rng)
			defer cancel()
			records[number].op(in, in.op == "lookup", func() (any, bool) {
				out, err := doName(ctx, host, attr.Ino, in)
				if err != nil && unknown(err) {
					return nil, false
				}
				out.kind = honeyant.KindOf(err)
				if err == nil {
					out.kind = 0
				}
				if in.op == "link" && out.kind == honeyant.Stale {
					out.kind = honeyant.NotExist
				}
				if in.op == "lookup" && err == nil && !out.dir {
					last[number] = out.ino
				}
				return out, true
			})
		}, func() { trouble(c, 8) })
		h.check(t, namesModel.ToModel())
		fsck(c)
	})
}

var errDead = errors.New("the node died")

// doName carries an operation out on a node.
func doName(ctx context.Context, host *clustertest.Host, dir honeyant.Ino, in nameOp) (out nameAnswer, err error) {
	n := host.Node()
	if n == nil {
		return out, honeyant.E("test", honeyant.Unavailable, "", errDead)
	}
	v, err := n.Volume(ctx)
	if err != nil {
		return out, err
	}
	switch in.op {
	case "mkdir":
		var attr honeyant.Attr
		attr, err = v.Make(ctx, volume.NewNode{Parent: dir, Name: in.name, Mode: honeyant.ModeDir | 0o755})
		out.ino, out.dir = attr.Ino, err == nil
	case "create":
		var attr honeyant.Attr
		attr, err = v.Make(ctx, volume.NewNode{Parent: dir, Name: in.name, Mode: honeyant.ModeFile | 0o644})
		out.ino = attr.Ino
	case "lookup":
		var attr honeyant.Attr
		attr, err = v.Lookup(ctx, dir, in.name)
		out.ino, out.dir = attr.Ino, err == nil && attr.IsDir()
	case "unlink":
		err = v.Unlink(ctx, dir, in.name)
	case "rmdir":
		err = v.Rmdir(ctx, dir, in.name)
	case "rename", "replace":
		err = v.Rename(ctx, &meta.Rename{OldParent: dir, OldName: in.name, NewParent: dir, NewName: in.to, NoReplace: in.op == "rename"})
	case "link":
		_, err = v.Link(ctx, in.ino, dir, in.to)
	}
	if err != nil {
		out.ino, out.dir = 0, false
	}
	if host.Node() != n {
		err = honeyant.E("test", honeyant.Unavailable, "", errDead)
	}
	return out, err
}
