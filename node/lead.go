package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/backup"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/maintenance"
)

// leadership is what runs only while this node leads the metadata: evaluation of operations,
// the tracker of nodes, the maintenance jobs and the choice of voters. begin and end are
// called by consensus, one at a time.
type leadership struct {
	n        *Node
	together chan struct{} // closed when all parts of the node are there
	full     diskWatch

	mu      sync.Mutex // guards the fields below
	service *maintenance.Service
	backup  *backup.Maker
	voters  *worker.Group
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// changed is consensus.Events.OnLeader.
func (l *leadership) changed(leading bool, term uint64) {
	select {
	case <-l.together: // what leads needs all parts of the node
	case <-l.n.ctx.Done():
	}
	if leading {
		l.begin(term)
	} else {
		l.end()
	}
}

func (l *leadership) begin(term uint64) {
	l.end()
	ctx, stop := context.WithCancel(l.n.ctx)
	l.mu.Lock()
	l.stop = stop
	l.mu.Unlock()
	l.done.Add(2)
	go func() {
		defer l.done.Done()
		l.n.leader.Lead(ctx, term)
	}()
	go func() {
		defer l.done.Done()
		l.monitorEpoch(ctx)
	}()
}

// end stops all of it and waits.
func (l *leadership) end() {
	l.mu.Lock()
	stop := l.stop
	l.stop = nil
	l.mu.Unlock()
	if stop != nil {
		stop()
		l.done.Wait()
	}
}

// monitorEpoch runs the leader's helpers under each epoch that opens.
func (l *leadership) monitorEpoch(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var present uint64
	defer l.retire()
	for {
		if epoch, ok := l.n.leader.Epoch(); ok && epoch != present {
			l.retire()
			present = epoch
			l.n.tracker.Lead(epoch)
			if err := l.employ(ctx); err != nil {
				l.n.log.Error("the leader's background jobs could not start", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// employ starts the jobs of one epoch.
func (l *leadership) employ(ctx context.Context) error {
	service, err := maintenance.Start(ctx, maintenance.Options{
		Meta: l.n.leader.Direct(), Chunks: l.n.chunks, Data: l.n.chunks, Map: l.n.tracker.Map, Policies: l.n.leader.Retags, Volume: honeyant.MainVolume, Log: l.n.log,
	})
	if err != nil {
		return err
	}
	maker := l.n.newBackups()
	if err := service.Workers().Start(ctx, maker.Job()); err != nil {
		return errors.Join(err, service.Close())
	}
	group := &worker.Group{}
	err = group.Start(ctx, worker.Job{Name: "voters", Every: time.Second, Run: (&arranger{n: l.n}).step})
	l.mu.Lock()
	l.service, l.voters, l.backup = service, group, maker
	l.mu.Unlock()
	return err
}

// retire ends the jobs of an epoch.
func (l *leadership) retire() {
	l.mu.Lock()
	service, group := l.service, l.voters
	l.service, l.voters, l.backup = nil, nil, nil
	l.mu.Unlock()
	l.n.tracker.Resign()
	if service != nil {
		service.Close()
	}
	if group != nil {
		group.Close()
	}
}

// jobs are the maintenance jobs if this node leads.
func (l *leadership) jobs() (*maintenance.Service, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.service, l.service != nil
}

// backups makes backups of the metadata if this node leads.
func (l *leadership) backups() (*backup.Maker, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backup, l.backup != nil
}

// mapChanged lets the jobs look again.
func (l *leadership) mapChanged() {
	if s, ok := l.jobs(); ok {
		s.MapChanged()
	}
}
