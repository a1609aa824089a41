package node

import (
	"context"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// settingMirror tells, in the metadata themselves, whether the mirror of a colony of two had
// everything when that was last heard (rule 3). A person who promotes the mirror reads it.
const (
	settingMirror = "mirror"
	mirrorInSync  = "in-sync"
	mirrorSolo    = "solo"
)

// mirrorChanged is consensus.Events.OnMirror: the fact is committed before the leader goes on
// without its mirror.
func (n *Node) mirrorChanged(inSync bool) {
	value := mirrorSolo
	if inSync {
		value = mirrorInSync
		n.log.Info("the mirror has everything that was acknowledged")
	} else {
		n.log.Warn("the mirror is silent; this node goes on alone")
	}
	ctx, cancel := context.WithTimeout(n.ctx, 10*time.Second)
	defer cancel()
	if _, err := meta.Do(ctx, n.leader.Direct(), &meta.PutSetting{Name: settingMirror, Value: []byte(value)}); err != nil {
		n.log.Warn("the state of the mirror could not be committed", "error", err)
	}
}

// mirrorText says how well a colony of two is mirrored; "" with one or more than two members.
func (n *Node) mirrorText(members int) (text string, degraded bool) {
	if members != 2 {
		return "", false
	}
	var mirrored bool
	list, err := n.quorum.Members()
	if err != nil {
		return "", false
	}
	for _, one := range list {
		mirrored = mirrored || one.Role == honeyant.RoleLearner
	}
	if !mirrored {
		return "The second machine does not copy the metadata yet: they are on one machine only.", true
	}
	inSync, since := n.quorum.MirrorState()
	if inSync {
		return "The second machine has everything that is acknowledged; if the first one dies for good, promote it: honeyant node promote.", false
	}
	return "Metadata have no mirror since " + since.Format(time.DateTime) + ": what is acknowledged now is on one machine only.", true
}
