package uring

import "sync/atomic"

// helpers answer requests apart. One that has answered stays for the next, since its stack has grown to what an answer takes by
// then, and waking it costs less than making another.
type helpers struct {
	work chan apart // nobody keeps work here
	idle atomic.Int32
}

// apart is a request to be answered by somebody else than the thread that leads.
type apart struct {
	lane  *lane
	entry *entry
	op    uint32
}

// mostIdle helpers stay.
const mostIdle = 32

// help has a request answered apart.
func (s *Server) help(a apart) {
	select {
	case s.helpers.work <- a:
	default:
		s.threads.Add(1)
		go s.helper(a)
	}
}

func (s *Server) helper(a apart) {
	defer s.threads.Done()
	for {
		a.lane.apart(a.entry, a.op)
		if s.helpers.idle.Add(1) > mostIdle {
			s.helpers.idle.Add(-1)
			return
		}
		select {
		case a = <-s.helpers.work:
			s.helpers.idle.Add(-1)
		case <-s.gone:
			return
		}
	}
}
