package history

import (
	"bufio"
	"errors"
	"io"
	"slices"

	"github.com/honeyant/honeyant/bench"
)

// lines splits a stream at newlines without holding more than one line, and no more of it than
// maxLine; what is longer counts as a damaged line.
type lines struct{ in *bufio.Reader }

func newLines(in io.Reader) *lines { return &lines{bufio.NewReaderSize(in, 64<<10)} }

// next is the next line; whole is false at the end and for a last line without its newline.
func (l *lines) next() (line []byte, whole bool, err error) {
	for long := false; ; {
		part, err := l.in.ReadSlice('\n')
		long = long || len(line)+len(part) > maxLine
		if long {
			line = nil // parsing says that it is none
		} else {
			line = append(line, part...)
		}
		switch {
		case err == nil:
			return line, true, nil
		case errors.Is(err, io.EOF):
			return nil, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

// SortByTime puts the oldest run first.
func SortByTime(runs []*bench.Run) {
	slices.SortStableFunc(runs, func(a, b *bench.Run) int { return a.Began.Compare(b.Began) })
}
