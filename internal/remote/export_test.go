package remote

// Break ends a connection as a heartbeat that has no answer does.
func Break(c *Conn, err error) { c.broken(err) }
