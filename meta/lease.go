package meta

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/honeyant/honeyant"
)

// A Grant says what a session may remember of an answer: everything about the inodes that the answer spoke of,
// but for those in Except, until they are recalled and as long as its leases are in force.
type Grant struct {
	Epoch  uint64
	Term   uint64 // of the session's leases, see Renewal; 0: nothing was granted
	Except []OpenFile
}

// Recall is what a session has to forget before it acknowledges Seq by its next poll.
type Recall struct {
	Epoch uint64
	Term  uint64 // of the leases concerned; 0: the session has none, and has to renew first
	Seq   uint64
	Files []OpenFile
	// Exclusive are leases to be given back by Return. That they were heard of is all that is acknowledged.
	Exclusive []OpenFile
}

// leaseTable is the leader's memory of one epoch: which session may remember which inodes (shared leases) or change them
// by itself (exclusive ones), and which changes are not complete. A change is complete when it is applied, every session that had to forget
// what it changed has done so or lost its leases by its silence, and every change is complete that it depends
// on, that is, that changed an inode which it read or changed. An answer leaves only when the changes are complete
// whose effects it shows (M12). Safe for concurrent use.
type leaseTable struct {
	epoch uint64
	o     leaseLimits
	opens *openTable
	born  time.Time
	wake  chan struct{} // wakes watchLeases; holds 1

	mu       sync.Mutex // guards all below
	inodes   map[OpenFile]*leasedInode
	sessions map[honeyant.SessionID]*leaseSession
	held     int    // leases in all
	terms    uint64 // given out
	// Until grace is over, sessions may still remember what an earlier leader let them.
	grace    bool
	unheard  map[honeyant.SessionID]struct{} // have not said yet that they know of this epoch
	inGrace  []*gate
	recalled uint64                      // recalls made, for status
	retired  map[honeyant.SessionID]bool // get and renew no leases any more
	x        exclusives
	unsaid   unsaidOpens
}

// leaseLimits bound a leaseTable.
type leaseLimits struct {
	ttl time.Duration // for which a session may use its leases after a renewal; here they live half as long again
	max int           // leases in all
	// recall is how long an exclusive lease may be waited for before its session's leases are not renewed any more.
	recall time.Duration
	log    *slog.Logger
}

// leasedInode is an inode that is remembered somewhere, or is changing.
type leasedInode struct {
	holders []leaseHolder
	owner   *exclusive // nil: nobody holds it exclusively
	gates   []*gate    // changes that are not complete, in the order of evaluation, in which they also complete
}

type leaseHolder struct {
	s      *leaseSession
	recall uint64 // seq of the recall under way, 0: none
}

// leaseSession is a session with its leases of one term: from a first renewal until it is silent for too long.
type leaseSession struct {
	id      honeyant.SessionID
	term    uint64
	renewed time.Time
	files   map[OpenFile]struct{}
	seq     uint64        // of the newest recall
	queue   []recallItem  // not acknowledged, seqs without gaps
	ready   chan bool     // true when there is something to recall, false when the poll is over; nil: nobody polls
	ended   chan struct{} // closed when the term is over
	// dismissed: the term is not renewed any more, since the session does not give back what somebody waits for.
	dismissed bool
}

type recallItem struct {
	seq     uint64
	file    OpenFile
	waiting []*gate

	exclusive bool // acknowledging it says only that it was heard
	void      bool // of no interest any more
}

// gate is what an answer waits for. Guarded by the table's lock, but for done.
type gate struct {
	seq        uint64 // of the flight that carries the change
	need       int    // conditions left
	done       chan struct{}
	touched    []OpenFile // what the change changes
	gone       []OpenFile // of these, what it deletes
	dependents []*gate
	session    honeyant.SessionID // wants leases on what it changes; 0: none
	flush      honeyant.SessionID // a Flush of this one
	grant      Grant              // valid when done
}

func newLeaseTable(epoch uint64, o leaseLimits, opens *openTable, old []honeyant.SessionID) *leaseTable {
	t := &leaseTable{
		epoch: epoch, o: o, opens: opens, x: newExclusives(old), born: time.Now(), wake: make(chan struct{}, 1), terms: epoch << 24,
		inodes: map[OpenFile]*leasedInode{}, sessions: map[honeyant.SessionID]*leaseSession{},
		grace: len(old) > 0, unheard: map[honeyant.SessionID]struct{}{}, retired: map[honeyant.SessionID]bool{},
		unsaid: unsaidOpens{wanted: map[OpenFile]struct{}{}, over: func(honeyant.SessionID) bool { return false }, wake: func() {}},
	}
	for _, id := range old {
		t.unheard[id] = struct{}{}
	}
	return t
}

// change registers a change that has just been evaluated, before it is proposed: from now on nobody gets a
// lease on what it touches, and who has one must give it up, except that the asking session keeps those that
// it has set aside itself (Call.Cover). The answer waits for the gate. If there is something to wait for instead,
// nothing is registered; again says that the evaluation rests on a lease that is over. Of the evaluation goroutine.
func (t *leaseTable) change(seq uint64, call *Call, ev *evaluated) (g *gate, wait []<-chan struct{}, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	touched := touchedBy(ev.changes)
	_, flush := call.Op.(*Flush)
	read := ev.tx.read.files
	if flush {
		read = ev.tx.needs
		for _, f := range read {
			if t.x.sessions[call.Session][f] == nil {
				return nil, nil, true
			}
		}
	} else if wait = t.inTheWay(call, read, touched.files); len(wait) > 0 {
		return nil, wait, false
	}
	if ev.err == nil {
		ev.tx.accept()
	}
	g = &gate{seq: seq, need: 1, done: make(chan struct{}), touched: touched.files, gone: touched.gone}
	if call.Lease {
		g.session = call.Session
	}
	if flush {
		g.flush = call.Session
	}
	t.register(g, call, read)
	for _, f := range ev.tx.born {
		if !slices.Contains(touched.gone, f) {
			t.own(call.Session, f, call.Stamp)
		}
	}
	return g, nil, false
}

// register makes g the newest change of what it touches, and recalls the leases that it concerns.
func (t *leaseTable) register(g *gate, call *Call, read []OpenFile) {
	for _, f := range read {
		if e := t.inodes[f]; e != nil && len(e.gates) > 0 {
			g.after(e.gates[len(e.gates)-1])
		}
	}
	for _, f := range g.touched {
		e := t.inodes[f]
		if e == nil {
			e = &leasedInode{}
			t.inodes[f] = e
		} else if len(e.gates) > 0 {
			g.after(e.gates[len(e.gates)-1])
		}
		e.gates = append(e.gates, g)
	}
	for _, f := range g.touched {
		e := t.inodes[f]
		for i := range e.holders {
			if h := &e.holders[i]; h.recall != 0 || h.s.id != call.Session || !slices.Contains(call.Cover, f) {
				t.recall(f, h, g)
			}
		}
		// Its own exclusive ones: what it knows by them is wrong now, unless it made the change by them.
		if x := e.owner; x != nil && g.flush == 0 && !slices.Contains(call.Cover, f) && t.recallOwned(x, false) {
			x.waiting = append(x.waiting, g)
			g.need++
		}
	}
}

// after makes an answer that changes nothing, but was evaluated over all changes so far, wait for those whose
// effects it may show; nil: there are none. Of the evaluation goroutine.
func (t *leaseTable) after(call *Call, ev *evaluated) (g *gate, wait []<-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, flush := call.Op.(*Flush); flush {
		return t.afterApplied(^uint64(0), ev.tx.needs), nil
	}
	if wait = t.inTheWay(call, ev.tx.read.files); len(wait) > 0 {
		return nil, wait
	}
	if ev.err == nil {
		ev.tx.accept()
	}
	return t.afterApplied(^uint64(0), ev.tx.read.files), nil
}

// afterGrace makes an answer wait for the end of the grace; nil: it is over.
func (t *leaseTable) afterGrace() *gate {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.grace {
		return nil
	}
	g := &gate{need: 1, done: make(chan struct{})}
	t.inGrace = append(t.inGrace, g)
	return g
}

// read is after for an answer evaluated over the applied state, which shows flights up to applied, and grants
// leases on what it read. The state must stand still meanwhile: a change that it does not show has then either not
// been evaluated, and will find these leases, or is known here, and keeps them from being granted.
func (t *leaseTable) read(call *Call, applied uint64, ev *evaluated) (g *gate, wait []<-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	read := ev.tx.read.files
	if op, is := call.Op.(*Take); is {
		if t.grace {
			return nil, []<-chan struct{}{t.x.calm}
		}
		t.grantTake(call, op, ev)
		return t.afterApplied(applied, read), nil
	}
	if wait = append(t.inTheWay(call, read), t.flushing(call, applied, read)...); len(wait) > 0 {
		return nil, wait
	}
	if ev.err == nil {
		ev.tx.accept()
	}
	if g = t.afterApplied(applied, read); call.Lease {
		call.granted = t.grantAll(call.Session, read)
	}
	return g, nil
}

// grantTake grants what a Take has found, and takes what it can not have out of the answer.
func (t *leaseTable) grantTake(call *Call, op *Take, ev *evaluated) {
	r, ok := ev.reply.(*TakeReply)
	view, is := ev.tx.Leases.(*leaseView)
	if !ok || !is || !r.Granted {
		return
	}
	r.Deny(t.take(call, op, view.dir, r.Held))
	if s := t.sessions[call.Session]; s != nil && r.Granted {
		call.granted = Grant{Epoch: t.epoch, Term: s.term}
		for _, f := range ev.tx.read.files {
			if f.Volume != op.Volume || !slices.Contains(r.Held, f.Ino) {
				call.granted.Except = append(call.granted.Except, f)
			}
		}
	}
}

func (t *leaseTable) afterApplied(applied uint64, read []OpenFile) *gate {
	g := &gate{}
	for _, f := range read {
		e := t.inodes[f]
		if e == nil {
			continue
		}
		for i := len(e.gates) - 1; i >= 0; i-- {
			if e.gates[i].seq <= applied {
				g.after(e.gates[i])
				break
			}
		}
	}
	if g.need == 0 {
		return nil
	}
	g.done = make(chan struct{})
	return g
}

func (g *gate) after(dep *gate) {
	if dep != g {
		g.need++
		dep.dependents = append(dep.dependents, g)
	}
}

// recall asks a session to forget an inode; g waits for it.
func (t *leaseTable) recall(f OpenFile, h *leaseHolder, g *gate) {
	s := h.s
	if h.recall == 0 {
		s.seq++
		t.recalled++
		h.recall = s.seq
		s.queue = append(s.queue, recallItem{seq: s.seq, file: f})
		s.notify(true)
	}
	if g != nil {
		item := &s.queue[h.recall-s.queue[0].seq]
		item.waiting = append(item.waiting, g)
		g.need++
	}
}

// notify ends the wait of the poll under way.
func (s *leaseSession) notify(more bool) {
	if s.ready != nil {
		s.ready <- more
		s.ready = nil
	}
}

// applied says that the state shows the changes.
func (t *leaseTable) applied(gates []*gate) {
	if len(gates) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release(gates)
}

// release takes one condition off each gate, and completes those that have none left.
func (t *leaseTable) release(gates []*gate) {
	for len(gates) > 0 {
		g := gates[len(gates)-1]
		gates = gates[:len(gates)-1]
		if g.need--; g.need > 0 {
			continue
		}
		for _, f := range g.touched {
			e := t.inodes[f]
			if e.gates[0] != g {
				panic("meta: changes of an inode complete out of order")
			}
			e.gates[0] = nil
			e.gates = e.gates[1:]
		}
		if g.session != 0 {
			g.grant = t.grantAll(g.session, g.touched)
		}
		t.forget(g.gone)
		for _, f := range g.touched {
			t.tidy(f)
		}
		close(g.done)
		if len(g.dependents) > 0 { // a copy, since gates may be somebody's list
			gates = append(slices.Clone(gates), g.dependents...)
			g.dependents = nil
		}
	}
}

// forget takes away what is left of leases on deleted inodes, whose numbers never return.
func (t *leaseTable) forget(gone []OpenFile) {
	for _, f := range gone {
		for e := t.inodes[f]; e != nil && len(e.holders) > 0 && e.holders[0].recall == 0; {
			t.remove(e.holders[0].s, f)
		}
		if e := t.inodes[f]; e != nil && e.owner != nil {
			t.endOwned(e.owner, false)
		}
	}
}

func (t *leaseTable) tidy(f OpenFile) {
	if e := t.inodes[f]; e != nil && len(e.holders) == 0 && len(e.gates) == 0 && e.owner == nil {
		delete(t.inodes, f)
	}
}

// grantAll gives a session leases on inodes.
func (t *leaseTable) grantAll(id honeyant.SessionID, files []OpenFile) Grant {
	s := t.sessions[id]
	if s == nil || s.dismissed || t.retired[id] || len(s.queue) > maxRecallQueue || t.lapsed(s) {
		return Grant{}
	}
	grant := Grant{Epoch: t.epoch, Term: s.term}
	for _, f := range files {
		if !t.grantOne(s, f) {
			grant.Except = append(grant.Except, f)
		}
	}
	return grant
}

// maxRecallQueue bounds the recalls that a session may have outstanding and still get leases.
const maxRecallQueue = 8192

func (t *leaseTable) grantOne(s *leaseSession, f OpenFile) bool {
	e := t.inodes[f]
	if e != nil {
		if e.owner != nil {
			return e.owner.id == s.id && !e.owner.recalled
		}
		for i := range e.holders {
			if e.holders[i].s == s {
				return e.holders[i].recall == 0
			}
		}
		if len(e.gates) > 0 {
			return false
		}
	}
	if t.closedFor(f) {
		return false
	}
	if t.held >= 2*t.o.max {
		return false
	}
	if len(s.files) >= t.share() {
		t.makeRoom(s)
	}
	if e == nil {
		e = &leasedInode{}
		t.inodes[f] = e
	}
	e.holders = append(e.holders, leaseHolder{s: s})
	s.files[f] = struct{}{}
	t.held++
	return true
}

// share is how many leases one session may have.
func (t *leaseTable) share() int { return max(t.o.max/max(len(t.sessions), 1), 1) }

// makeRoom recalls one lease of the session, whichever comes first.
func (t *leaseTable) makeRoom(s *leaseSession) {
	for f := range s.files {
		e := t.inodes[f]
		for i := range e.holders {
			if h := &e.holders[i]; h.s == s && h.recall == 0 {
				t.recall(f, h, nil)
				return
			}
		}
	}
}

// remove takes one lease away.
func (t *leaseTable) remove(s *leaseSession, f OpenFile) {
	e := t.inodes[f]
	if i := slices.IndexFunc(e.holders, func(h leaseHolder) bool { return h.s == s }); i >= 0 {
		e.holders = slices.Delete(e.holders, i, i+1)
	}
	delete(s.files, f)
	t.held--
	t.tidy(f)
	t.noHolder(f)
}

// lapsed tells whether a session has been silent for so long that its leases can not be in use any more.
func (t *leaseTable) lapsed(s *leaseSession) bool { return time.Since(s.renewed) >= t.life() }

// life is how long leases live here after a renewal was received: longer than the session may use them, since
// it counts from when it sent the renewal, and clocks may differ in speed.
func (t *leaseTable) life() time.Duration { return t.o.ttl * 3 / 2 }

// drop ends a session's term: all its leases are gone.
func (t *leaseTable) drop(s *leaseSession) {
	delete(t.sessions, s.id)
	t.handOver(s)
	for f := range s.files {
		t.remove(s, f)
	}
	queue := s.queue
	s.queue = nil
	for _, item := range queue {
		t.release(item.waiting)
	}
	s.notify(false)
	t.suspect(s.id)
	close(s.ended)
}

// renew notes that a session is alive, and gives the term of its leases. epoch is the one that the session
// knows of; want says that it has use for leases, otherwise it has forgotten all it had, of whatever epoch. claimed
// says that this was the last session to say what it holds exclusively.
func (t *leaseTable) renew(id honeyant.SessionID, epoch uint64, want bool) (term uint64, claimed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if want && epoch != t.epoch {
		return 0, false
	}
	claimed = t.claimed(id)
	delete(t.unheard, id)
	if len(t.unheard) == 0 {
		t.endGrace()
	}
	if !want {
		t.disown(id, func(*exclusive) bool { return true })
		t.revived(id)
	}
	s := t.sessions[id]
	if s != nil && (!want || t.lapsed(s)) {
		t.drop(s)
		s = nil
	}
	if !want || t.retired[id] || s != nil && s.dismissed {
		return 0, claimed
	}
	if s == nil {
		t.terms++ // from the epoch on, so that no term comes again under another epoch
		s = &leaseSession{id: id, term: t.terms, files: map[OpenFile]struct{}{}, ended: make(chan struct{})}
		t.sessions[id] = s
		t.stir()
	}
	s.renewed = time.Now()
	return s.term, claimed
}

func (t *leaseTable) endGrace() {
	if t.grace {
		t.grace = false
		gates := t.inGrace
		t.inGrace = nil
		t.release(gates)
		close(t.x.calm)
	}
}

// expire drops what has lapsed, and tells when to come again; 0: when woken.
func (t *leaseTable) expire() (again time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := func(d time.Duration) {
		if again == 0 || d < again {
			again = d
		}
	}
	if t.grace {
		if left := t.life() - time.Since(t.born); left > 0 {
			next(left)
		} else {
			t.endGrace()
		}
	}
	if left := t.dismiss(); left > 0 {
		next(left)
	}
	for _, s := range t.sessions {
		if left := t.life() - time.Since(s.renewed); left > 0 {
			next(left)
		} else {
			t.drop(s)
		}
	}
	return again
}

// retire keeps a session from getting and renewing leases; the channel is closed when it has none, nil if it has none now.
func (t *leaseTable) retire(id honeyant.SessionID) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retired[id] = true
	if s := t.sessions[id]; s != nil {
		return s.ended
	}
	return nil
}

// restore undoes retire.
func (t *leaseTable) restore(id honeyant.SessionID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.retired, id)
}

// acknowledge takes the recalls up to seq as carried out.
func (t *leaseTable) acknowledge(s *leaseSession, seq uint64) {
	n := 0
	for n < len(s.queue) && s.queue[n].seq <= seq {
		n++
	}
	done := slices.Clone(s.queue[:n])
	s.queue = slices.Delete(s.queue, 0, n)
	for _, item := range done {
		if !item.exclusive {
			t.remove(s, item.file)
		} else if x := t.x.sessions[s.id][item.file]; x != nil && x.seq == item.seq {
			x.seq = 0
		}
	}
	for _, item := range done {
		t.release(item.waiting)
	}
}

// poll takes what the session acknowledges, and tells what it has to forget; without any, the channel says
// when there is. A poll ends the one before.
func (t *leaseTable) poll(id honeyant.SessionID, term, ack uint64) (Recall, <-chan bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Recall{Epoch: t.epoch}
	s := t.sessions[id]
	if s == nil || s.term != term {
		return r, nil
	}
	r.Term = s.term
	t.acknowledge(s, ack)
	s.notify(false)
	if len(s.queue) == 0 {
		s.ready = make(chan bool, 1)
		r.Seq = ack
		return r, s.ready
	}
	for _, item := range s.queue[:min(len(s.queue), maxRecalls)] {
		r.Seq = item.seq
		switch {
		case item.void:
		case item.exclusive:
			r.Exclusive = append(r.Exclusive, item.file)
		default:
			r.Files = append(r.Files, item.file)
		}
	}
	return r, nil
}

// maxRecalls bounds the inodes that one message names.
const maxRecalls = 4096

// Want is what a session asks for besides an operation.
type Want struct {
	// Cover lists inodes that the session does not answer for from memory before it knows the outcome, see Call.
	Cover []OpenFile
	// Settled is called once, from any goroutine, if Do ended with an outcome that is open (Held.Open), when it is
	// not open any more; it is not if the session ends before.
	Settled func()
	// Took is called with the answer of a Take that granted something, before Do returns and before any recall of
	// what it grants. It must not wait for calls of the session.
	Took func(*TakeReply)
}

// ExclusiveHandler is who keeps what a session holds exclusively. None of its functions may wait for calls of the session.
type ExclusiveHandler struct {
	// Recall names inodes to give back: nothing new may be done on them locally, what was done is to be flushed, and
	// then they are to be returned, also those that are not held (any more). It returns at once. An inode may be
	// named more than once.
	Recall func([]OpenFile)
	// Held lists everything that is held, to be claimed again: also what is deleted already by changes that are not
	// flushed, since they rest on it.
	Held func() []ReclaimedFile
	// Lost names inodes that are not held any more, although they were not given back.
	Lost func([]OpenFile)
}

// Held says what a session may remember of an answer: in the era Era (0: nothing), all but what concerns Except.
type Held struct {
	Era    uint64
	Except []OpenFile
	Open   bool // it is not known whether the change was, or will be, done
}
