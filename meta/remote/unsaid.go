package remote

import (
	"context"
	"errors"

	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/rpc/wire"
)

// saying is files that the leader is being told to be open. None is released meanwhile, so that the release can not
// overtake it.
type saying struct {
	o     *openFiles
	files []meta.OpenFile
	of    []*fileOpens
	stamp uint64
}

// say begins to tell of files that are open. o.mu is held.
func (o *openFiles) say(files []meta.OpenFile) *saying {
	o.stamp++
	s := &saying{o: o, files: files, stamp: o.stamp}
	for _, f := range files {
		e := o.files[f]
		e.underWay++
		e.maybe = true
		s.of = append(s.of, e)
	}
	return s
}

// unsaid begins to tell those of the files that are open and of which the leader has not confirmed to know.
func (o *openFiles) unsaid(of []meta.OpenFile) *saying {
	o.mu.Lock()
	defer o.mu.Unlock()
	var files []meta.OpenFile
	for _, f := range of {
		if e := o.files[f]; e != nil && !e.said && e.count > 0 {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil
	}
	return o.say(files)
}

// end ends it; said tells that the leader has confirmed.
func (s *saying) end(said bool) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	for i, e := range s.of {
		e.underWay--
		e.said = e.said || said
		s.o.settle(s.files[i], e)
	}
}

// openedUnsaid counts an open that the leader is not told of.
func (o *openFiles) openedUnsaid(f meta.OpenFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entry(f).count++
}

// OpenLeased opens a file without a word to the leader, as meta.Open does with one; CloseLeased takes it back. That
// is good if, when it has returned, a lease on the inode is still in force: the leader lets nobody delete an inode on
// which there are leases (rule 22). It is told when it recalls the lease, before that is acknowledged, and when leases
// have ended otherwise.
func (s *Session) OpenLeased(f meta.OpenFile) { s.opens.openedUnsaid(f) }

// CloseLeased takes an open back, whether the leader was told of it or not, as meta.Release does.
func (s *Session) CloseLeased(f meta.OpenFile) { s.opens.close(f) }

// sayOpen tells the leader which of the files are open, if it does not know.
func (s *Session) sayOpen(ctx context.Context, files []meta.OpenFile) error {
	saying := s.opens.unsaid(files)
	if saying == nil {
		return nil
	}
	err := s.reassert(ctx, 0, 0, saying, false)
	saying.end(err == nil)
	return err
}

// reassert tells the leader of an epoch (0: any) of open files; last says that these are all. Stale: the epoch is another.
func (s *Session) reassert(ctx context.Context, epoch, term uint64, saying *saying, last bool) error {
	files := saying.files
	for {
		part := files[:min(len(files), maxOpens)]
		files = files[len(part):]
		as := meta.Reasserted{Epoch: epoch, Term: term, Stamp: saying.stamp}
		r := reassertRequest{session: s.id, as: as, open: part, last: last && len(files) == 0}
		ctx, cancel := context.WithTimeoutCause(ctx, s.o.Deadline, errors.New("reassert: no answer"))
		err := s.c.ask(ctx, &question{
			method: methodReassert,
			direct: func(_ context.Context, l *meta.Leader) error { return l.Reassert(r.session, r.as, r.open, r.last) },
			encode: func() []byte { return wire.Marshal(r.fields) },
		})
		cancel()
		if s.judge(err) != nil || len(files) == 0 {
			return err
		}
	}
}
