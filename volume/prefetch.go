package volume

import (
	"context"
	"math"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// walk is a directory in which names are looked up, or files read, that are not remembered. After a few such misses a
// page of the directory is asked for, names and attributes, with what small files hold if files are read, so that the
// next ones are answered from memory. Pages have to earn their keep: the next one waits for more misses the more entries were brought in vain (debt), so that names asked
// for at random in a huge directory cost hardly more than without. Guarded by nameCache.mu.
type walk struct {
	key    walkKey
	last   time.Time // of the last miss
	misses int       // since the last page, in a row
	debt   int       // entries that pages brought and nobody used
	limit  uint32    // entries of the next page
	large  bool      // it does not fit into memory
	habit  *habit
	page   *dirPage // under way

	upTo     uint64 // pages that followed each other brought what is there up to this cookie and name
	lastName string // "
}

type walkKey struct {
	dir  honeyant.Ino
	data bool // files are read
}

// habit tells whether pages have been of use lately, in whatever directory: then what others would bring is asked for
// before anything is missed. Guarded by nameCache.mu.
type habit struct{ brought, used int }

const (
	habitFew  = 64   // entries that say nothing yet
	habitMost = 4096 // after which what was before counts half
)

func (h *habit) bring() {
	if h.brought++; h.brought > habitMost {
		h.brought, h.used = h.brought/2, h.used/2
	}
}

func (h *habit) keen() bool { return h.brought >= habitFew && 2*h.used >= h.brought }

// dirPage is a page that somebody is asking for.
type dirPage struct {
	op    *meta.ReadDir
	names bool          // it was asked for because of names
	done  chan struct{} // closed when it is in memory, or can not be had
}

const (
	walkDirs    = 512         // directories watched
	walkPause   = time.Second // after such a pause between misses, a walk begins anew
	walkMisses  = 2           // misses before a page is asked for
	walkCost    = 32          // entries in vain that are worth one miss more
	dataCost    = 4           // the same of entries with what files hold
	smallDir    = 128         // so many names are worth a page for the first attributes that are wanted
	pageFirst   = 256         // entries of the first page
	pageMost    = 1024        // and of later ones
	pageLeast   = 8           // less is not worth while
	pagePatient = time.Second // for which others wait for a page
)

// entryCost is about what a name with attributes takes.
const entryCost = knownInodeCost + knownEntryCost + 20

// lookAhead is called for a read that memory could not answer. It tells whether it is worth asking memory again:
// somebody, perhaps the caller, has asked for a page that tells more meanwhile.
func (n *nameCache) lookAhead(ctx context.Context, s *session, op meta.Op) bool {
	p, mine := n.page(s, op)
	if p == nil {
		return false
	}
	if mine {
		n.turnPage(ctx, s, p)
		return true
	}
	patience := time.NewTimer(pagePatient)
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
	case <-ctx.Done():
	}
	return true
}

// turnPage asks for a page and takes it in. An error is nobody's: who wanted a name asks for it alone.
func (n *nameCache) turnPage(ctx context.Context, s *session, p *dirPage) {
	ctx, cancel := context.WithTimeout(ctx, pagePatient)
	defer cancel()
	since := n.moment()
	r, held, err := s.leaser.DoLeased(ctx, p.op, meta.Want{})
	n.learn(s, p.op, r, err, held, since)
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.walks[walkKey{p.op.Dir, !p.names}]; w != nil && w.page == p {
		w.page = nil
		if list, ok := r.(*meta.ReadDirReply); ok && err == nil {
			n.turned(p.op, list, !p.op.Data || p.names)
			defer n.arrived(list)
		} else {
			w.debt += pageMost
		}
	}
	close(p.done)
}

// turned takes stock after a page; names says that it is to be judged by whether names in it are used.
func (n *nameCache) turned(op *meta.ReadDir, r *meta.ReadDirReply, names bool) {
	w, data := n.walk(walkKey{op.Dir, false}), n.walk(walkKey{op.Dir, true})
	for i := range r.Entries {
		e := &r.Entries[i]
		k := n.inodes[e.Ino]
		if names && (k != nil || !n.journal.has(e.Ino)) { // what is held needs no page, and says nothing of them
			w.brought(k, func(k *knownInode) **walk { return &k.walk })
		}
		if e.Told {
			data.brought(k, func(k *knownInode) **walk { return &k.readWalk })
		}
	}
	if count := len(r.Entries); op.Cookie == w.upTo && op.After == w.lastName {
		w.upTo, w.lastName = math.MaxUint64, ""
		if !r.EOF && count > 0 {
			w.upTo, w.lastName = r.Entries[count-1].Cookie, r.Entries[count-1].Name
		}
	}
	if count := len(r.Entries); op.Cookie == 0 && op.After == "" && !r.EOF && count > 0 {
		// Cookies are spread evenly over 63 bits.
		all := float64(count) * math.Exp2(63) / float64(r.Entries[count-1].Cookie)
		w.large = all*entryCost > float64(n.max)/2
	}
}

// brought notes an entry that a page brought.
func (w *walk) brought(k *knownInode, by func(*knownInode) **walk) {
	w.debt++
	w.habit.bring()
	if k != nil && *by(k) == nil {
		*by(k) = w
	}
}

// richer makes a listing of names one with attributes, and with what small files hold, if these have been of use lately.
func (n *nameCache) richer(op meta.Op) meta.Op {
	o, ok := op.(*meta.ReadDir)
	if !ok || o.Plus {
		return op
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.names.keen() || o.Limit > pagesFit(n.max) {
		return op
	}
	with := *o
	with.Plus, with.Data = true, n.data.keen() && o.Limit <= n.dataLimit()
	return &with
}

// enriched is called with the answer to what richer made.
func (n *nameCache) enriched(asked, op meta.Op, r meta.Reply, err error) {
	list, ok := r.(*meta.ReadDirReply)
	if asked == op || !ok || err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if o, ok := op.(*meta.ReadDir); ok {
		n.turned(o, list, true)
		n.arrived(list)
	}
}

// dataLimit is how many entries with what files hold there may be in a page.
func (n *nameCache) dataLimit() uint32 {
	return uint32(min(n.contentsMost()/(2*honeyant.InlineLimit), pageFirst))
}

// miss tells of which directory a page could answer a read, and where in it.
func (n *nameCache) miss(op meta.Op) (key walkKey, cookie uint64, ok bool) {
	switch op := op.(type) {
	case *meta.Lookup:
		if op.Name != "." && op.Name != ".." && op.Name != "" && len(op.Name) <= honeyant.MaxName {
			return walkKey{op.Parent, false}, meta.NameCookie(op.Name), true
		}
	case *meta.Extents:
		k := n.usable(op.Ino)
		if k != nil && k.dir != 0 && k.known && k.attr.IsFile() && k.attr.Size <= meta.SmallFile {
			return walkKey{k.dir, true}, k.cookieIn, true
		}
	}
	return key, 0, false
}

// page finds the page to wait for, or, if mine, to ask for; nil if the read is better asked alone.
func (n *nameCache) page(s *session, op meta.Op) (p *dirPage, mine bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.present(s) {
		return nil, false
	}
	key, cookie, ok := n.miss(op)
	if !ok || n.busy[key.dir] > 0 {
		return nil, false
	}
	w := n.walk(key)
	if w.page != nil {
		if w.page.op.Cookie >= cookie {
			return nil, false
		}
		return w.page, false
	}
	now := time.Now()
	if now.Sub(w.last) > walkPause {
		w.misses, w.upTo, w.lastName = 0, 0, ""
	}
	w.last = now
	w.misses++
	ask := &meta.ReadDir{Volume: volumeAsked(op), Dir: key.dir, Plus: true, Data: key.data}
	if key.data {
		ok = n.dataPage(w, ask, cookie)
	} else {
		ok = n.namePage(w, ask, cookie)
	}
	if !ok || ask.Limit < pageLeast {
		return nil, false
	}
	w.misses = 0
	w.page = &dirPage{op: ask, names: !key.data, done: make(chan struct{})}
	return w.page, true
}

// namePage fills in which names to ask for; false: none yet.
func (n *nameCache) namePage(w *walk, ask *meta.ReadDir, cookie uint64) bool {
	dir := n.inodes[w.key.dir]
	whole := dir != nil && dir.complete && len(dir.entries) <= pageMost
	if w.misses < walkMisses+w.debt/walkCost && !(whole && w.debt == 0 && len(dir.entries) <= smallDir) {
		return false
	}
	ask.Limit = w.grown(n.max)
	if whole {
		ask.Limit = min(pageMost, pagesFit(n.max))
	}
	if most := n.dataLimit(); n.data.keen() && most >= pageLeast {
		ask.Data, ask.Limit = true, min(ask.Limit, most)
	}
	switch {
	case whole && len(dir.entries) <= int(ask.Limit):
	case !w.large && n.journal.has(w.key.dir) && cookie > w.upTo: // the journal knows the names of what it holds
		ask.Cookie, ask.After = w.upTo, w.lastName
	case w.large || dir != nil && dir.complete || n.journal.has(w.key.dir):
		ask.Cookie = cookie - 1
	case dir != nil && dir.listed:
		ask.Cookie, ask.After = dir.cookie, dir.lastName
	}
	return true
}

// dataPage fills in which files to ask for; false: none yet. They may be many times larger than their names.
func (n *nameCache) dataPage(w *walk, ask *meta.ReadDir, cookie uint64) bool {
	if w.misses < walkMisses+w.debt/dataCost {
		return false
	}
	dir := n.inodes[w.key.dir]
	ask.Limit = n.dataLimit()
	if dir == nil || !dir.complete || len(dir.entries) > int(ask.Limit) {
		ask.Cookie = cookie - 1
	}
	return true
}

func volumeAsked(op meta.Op) honeyant.VolumeID {
	switch op := op.(type) {
	case *meta.Lookup:
		return op.Volume
	case *meta.Extents:
		return op.Volume
	}
	return 0
}

// grown is how many entries the next page is to have: more if the last ones were used.
func (w *walk) grown(memory int64) uint32 {
	switch {
	case w.limit == 0:
		w.limit = pageFirst
	case w.debt*4 <= int(w.limit):
		w.limit = pageMost
	}
	return min(w.limit, pagesFit(memory))
}

// pagesFit is how many entries memory has room for, others being there as well.
func pagesFit(memory int64) uint32 { return uint32(min(memory/(4*entryCost), pageMost)) }

// walk finds or makes what is known of the lookups in a directory, or of the reading of its files. n.mu is held.
func (n *nameCache) walk(key walkKey) *walk {
	w := n.walks[key]
	if w != nil {
		return w
	}
	if len(n.walks) >= walkDirs {
		for key, old := range n.walks { // any that is not under way
			if old.page == nil {
				delete(n.walks, key)
				break
			}
		}
	}
	w = &walk{key: key, habit: &n.names}
	if key.data {
		w.habit = &n.data
	}
	n.walks[key] = w
	return w
}

// setPlace notes where an inode was found. n.mu is held.
func (n *nameCache) setPlace(ino, dir honeyant.Ino, cookie uint64) {
	if k := n.inodes[ino]; k != nil {
		k.dir, k.cookieIn = dir, cookie
	}
}

// used notes that what a page brought was of use. n.mu is held.
func (k *knownInode) used() {
	if k.walk != nil {
		k.walk.debt--
		k.walk.habit.used++
		k.walk = nil
	}
}

// read notes that contents that a page brought were of use. n.mu is held.
func (k *knownInode) read() {
	if k.readWalk != nil {
		k.readWalk.debt--
		k.readWalk.habit.used++
		k.readWalk = nil
	}
}

// judges is which entries that nobody has used yet, one of so many, tell whether pages are of use.
const judges = 16

// givenAway is asked before an entry is given to who does not say whether it was of use; it then counts neither way. False: it is needed to
// judge by. n.mu is held.
func (k *knownInode) givenAway() bool {
	switch {
	case k == nil || k.walk == nil:
		return true
	case k.ino%judges == 0:
		return false
	}
	k.walk.debt--
	k.walk.habit.brought = max(0, k.walk.habit.brought-1) // of many that came before, only half is counted
	k.walk = nil
	return true
}
