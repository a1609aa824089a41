package transfer

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Report is what a copy did.
type Report struct {
	Sources     []string `json:"sources"`
	Target      string   `json:"target"`
	DryRun      bool     `json:"dry_run,omitempty"` // the counts are what would be copied
	Files       int64    `json:"files"`             // copied
	Directories int64    `json:"directories"`
	Links       int64    `json:"hard_links"` // further names of files
	Specials    int64    `json:"specials"`   // symbolic links, fifos, sockets, devices
	Unchanged   int64    `json:"unchanged"`  // files that were there already
	Bytes       int64    `json:"bytes"`      // of the files copied
	Resumed     int64    `json:"resumed_bytes"`
	Moved       int64    `json:"moved_bytes"` // read at the source and written at the target in this run
	Wire        int64    `json:"wire_bytes"`  // of Moved, what travelled; 0 on one machine
	Present     int64    `json:"unchanged_bytes"`
	Verified    bool     `json:"verified"` // everything copied was read back and compared
	Seconds     float64  `json:"seconds"`
	MBps        float64  `json:"mb_per_s"` // Moved per second, in 10^6 bytes
	Compression string   `json:"compression"`
	Way         string   `json:"way"` // how the other machine was reached: local, honeyant or sftp
	Notes       []Note   `json:"notes"`
	Errors      []Fault  `json:"errors"` // the first of them
	Failed      int64    `json:"failed"` // how many
}

// Note is something that could not be kept.
type Note struct {
	Text  string `json:"text"`
	Count int64  `json:"count"`
	First string `json:"first"` // a path
}

// Fault is a path that was not copied, and why.
type Fault struct {
	Path string `json:"path"`
	Text string `json:"error"`
}

// maxFaults bounds the errors that a report lists.
const maxFaults = 200

// Progress is how far a copy is.
type Progress struct {
	Phase      string // "looking", "copying"
	Path       string // one of those under way
	Files      int64  // done, of FilesTotal
	FilesTotal int64
	Bytes      int64 // done, of BytesTotal: copied now, earlier, or there before
	BytesTotal int64
	Moved      int64         // bytes copied in this run
	Elapsed    time.Duration // since copying began
}

// tally gathers what happens. Safe for concurrent use.
type tally struct {
	files, dirs, links, specials, unchanged      atomic.Int64
	bytes, resumed, moved, wire, present         atomic.Int64
	done, doneBytes, total, totalBytes, failures atomic.Int64
	forms                                        [formEnd]atomic.Int64 // bytes
	copying                                      atomic.Int64          // when it began, Unix ns; 0 before
	path                                         atomic.Pointer[string]

	mu     sync.Mutex // guards notes and faults
	notes  map[string]*Note
	faults []Fault
}

func (t *tally) note(path string, texts []string) {
	if len(texts) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.notes == nil {
		t.notes = map[string]*Note{}
	}
	for _, text := range texts {
		n := t.notes[text]
		if n == nil {
			n = &Note{Text: text, First: path}
			t.notes[text] = n
		}
		n.Count++
	}
}

func (t *tally) fail(path string, err error) {
	t.failures.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) < maxFaults {
		t.faults = append(t.faults, Fault{path, err.Error()})
	}
}

// travelled counts a part that was moved in the form f as n bytes.
func (t *tally) travelled(f form, raw, n int) {
	t.wire.Add(int64(n))
	t.forms[f].Add(int64(raw))
}

func (t *tally) progress(now time.Time) Progress {
	p := Progress{Phase: "looking", Files: t.done.Load(), FilesTotal: t.total.Load(), Bytes: t.doneBytes.Load(), BytesTotal: t.totalBytes.Load(), Moved: t.moved.Load()}
	if began := t.copying.Load(); began != 0 {
		p.Phase, p.Elapsed = "copying", now.Sub(time.Unix(0, began))
	}
	if path := t.path.Load(); path != nil {
		p.Path = *path
	}
	return p
}

func (t *tally) report(r *Report) {
	r.Files, r.Directories, r.Links, r.Specials, r.Unchanged = t.files.Load(), t.dirs.Load(), t.links.Load(), t.specials.Load(), t.unchanged.Load()
	r.Bytes, r.Resumed, r.Moved, r.Wire, r.Present = t.bytes.Load(), t.resumed.Load(), t.moved.Load(), t.wire.Load(), t.present.Load()
	r.Failed = t.failures.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Notes, r.Errors = []Note{}, slices.Clone(t.faults)
	if r.Errors == nil {
		r.Errors = []Fault{}
	}
	for _, n := range t.notes {
		r.Notes = append(r.Notes, *n)
	}
	slices.SortFunc(r.Notes, func(a, b Note) int { return cmp.Compare(a.Text, b.Text) })
	slices.SortFunc(r.Errors, func(a, b Fault) int { return cmp.Compare(a.Path, b.Path) })
}

// compression says in words in which form most bytes travelled, and what it saved.
func (t *tally) compression(way string, choice Compression) string {
	switch way {
	case "local":
		return "raw: both ends are this machine"
	case "sftp":
		return "raw: SFTP does not compress"
	}
	most, all := formRaw, int64(0)
	for f := range formEnd {
		all += t.forms[f].Load()
		if t.forms[f].Load() > t.forms[most].Load() {
			most = f
		}
	}
	packed := t.forms[formZstd].Load()
	switch {
	case all == 0:
		return "nothing was moved"
	case choice == CompressOff:
		return "raw: switched off"
	case packed > 0:
		return fmt.Sprintf("zstd for %.0f %% of the bytes: %.2f of their size travelled", 100*float64(packed)/float64(all), float64(t.wire.Load())/float64(all))
	case most == formIncompressed:
		return "raw: incompressible"
	case most == formFastLink:
		return "raw: the link is faster than the codec"
	}
	return "raw: too small to gain by it"
}
