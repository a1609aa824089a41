package volume

import (
	"context"
	"math"
	"time"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
)

// walk is a directory in which names are looked up that are not remembered. After a few such misses a page of the
// directory is asked for, names and attributes, so that the names looked up next are answered from memory. Pages have to
// earn their keep: the next one waits for more misses the more entries were brought in vain (debt), so that names asked
// for at random in a huge directory cost hardly more than without. Guarded by nameCache.mu.
type walk struct {
	last   time.Time // of the last miss
	misses int       // since the last page, in a row
	debt   int       // entries that pages brought and nobody used
	limit  uint32    // entries of the next page
	large  bool      // it does not fit into memory
	page   *dirPage  // under way
}

// dirPage is a page that somebody is asking for.
type dirPage struct {
	op   *meta.ReadDir
	done chan struct{} // closed when it is in memory, or can not be had
}

const (
	walkDirs    = 512         // directories watched
	walkPause   = time.Second // after such a pause between misses, a walk begins anew
	walkMisses  = 2           // misses before a page is asked for
	walkCost    = 32          // entries in vain that are worth one miss more
	smallDir    = 128         // so many names are worth a page for the first attributes that are wanted
	pageFirst   = 256         // entries of the first page
	pageMost    = 1024        // and of later ones
	pageLeast   = 8           // less is not worth while
	pagePatient = time.Second // for which others wait for a page
)

// entryCost is about what a name with attributes takes.
const entryCost = knownInodeCost + knownEntryCost + 20

// lookAhead is called for a name that memory could not answer. It tells whether it is worth asking memory again:
// somebody, perhaps the caller, has asked for a page with the name meanwhile.
func (n *nameCache) lookAhead(ctx context.Context, s *session, op *meta.Lookup) bool {
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
	if w := n.walks[p.op.Dir]; w != nil && w.page == p {
		w.page = nil
		if list, ok := r.(*meta.ReadDirReply); ok && err == nil {
			n.turned(w, p.op, list)
		} else {
			w.debt += pageMost
		}
	}
	close(p.done)
}

// turned takes stock after a page.
func (n *nameCache) turned(w *walk, op *meta.ReadDir, r *meta.ReadDirReply) {
	w.debt += len(r.Entries)
	for i := range r.Entries {
		if k := n.inodes[r.Entries[i].Ino]; k != nil && k.walk == nil {
			k.walk = w
		}
	}
	if count := len(r.Entries); op.Cookie == 0 && op.After == "" && !r.EOF && count > 0 {
		// Cookies are spread evenly over 63 bits.
		all := float64(count) * math.Exp2(63) / float64(r.Entries[count-1].Cookie)
		w.large = all*entryCost > float64(n.max)/2
	}
}

// page finds the page to wait for, or, if mine, to ask for; nil if the name is better asked for alone.
func (n *nameCache) page(s *session, op *meta.Lookup) (p *dirPage, mine bool) {
	if op.Name == "." || op.Name == ".." || op.Name == "" || len(op.Name) > honeyant.MaxName {
		return nil, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.present(s) || n.busy[op.Parent] > 0 {
		return nil, false
	}
	w := n.walk(op.Parent)
	cookie := meta.NameCookie(op.Name)
	if w.page != nil {
		if w.page.op.Cookie >= cookie {
			return nil, false
		}
		return w.page, false
	}
	now := time.Now()
	if now.Sub(w.last) > walkPause {
		w.misses = 0
	}
	w.last = now
	w.misses++
	dir := n.inodes[op.Parent]
	whole := dir != nil && dir.complete && len(dir.entries) <= pageMost
	if w.misses < walkMisses+w.debt/walkCost && !(whole && w.debt == 0 && len(dir.entries) <= smallDir) {
		return nil, false
	}
	limit := w.grown(n.max)
	if limit < pageLeast {
		return nil, false
	}
	w.misses = 0
	ask := &meta.ReadDir{Volume: op.Volume, Dir: op.Parent, Plus: true, Limit: limit}
	switch {
	case whole:
		ask.Limit = min(pageMost, pagesFit(n.max))
	case w.large || dir != nil && dir.complete:
		ask.Cookie = cookie - 1
	case dir != nil && dir.listed:
		ask.Cookie, ask.After = dir.cookie, dir.lastName
	}
	w.page = &dirPage{op: ask, done: make(chan struct{})}
	return w.page, true
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

// walk finds or makes what is known of the lookups in a directory. n.mu is held.
func (n *nameCache) walk(dir honeyant.Ino) *walk {
	w := n.walks[dir]
	if w != nil {
		return w
	}
	if len(n.walks) >= walkDirs {
		for ino, old := range n.walks { // any that is not under way
			if old.page == nil {
				delete(n.walks, ino)
				break
			}
		}
	}
	w = &walk{}
	n.walks[dir] = w
	return w
}

// used notes that what a page brought was of use. n.mu is held.
func (k *knownInode) used() {
	if k.walk != nil {
		k.walk.debt--
		k.walk = nil
	}
}
