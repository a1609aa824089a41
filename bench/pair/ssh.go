package pair

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/bench"
)

// ssh measures the way by ssh: through the other machine's own sshd if that lets this
// daemon's user in without a question, else through one that the other node starts for it.
func (m *measuring) ssh(ctx context.Context) error {
	host, _, err := net.SplitHostPort(m.Address)
	if err != nil {
		m.skip("ssh", err)
		return ctx.Err()
	}
	way := bench.SSHWay{Peer: m.Peer, Host: host, Dir: m.Dir, Gentle: m.Gentle, Progress: m.sshProgress}
	if m.Full {
		way.Profile = bench.Full
	}
	var shut error
	if bench.SSHAnswers(ctx, host) {
		results, skipped, err := bench.MeasureSSH(ctx, way)
		if err == nil {
			m.results, m.skipped = append(m.results, results...), append(m.skipped, skipped...)
			return ctx.Err()
		}
		shut = err
	}
	control, err := m.dial(ctx)
	if err != nil {
		m.skip("ssh", err)
		return ctx.Err()
	}
	defer control.Close()
	a, err := ask(control, request{Op: opSSH})
	if err == nil && a.Login == nil {
		err = honeyant.E("pair.SSH", honeyant.Corrupt, m.Peer.To, errors.New("an answer without a login"))
	}
	if err != nil {
		m.skip("ssh", m.noSSH(shut, err))
		return ctx.Err()
	}
	way.Login = a.Login
	results, skipped, err := bench.MeasureSSH(ctx, way)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		m.skip("ssh", m.noSSH(shut, err))
		return nil
	}
	for i := range results {
		note := "through an sshd that was started for this measurement, because none answers on port 22 there"
		if shut != nil {
			note = "through an sshd that was started for this measurement, because the one on port 22 does not let this daemon in"
		}
		results[i].Notes = append(results[i].Notes, note)
	}
	m.results, m.skipped = append(m.results, results...), append(m.skipped, skipped...)
	return nil
}

// noSSH says in one line why there is nothing to measure: what the sshd on port 22 said,
// and why none could be started instead.
func (m *measuring) noSSH(shut, err error) error {
	if errors.Is(err, honeyant.NotExist) && shut == nil {
		return fmt.Errorf("%s has no sshd: none answers on its port 22, and %s", m.Peer.To, plain(err))
	}
	if shut != nil {
		return fmt.Errorf("%s; and no other could be started: %s", plain(shut), plain(err))
	}
	return err
}

// plain is an error without the operations it came through and the name of its kind.
func plain(err error) string {
	for {
		var e *honeyant.Error
		if !errors.As(err, &e) || e.Err == nil {
			return err.Error()
		}
		err = e.Err
	}
}

func (m *measuring) sshProgress(e bench.Event) {
	switch {
	case e.Result != nil:
		m.tell(Step{Node: m.Peer.From, Text: e.Name + " to " + m.Peer.To, Result: e.Result})
	case e.Skip == nil:
		m.tell(Step{Node: m.Peer.From, Text: e.Name + " to " + m.Peer.To})
	}
}
