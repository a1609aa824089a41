package ledger

// Conn is one live connection, of a client or to an origin.
type Conn struct {
	id ID
}

// ID is the connection's.
func (c *Conn) ID() ID { return c.id }
