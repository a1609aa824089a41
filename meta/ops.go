package meta

import (
	"fmt"
	"strings"
)

// An entry makes empty values of one operation and of its reply.
type entry struct {
	code  Code
	op    func() Op
	reply func() Reply
}

func of[R Reply, O Request[R]](mk func() O) entry {
	return entry{code: mk().Code(), op: func() Op { return mk() }, reply: func() Reply { return mk().newReply() }}
}

var ops, replies = tables()

// tables joins the lists of operations: nameOps (names, attributes, data) and clusterOps.
func tables() (map[Code]func() Op, map[Code]func() Reply) {
	byCode, answers := map[Code]func() Op{}, map[Code]func() Reply{}
	for _, list := range [][]entry{nameOps(), clusterOps()} {
		for _, e := range list {
			if byCode[e.code] != nil {
				panic(fmt.Sprintf("meta: operation %d is listed twice", e.code))
			}
			byCode[e.code], answers[e.code] = e.op, e.reply
		}
	}
	return byCode, answers
}

func opName(op Op) string { return strings.TrimPrefix(fmt.Sprintf("%T", op), "*meta.") }
