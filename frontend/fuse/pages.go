package fuse

import (
	"sync"
	"sync/atomic"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/volume"
)

// pages remembers as of which state of a file the kernel's pages are, so that an open that finds the file as the last one
// did may leave them (FOPEN_KEEP_CACHE). Pages that were read since then are of the same state, for Versions only rise;
// pages on their way are locked, and an open that drops pages waits for them. Bytes written here raise the Version
// when they are committed; should they be lost instead, nothing that was noted before counts any more.
//
// The program that opens a file drops the pages itself, when it takes the answer in. Until a request about that open file shows that it has,
// others that open the file drop them, too.
type pages struct {
	mu   sync.Mutex // guards what follows
	lost uint64     // what Volume.Lost told
	of   map[honeyant.Ino]pagesOf

	dropping map[*volume.File]pagesAs // opened, and not yet known to have dropped the pages
	any      atomic.Int64             // len(dropping)
}

// pagesOf tells of what state a file's pages are, once they were dropped.
type pagesOf struct {
	pagesAs
	dropped bool
}

// pagesAs is a state of a file. With Versions go times: those given under leases that were lost may come again.
type pagesAs struct {
	version, size uint64
	mtime, ctime  honeyant.Time
}

// pagesMost bounds the files remembered.
const pagesMost = 8 << 10

// keep notes an open, and tells whether the kernel's pages are good.
func (p *pages) keep(v *volume.Volume, f *volume.File) bool {
	lost := v.Lost() // before the state is looked at
	a, settled := f.Settled()
	as := pagesAs{version: a.Version, size: a.Size, mtime: a.Mtime, ctime: a.Ctime}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost != lost || p.of == nil {
		p.lost, p.of = lost, map[honeyant.Ino]pagesOf{}
		p.dropping = map[*volume.File]pagesAs{}
		p.any.Store(0)
	}
	had, ok := p.of[f.Ino()]
	if !settled {
		delete(p.of, f.Ino())
		return false
	}
	if ok && had == (pagesOf{as, true}) {
		return true
	}
	if !ok && len(p.of) >= pagesMost {
		for ino := range p.of { // any
			delete(p.of, ino)
			break
		}
	}
	p.of[f.Ino()] = pagesOf{as, false}
	p.dropping[f] = as
	p.any.Store(int64(len(p.dropping)))
	return false
}

// used is told of each request about an open file.
func (p *pages) used(f *volume.File) {
	if p.any.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	as, ok := p.dropping[f]
	if !ok {
		return
	}
	delete(p.dropping, f)
	p.any.Store(int64(len(p.dropping)))
	if now, ok := p.of[f.Ino()]; ok && now.pagesAs == as {
		p.of[f.Ino()] = pagesOf{as, true}
	}
}
