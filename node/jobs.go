package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/admin"
	"github.com/honeyant/honeyant/internal/worker"
	"github.com/honeyant/honeyant/maintenance"
	"github.com/honeyant/honeyant/meta"
)

// The commands about background jobs; all run on the leader.

func (n *Node) service() (*maintenance.Service, error) {
	s, ok := n.leadership.jobs()
	if !ok {
		return nil, honeyant.E("node.Command", honeyant.Unavailable, "", errors.New("the leader has just changed; try again"))
	}
	return s, nil
}

func (n *Node) listWorkers(context.Context, admin.None) ([]admin.WorkerStatus, error) {
	s, err := n.service()
	if err != nil {
		return nil, err
	}
	list := []admin.WorkerStatus{}
	for _, w := range s.Workers().List() {
		one := admin.WorkerStatus{Name: w.Name, State: w.State.String(), Progress: w.Text, ETA: w.ETA.Seconds()}
		if w.Total > 0 {
			one.Progress = fmt.Sprintf("%s: %d of %d", w.Text, w.Done, w.Total)
		}
		if w.LastErr != nil {
			one.Error = w.LastErr.Error()
		}
		list = append(list, one)
	}
	return list, nil
}

func (n *Node) pauseWorker(_ context.Context, req WorkerRequest) (admin.None, error) {
	return n.steer(req.Name, (*worker.Group).Pause)
}

func (n *Node) resumeWorker(_ context.Context, req WorkerRequest) (admin.None, error) {
	return n.steer(req.Name, (*worker.Group).Resume)
}

func (n *Node) steer(name string, do func(*worker.Group, string) error) (admin.None, error) {
	s, err := n.service()
	if err != nil {
		return admin.None{}, err
	}
	if err = do(s.Workers(), name); errors.Is(err, honeyant.NotExist) {
		err = honeyant.E("node.Worker", honeyant.NotExist, name, errors.New("no such worker; `honeyant worker ls` lists them"))
	}
	return admin.None{}, err
}

func (n *Node) scrubNow(ctx context.Context, _ admin.None) (admin.None, error) {
	s, err := n.service()
	if err != nil {
		return admin.None{}, err
	}
	return admin.None{}, s.ScrubNow(ctx)
}

// confirmIncarnation lets go what a person has looked at: replicas made before the last promotion or
// restore that no file refers to.
func (n *Node) confirmIncarnation(ctx context.Context, _ admin.None) (uint32, error) {
	s, err := n.service()
	if err != nil {
		return 0, err
	}
	return s.ConfirmIncarnation(ctx)
}

// maxFaults is how many faults a report names; the rest is counted.
const maxFaults = 200

// checkShare is the part of the memory cap that fsck may take: what the pools leave is the heap's own (rule 37).
const checkShare = 4

// fsck checks the metadata in themselves on the leader's applied state, then against the stores.
func (n *Node) fsck(ctx context.Context, _ admin.None) (admin.FsckReport, error) {
	s, err := n.service()
	if err != nil {
		return admin.FsckReport{}, err
	}
	report := admin.FsckReport{Faults: []string{}}
	faults, err := n.database.check(n.cfg.MemoryBytes() / checkShare)
	if errors.Is(err, honeyant.TooLarge) { // better unchecked than the leader killed for it
		report.Faults = append(report.Faults, fmt.Sprintf("the metadata were not compared with themselves: %v; set memory in honeyant.toml on %s higher and restart its daemon", err, n.identity.Self()))
	} else if err != nil {
		return report, err
	}
	for i, f := range faults {
		if i == maxFaults {
			report.Faults = append(report.Faults, fmt.Sprintf("... and %d more", len(faults)-maxFaults))
			break
		}
		report.Faults = append(report.Faults, f.String())
	}
	stock, err := s.Inventory(ctx)
	if err != nil {
		return report, err
	}
	report.Replicas, report.ReplicaBytes, report.Missing = stock.Replicas, stock.Bytes, stock.Missing
	report.Unknown, report.Quarantined, report.StoresSkipped = stock.Unknown, stock.Quarantined, stock.Skipped
	if stock.Refused != "" {
		report.Faults = append(report.Faults, stock.Refused)
	}
	counts, err := meta.Do(ctx, n.leader.Direct(), &meta.StatFS{Volume: honeyant.MainVolume})
	if err != nil {
		return report, err
	}
	report.Inodes, report.Chunks = counts.Inodes, counts.Chunks
	report.OK = len(report.Faults) == 0 && report.Missing == 0
	return report, nil
}
