package native

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
)

// lobby holds connections that have not said yet which cluster they want. Anybody who reaches the port can open some
// and say nothing, so no source can keep others out: where there is no room, whoever has most there gives one up, and
// that is the one that has been silent longest.
type lobby struct {
	limit int

	mu      sync.Mutex
	guests  map[*net.TCPConn]*guest
	sources map[netip.Addr]*list.List       // of *guest, the longest there first
	having  map[int]map[netip.Addr]struct{} // sources by how many guests they have
	most    int                             // that a source has
}

// guest is a connection in the lobby.
type guest struct {
	conn   *net.TCPConn
	source netip.Addr
	at     *list.Element
}

func newLobby(limit int) *lobby {
	return &lobby{limit: limit, guests: map[*net.TCPConn]*guest{}, sources: map[netip.Addr]*list.List{}, having: map[int]map[netip.Addr]struct{}{}}
}

// sourceOf is who a client is, as far as an address says: one machine may have all of an IPv6 network of 64 bits.
func sourceOf(c *net.TCPConn) netip.Addr {
	t, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	a := t.AddrPort().Addr().Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// enter takes a connection in, and closes another one if that leaves no room.
func (l *lobby) enter(c *net.TCPConn, source netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.guests) >= l.limit {
		for heaviest := range l.having[l.most] {
			g := l.sources[heaviest].Front().Value.(*guest)
			l.remove(g)
			_ = g.conn.Close() // whoever reads from it sees that it was sent away
			break
		}
	}
	g := &guest{conn: c, source: source}
	all := l.sources[source]
	if all == nil {
		all = list.New()
		l.sources[source] = all
	}
	g.at = all.PushBack(g)
	l.guests[c] = g
	l.count(source, all.Len()-1, all.Len())
}

// leave says that a connection has said what it wants, or ended; false if it had been sent away.
func (l *lobby) leave(c *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.guests[c]
	if g == nil {
		return false
	}
	l.remove(g)
	return true
}

func (l *lobby) remove(g *guest) {
	all := l.sources[g.source]
	all.Remove(g.at)
	delete(l.guests, g.conn)
	l.count(g.source, all.Len()+1, all.Len())
	if all.Len() == 0 {
		delete(l.sources, g.source)
	}
}

// count keeps sources by how many guests they have, so that making room costs the same however many there are.
func (l *lobby) count(source netip.Addr, from, to int) {
	delete(l.having[from], source)
	if len(l.having[from]) == 0 {
		delete(l.having, from)
	}
	if to > 0 {
		if l.having[to] == nil {
			l.having[to] = map[netip.Addr]struct{}{}
		}
		l.having[to][source] = struct{}{}
	}
	l.most = max(l.most, to)
	for l.most > 0 && l.having[l.most] == nil {
		l.most--
	}
}

// close ends all that are there.
func (l *lobby) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.guests {
		_ = c.Close() // told to end
	}
}
