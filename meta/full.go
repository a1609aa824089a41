package meta

import (
	"errors"

	"github.com/honeyant/honeyant"
)

// Grows tells the changes that need space for metadata. All others go on when there is none left: what deletes,
// what moves on the way to a deletion, what ends or keeps alive, and changes of records in place (rule 9). A Flush is
// carried out, since its records have been answered for, and tells the session that there is none left.
func Grows(op Op) bool {
	switch op := op.(type) {
	case *Make, *Link, *Rename, *SetXattr, *Commit, *Allocate, *Clone, *Repack, *ReserveInodes, *HealBegin, *AddNode, *AddStore, *AddToken:
		return true
	case *SetPolicy:
		return !op.Remove
	}
	return false
}

// room refuses changes that need space when the disk of the metadata has none left. One that may have been
// carried out before is let through, so that it gets its answer.
func (t *tenure) room(call *Call) error {
	if call.Retry || !Grows(call.Op) || !t.l.o.Full() {
		return nil
	}
	return honeyant.E("meta.Do", honeyant.NoSpace, call.Op.Code().String(), errors.New("the disk of the metadata is full: only deletes are possible"))
}
