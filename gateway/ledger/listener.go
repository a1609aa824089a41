package ledger

import "net"

// WrapListener enters every connection that inner accepts, as WrapClient does.
func (l *Ledger) WrapListener(inner net.Listener, limits Limits) net.Listener {
	return listener{inner, l, limits}
}

type listener struct {
	net.Listener
	ledger *Ledger
	limits Limits
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.ledger.WrapClient(c, l.limits), nil
}
