package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/honeyant/honeyant"
)

// job copies one source.
type job struct {
	c       *Copier
	from    Location
	to      Location
	src     source
	root    Entry // of the source; its name is the path of the root in src
	dst     target
	dstRoot string // the path of the root in dst
	existed bool   // there was something at the target
	marked  bool   // which an earlier run had begun

	parts chan struct{} // one per part in memory

	mu     sync.Mutex // guards what follows
	firsts map[inode]*firstName
	links  []linkName
}

// inode is a file with several names in the source.
type inode struct{ dev, ino uint64 }

// firstName is the name under which its content is copied.
type firstName struct{ path string }

// linkName is a further name, made when all contents are there.
type linkName struct {
	dir   *dirNode
	path  string // in the source
	first *firstName
}

// dirNode is a directory under way: it is sealed when nothing in it is pending any more.
type dirNode struct {
	parent  *dirNode
	path    string // in the source
	entry   Entry
	mu      sync.Mutex // guards pending
	pending int
	dead    bool // it could not be made: nothing to seal; set before it is done
}

// name is an entry of the source to be copied, and what the target has under its name.
type name struct {
	dir   *dirNode // nil for a root that is no directory
	path  string   // in the source
	entry Entry
	there *Entry
}

func (j *job) close() {
	if j.src != nil {
		j.src.close()
	}
	if j.dst != nil {
		j.dst.close()
	}
}

// target path of a source path.
func (j *job) dstPath(path string) string {
	return join(j.dstRoot, strings.TrimPrefix(strings.TrimPrefix(path, j.root.Name), "/"))
}

// show is a source path for people.
func (j *job) show(path string) string {
	rest := strings.TrimPrefix(strings.TrimPrefix(path, j.root.Name), "/")
	if rest == "" {
		return j.from.String()
	}
	return strings.TrimRight(j.from.String(), "/") + "/" + rest
}

// survey walks the source to know how much there is, and refuses if it meets a file that
// was just made in the target: then the target lies in the source, however it got there.
func (j *job) survey(ctx context.Context) (err error) {
	probe := ""
	if !j.c.o.DryRun {
		probe = probeName()
		at := probe
		if j.existed && j.root.Kind == Dir {
			at = join(j.dstRoot, probe) // in the directory itself
		}
		if err := j.dst.mark(ctx, at, ""); err != nil {
			return err
		}
		defer func() {
			if e := j.dst.unmark(context.WithoutCancel(ctx), at); e != nil && err == nil {
				err = e
			}
		}()
	}
	if j.root.Kind != Dir {
		j.c.tally.total.Add(1)
		if j.root.Kind == File {
			j.c.tally.totalBytes.Add(j.root.Size)
		}
		return j.surveyFile(ctx, probe)
	}
	var mu sync.Mutex // guards linked
	linked := map[inode]bool{}
	return walk(ctx, j.c.o.Jobs, "", func(ctx context.Context, dir string, push func(string)) error {
		return pages(func(after string) ([]Entry, string, error) { return j.src.list(ctx, dir, after, true) }, func(e *Entry) error {
			switch {
			case e.Name == probe:
				return refusal("%s lies in %s: the copy would copy itself", j.to, j.from)
			case ours(e.Name):
				return nil
			case e.Kind == Dir:
				push(join(dir, e.Name))
			case e.Kind == File && e.Links > 1:
				mu.Lock()
				again := linked[inode{e.Dev, e.Ino}]
				linked[inode{e.Dev, e.Ino}] = true
				mu.Unlock()
				if !again {
					j.c.tally.totalBytes.Add(e.Size)
				}
			case e.Kind == File:
				j.c.tally.totalBytes.Add(e.Size)
			}
			j.c.tally.total.Add(1)
			return nil
		}, func(err error) error { return ignoreUnreadable(err) })
	})
}

// surveyFile looks whether the target is the source file itself.
func (j *job) surveyFile(ctx context.Context, probe string) error {
	if probe == "" || j.root.Name != j.dstRoot {
		return nil
	}
	entries, _, err := j.src.list(ctx, "", probe[:len(probe)-1], true)
	if err != nil {
		return ignoreUnreadable(err)
	}
	for _, e := range entries {
		if e.Name == probe {
			return refusal("%s and %s are the same file", j.from, j.to)
		}
	}
	return nil
}

// ignoreUnreadable lets the survey pass what the copy will report.
func ignoreUnreadable(err error) error {
	if fatal(err) || errors.Is(err, honeyant.Invalid) {
		return err
	}
	return nil
}

// pages calls each for all entries of a listing, and failed if it breaks.
func pages(list func(after string) ([]Entry, string, error), each func(*Entry) error, failed func(error) error) error {
	after := ""
	for {
		entries, next, err := list(after)
		if err != nil {
			return failed(err)
		}
		for i := range entries {
			if err := each(&entries[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

// walk visits directories in parallel, the deepest known first, so that few are pending at
// once. visit pushes those it finds.
func walk[T any](ctx context.Context, workers int, root T, visit func(ctx context.Context, dir T, push func(T)) error) error {
	var mu sync.Mutex
	more := sync.NewCond(&mu)
	stack, busy, ended := []T{root}, 0, false
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		ended = true
		more.Broadcast()
		mu.Unlock()
	})
	defer stop()
	push := func(dir T) {
		mu.Lock()
		stack = append(stack, dir)
		more.Signal()
		mu.Unlock()
	}
	next := func() (dir T, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		for len(stack) == 0 && busy > 0 && !ended {
			more.Wait()
		}
		if ended || len(stack) == 0 {
			ended = true
			more.Broadcast()
			return dir, false
		}
		dir = stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		busy++
		return dir, true
	}
	for range workers {
		g.Go(func() error {
			for {
				dir, ok := next()
				if !ok {
					return ctx.Err()
				}
				if err := visit(ctx, dir, push); err != nil {
					return err
				}
				mu.Lock()
				busy--
				more.Broadcast()
				mu.Unlock()
			}
		})
	}
	return g.Wait()
}

// copy does it.
func (j *job) copy(ctx context.Context) error {
	j.parts = make(chan struct{}, max(j.c.o.Jobs, 8))
	j.firsts = map[inode]*firstName{}
	if j.root.Kind != Dir {
		return j.copyRoot(ctx)
	}
	if !j.existed && !j.c.o.DryRun {
		if err := j.dst.mark(ctx, j.markPath(), j.from.String()); err != nil {
			return err
		}
		j.marked = true
	}
	failures := j.c.tally.failures.Load()
	if err := j.copyTree(ctx); err != nil {
		return err
	}
	if j.marked && !j.c.o.DryRun {
		j.sealParent(ctx)
		if j.c.tally.failures.Load() == failures {
			return j.dst.unmark(ctx, j.markPath())
		}
	}
	return nil
}

// markPath is where the mark lies: beside the root.
func (j *job) markPath() string {
	dir, name := split(j.dstRoot)
	return join(dir, markOf(name))
}

// sealParent syncs the directory in which the root's own name lies.
func (j *job) sealParent(ctx context.Context) {
	if j.dstRoot != "" {
		dir, _ := split(j.dstRoot)
		j.sealDir(ctx, dir, j.to.String(), nil)
	}
}

func (j *job) copyRoot(ctx context.Context) error {
	n := name{path: j.root.Name, entry: j.root}
	if j.existed {
		dir, _ := split(j.dstRoot)
		there, err := j.thereIn(ctx, dir)
		if err != nil {
			return err
		}
		n.there = there[j.dstRoot]
	}
	if err := j.copyName(ctx, &n); err != nil {
		return err
	}
	if !j.c.o.DryRun {
		j.sealParent(ctx)
	}
	return nil
}

// copyTree runs walkers that find names, and workers that copy them.
func (j *job) copyTree(ctx context.Context) error {
	root := &dirNode{path: j.root.Name, entry: j.root, pending: 1}
	names := make(chan name, 4*j.c.o.Jobs) // so that walkers are ahead, but not far
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(names)
		return walk(ctx, max(2, j.c.o.Jobs/4), root, func(ctx context.Context, dir *dirNode, push func(*dirNode)) error {
			return j.copyDir(ctx, dir, push, names)
		})
	})
	for range j.c.o.Jobs {
		g.Go(func() error {
			for n := range names {
				if err := j.copyName(ctx, &n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return j.copyLinks(context.WithoutCancel(ctx))
}

// copyDir makes one directory and hands its entries on.
func (j *job) copyDir(ctx context.Context, dir *dirNode, push func(*dirNode), names chan<- name) error {
	defer j.done(ctx, dir)
	existed, err := true, error(nil)
	if !j.c.o.DryRun {
		existed, err = j.dst.mkdir(ctx, j.dstPath(dir.path))
		if err != nil {
			dir.dead = true
			return j.failed(dir.path, err)
		}
	}
	var there map[string]*Entry
	if existed {
		if there, err = j.thereIn(ctx, j.dstPath(dir.path)); err != nil {
			return j.failed(dir.path, err)
		}
	}
	list := func(after string) ([]Entry, string, error) { return j.src.list(ctx, dir.path, after, false) }
	return pages(list, func(e *Entry) error {
		if ours(e.Name) {
			return nil
		}
		dir.add(1)
		path := join(dir.path, e.Name)
		if e.Kind == Dir {
			push(&dirNode{parent: dir, path: path, entry: *e, pending: 1})
			return nil
		}
		select {
		case names <- name{dir, path, *e, there[e.Name]}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, func(err error) error { return j.failed(dir.path, err) })
}

// thereIn is what a directory of the target has; nothing if there is none.
func (j *job) thereIn(ctx context.Context, dir string) (map[string]*Entry, error) {
	all := map[string]*Entry{}
	err := pages(func(after string) ([]Entry, string, error) { return j.dst.list(ctx, dir, after) },
		func(e *Entry) error { all[e.Name] = e; return nil }, func(err error) error { return err })
	if errors.Is(err, honeyant.NotExist) && j.c.o.DryRun {
		return nil, nil
	}
	return all, err
}

func (d *dirNode) add(n int) (left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending += n
	return d.pending
}

// done ends one thing in a directory, and with the last the directory.
func (j *job) done(ctx context.Context, dir *dirNode) {
	for ; dir != nil && dir.add(-1) == 0; dir = dir.parent {
		if ctx.Err() != nil {
			return // interrupted: the next run seals it
		}
		if dir.dead {
			continue
		}
		if dir.parent != nil {
			j.c.tally.done.Add(1)
		}
		j.c.tally.dirs.Add(1)
		if !j.c.o.DryRun {
			j.sealDir(ctx, j.dstPath(dir.path), j.show(dir.path), &dir.entry)
		}
	}
}

func (j *job) sealDir(ctx context.Context, path, show string, e *Entry) {
	notes, err := j.dst.seal(ctx, path, e)
	j.c.tally.note(show, notes)
	if err != nil && !errors.Is(err, context.Canceled) {
		j.c.tally.fail(show, err)
	}
}

// failed records an error of a path, and hands it on if nothing can go on.
func (j *job) failed(path string, err error) error {
	if fatal(err) {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%s: %w", j.show(path), err)
	}
	j.c.tally.fail(j.show(path), err)
	return nil
}

// copyLinks makes the further names of files.
func (j *job) copyLinks(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(j.c.o.Jobs)
	for _, l := range j.links {
		g.Go(func() error {
			defer j.done(ctx, l.dir)
			if l.first.path == "" {
				return j.failed(l.path, errors.New("another name of the same file, which was not copied"))
			}
			if !j.c.o.DryRun {
				if err := j.dst.link(ctx, j.dstPath(l.path), l.first.path); err != nil {
					return j.failed(l.path, err)
				}
			}
			j.c.tally.links.Add(1)
			j.c.tally.done.Add(1)
			return nil
		})
	}
	return g.Wait()
}
