package remote

import (
	"sync"

	"github.com/honeyant/honeyant/meta"
)

// openFiles is what the session has open. Releases are gathered and sent now and then: until then, opening
// the file again needs none. Safe for concurrent use.
type openFiles struct {
	mu       sync.Mutex // guards all below
	stamp    uint64
	files    map[meta.OpenFile]*fileOpens
	released map[meta.OpenFile]struct{} // registered at the leader, perhaps, but of no more use
	under    *sync.WaitGroup            // opens under way since the last change of the epoch
}

// fileOpens counts one file's opens.
type fileOpens struct {
	count, underWay int
	said            bool // the leader knows
	maybe           bool // it may know
}

func newOpenFiles() *openFiles {
	return &openFiles{files: map[meta.OpenFile]*fileOpens{}, released: map[meta.OpenFile]struct{}{}, under: new(sync.WaitGroup)}
}

// begin notes that a call is under way that may open a file, known or not, and gives its stamp.
func (o *openFiles) begin(f *meta.OpenFile) (stamp uint64, end func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	under := o.under
	under.Add(1)
	if f == nil {
		o.stamp++
		return o.stamp, under.Done
	}
	e := o.entry(*f)
	e.underWay++
	e.maybe = true
	o.stamp++
	return o.stamp, func() {
		o.mu.Lock()
		e.underWay--
		o.settle(*f, e)
		o.mu.Unlock()
		under.Done()
	}
}

// next gives a stamp.
func (o *openFiles) next() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stamp++
	return o.stamp
}

func (o *openFiles) entry(f meta.OpenFile) *fileOpens {
	e := o.files[f]
	if e == nil {
		_, maybe := o.released[f]
		e = &fileOpens{maybe: maybe}
		o.files[f] = e
	}
	delete(o.released, f)
	return e
}

// opened counts an open that the leader has answered.
func (o *openFiles) opened(f meta.OpenFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.entry(f)
	e.count++
	e.said = true
}

// unwanted notes that the leader may have a registration of a file that nobody here opened.
func (o *openFiles) unwanted(f meta.OpenFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.files[f]; e == nil {
		o.released[f] = struct{}{}
	} else {
		e.maybe = true
	}
}

// close takes one open back.
func (o *openFiles) close(f meta.OpenFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.files[f]; e != nil && e.count > 0 {
		e.count--
		o.settle(f, e)
	}
}

// settle moves a file that is of no more use to the released ones.
func (o *openFiles) settle(f meta.OpenFile, e *fileOpens) {
	if e.count == 0 && e.underWay == 0 && o.files[f] == e {
		delete(o.files, f)
		if e.said || e.maybe {
			o.released[f] = struct{}{}
		}
	}
}

// takeReleased hands over what may be released now, at most maxOpens.
func (o *openFiles) takeReleased() []meta.ReleasedFile {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.released) == 0 {
		return nil
	}
	o.stamp++
	list := make([]meta.ReleasedFile, 0, min(len(o.released), maxOpens))
	for f := range o.released {
		if len(list) == maxOpens {
			break
		}
		list = append(list, meta.ReleasedFile{OpenFile: f, Stamp: o.stamp})
		delete(o.released, f)
	}
	return list
}

// keepReleased takes back what could not be said.
func (o *openFiles) keepReleased(list []meta.ReleasedFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range list {
		if e := o.files[f.OpenFile]; e != nil {
			e.maybe = true
		} else {
			o.released[f.OpenFile] = struct{}{}
		}
	}
}

// before gives the opens that are under way now, to wait for; later ones count separately.
func (o *openFiles) before() *sync.WaitGroup {
	o.mu.Lock()
	defer o.mu.Unlock()
	under := o.under
	o.under = new(sync.WaitGroup)
	return under
}

// list is everything open, to be said under its stamp.
func (o *openFiles) list() *saying {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]meta.OpenFile, 0, len(o.files))
	for f := range o.files {
		all = append(all, f)
	}
	return o.say(all)
}

// len is how many files are open.
func (o *openFiles) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.files)
}
