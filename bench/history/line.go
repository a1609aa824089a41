package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// magic begins each line; the number is the version of the line's form. The form of the run
// within has its own version, bench.Schema.
const (
	magic   = "honeyant-history/1"
	family  = "honeyant-history/"
	maxLine = 64 << 20
)

// Line is the run as one line of a history file, newline included.
func Line(run *bench.Run) ([]byte, error) {
	if err := run.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(run)
	if err != nil {
		return nil, honeyant.E("history.Line", honeyant.Invalid, run.ID, err)
	}
	if len(body) > maxLine/2 {
		return nil, honeyant.E("history.Line", honeyant.TooBig, run.ID, errors.New("the run has too many samples"))
	}
	return fmt.Appendf(nil, "%s %08x %s\n", magic, crc32.Checksum(body, castagnoli()), body), nil
}

// ParseLine is the reverse of Line. Errors: Corrupt for damage, Unsupported for a form or a
// schema that this version does not know.
func ParseLine(line []byte) (*bench.Run, error) {
	const op = "history.ParseLine"
	line = bytes.TrimSuffix(line, []byte("\n"))
	head, rest, _ := bytes.Cut(line, []byte(" "))
	if string(head) != magic {
		if bytes.HasPrefix(head, []byte(family)) && len(head) < len(magic)+4 {
			return nil, honeyant.E(op, honeyant.Unsupported, "", fmt.Errorf("the line is of form %q, this version reads %s", head, magic))
		}
		return nil, honeyant.E(op, honeyant.Corrupt, "", errors.New("this is no line of a history"))
	}
	sum, body, _ := bytes.Cut(rest, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || len(sum) != 8 || crc32.Checksum(body, castagnoli()) != uint32(want) {
		return nil, honeyant.E(op, honeyant.Corrupt, "", errors.New("the checksum does not match"))
	}
	return bench.Decode(bytes.NewReader(body))
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
