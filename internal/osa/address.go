package osa

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// usedAddresses are addresses that no container may get. The original compares text, and so does this.
type usedAddresses struct {
	text   map[string]struct{}
	ranges []addressRange
}

type addressRange struct{ from, to netip.Addr }

func newUsedAddresses() usedAddresses { return usedAddresses{text: map[string]struct{}{}} }

func (u *usedAddresses) add(s string) { u.text[s] = struct{}{} }

func (u *usedAddresses) has(a netip.Addr, s string) bool {
	if _, ok := u.text[s]; ok {
		return true
	}
	for _, r := range u.ranges {
		if r.from.BitLen() == a.BitLen() && r.from.Compare(a) <= 0 && a.Compare(r.to) <= 0 {
			return true
		}
	}
	return false
}

// usedAddresses reads used_ips, and the addresses that hosts of the existing inventory have.
func (r *run) usedAddresses() {
	v := r.config.Get("used_ips")
	list, ok := v.(*List)
	if !ok && v != nil {
		r.found.warn("used-ips", r.config.PosOf("used_ips"), "write a list", "used_ips is %s, and ignored", kind(v))
	}
	for i, item := range list.Items() {
		pos := list.PosOf(i)
		s, ok := item.(string)
		if !ok {
			r.found.refuse("used-ips", pos, `write "address" or "first,last", in quotes`, "an entry of used_ips is %s, not a string", kind(item))
			continue
		}
		parts := strings.Split(s, ",")
		if len(parts) == 1 {
			if strings.TrimSpace(s) != s {
				r.found.warn("used-ips", pos, "remove the spaces", "used_ips has %q: with spaces it matches no address and reserves nothing", s)
			} else if _, err := netip.ParseAddr(s); err != nil {
				r.found.warn("used-ips", pos, `write an address, or "first,last"`, "used_ips has %q, which is not an address and reserves nothing", s)
			}
			r.used.add(s)
			continue
		}
		first, last := parts[0], parts[len(parts)-1]
		from, ok1 := rangeEnd(first)
		to, ok2 := rangeEnd(last)
		if !ok1 || !ok2 || from.BitLen() != to.BitLen() {
			r.found.refuse("used-ips", pos, `write "first,last" without spaces`, "used_ips has %q, which is not a range of addresses", s)
			continue
		}
		if !strict(first) || !strict(last) {
			r.found.warn("used-ips", pos, fmt.Sprintf("write %q", from.String()+","+to.String()),
				"the range %q is read as %s to %s, and newer releases reject it: a leading zero means octal, missing parts are zero, text after a space is ignored",
				s, from, to)
		}
		if to.Less(from) {
			r.found.warn("used-ips", pos, "swap the two", "the range %q ends before it starts, and reserves nothing", s)
			continue
		}
		r.used.ranges = append(r.used.ranges, addressRange{from, to})
	}
	for _, h := range r.table {
		networks, _ := h.vars.Get("container_networks").(*Map)
		for _, n := range networks.All() {
			m, _ := n.(*Map)
			if s, ok := m.Get("address").(string); ok && s != "" {
				r.used.add(s)
			}
		}
	}
}

// pool is a network that addresses are drawn from, each at most once.
type pool struct {
	prefix  netip.Prefix
	size    uint64
	next    uint64            // this many have been drawn
	swapped map[uint64]uint64 // a shuffle of which only what was drawn is kept
	scan    uint64            // where to go on once drawing has become a search for the last free ones
}

const (
	maxMisses = 1 << 14
	maxScan   = 1 << 25
)

// rangeEnd reads an end of a range as netaddr 0.10 and older do, which ask the C library's inet_aton.
func rangeEnd(s string) (netip.Addr, bool) {
	if a, ok := inetAton(s); ok {
		return a, true
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Is6() && a.Zone() == ""
}

// strict says whether newer releases of netaddr take an address, too.
func strict(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// inetAton reads an IPv4 address of one to four numbers, decimal, octal or hexadecimal, of which the last fills what is
// left. A blank ends it.
func inetAton(s string) (netip.Addr, bool) {
	if i := strings.IndexAny(s, " \t\n\v\f\r"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, p := range parts {
		if p == "" || p[0] < '0' || p[0] > '9' || strings.ContainsAny(p, "_oObB") && !strings.HasPrefix(strings.ToLower(p), "0x") {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(p, 0, 32)
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		if err != nil || strings.Contains(p, "_") || n >= 1<<bits {
			return netip.Addr{}, false
		}
		value = value<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

// ParseNetwork reads a network as netaddr does: 10.0.0.0/22, 10.0.0.0/255.255.252.0, 10/8, with blanks and leading
// zeros that Python's int() takes; host bits are dropped.
func ParseNetwork(s string) (netip.Prefix, error) {
	text, length, ok := strings.Cut(s, "/")
	a, err := netip.ParseAddr(text)
	if err != nil && !strings.Contains(text, ":") {
		a, err = netip.ParseAddr(partialAddress(text))
	}
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not a network", s)
	}
	n := a.BitLen()
	if ok {
		if n, ok = pythonInt(length); !ok {
			n, err = maskLength(length, a)
		}
	}
	if err != nil || n < 0 || n > a.BitLen() {
		return netip.Prefix{}, fmt.Errorf("%q is not a network: what follows / is neither a length nor a netmask", s)
	}
	return netip.PrefixFrom(a, n).Masked(), nil
}

// partialAddress writes out an IPv4 address of which the end is missing, as netaddr's expand_partial_address does; ""
// when it is none.
func partialAddress(s string) string {
	parts := strings.Split(s, ".")
	for i, p := range parts {
		n, ok := pythonInt(p)
		if !ok {
			return ""
		}
		parts[i] = strconv.Itoa(n)
	}
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	return strings.Join(parts, ".")
}

// pythonInt is Python's int() of a string: blanks around it, a sign, and underscores between digits are fine.
func pythonInt(s string) (int, bool) {
	s = strings.TrimSpace(s)
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || strings.HasPrefix(digits, "_") || strings.HasSuffix(digits, "_") || strings.Contains(digits, "__") {
		return 0, false
	}
	n, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	return n, err == nil && digits != ""
}

// maskLength is the prefix length of a netmask or a host mask.
func maskLength(s string, a netip.Addr) (int, error) {
	m, err := netip.ParseAddr(s)
	if err != nil || !m.Is4() || !a.Is4() {
		return 0, fmt.Errorf("%q is not a netmask", s)
	}
	b := m.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	if inverse := ^v; inverse&(inverse+1) == 0 {
		return bits.LeadingZeros32(inverse), nil
	}
	if v&(v+1) == 0 {
		return bits.LeadingZeros32(v), nil
	}
	return 0, fmt.Errorf("%q is not a netmask", s)
}

func netmask(p netip.Prefix) string {
	ones := p.Addr().AsSlice()
	for i := range ones {
		ones[i] = 0xFF
	}
	all, _ := netip.AddrFromSlice(ones) // as long as an address is
	m, _ := all.Prefix(p.Bits())
	return m.Addr().String()
}

// newPool makes a pool, and takes network and broadcast address out of every pool.
func (r *run) newPool(p netip.Prefix) *pool {
	q := &pool{prefix: p, swapped: map[uint64]uint64{}, size: 1 << 62}
	if free := p.Addr().BitLen() - p.Bits(); free < 62 {
		q.size = 1 << free
	}
	r.used.add(p.Addr().String())
	if free := p.Addr().BitLen() - p.Bits(); free < 62 && (p.Addr().Is6() || free > 1) {
		r.used.add(q.at(q.size - 1).String())
	}
	return q
}

// at is the i-th address of the network.
func (q *pool) at(i uint64) netip.Addr {
	b := q.prefix.Addr().AsSlice()
	for at := len(b) - 1; at >= 0 && i > 0; at-- {
		i += uint64(b[at])
		b[at] = byte(i)
		i >>= 8
	}
	a, _ := netip.AddrFromSlice(b) // as long as an address is
	return a
}

// draw takes a free address. It shuffles the network lazily; when only few are free it searches them in order, so that
// neither time nor memory follow the network's size.
func (q *pool) draw(used *usedAddresses, pick func(uint64) uint64) (string, bool) {
	for misses := 0; q.next < q.size && misses < maxMisses; misses++ {
		j := q.next + pick(q.size-q.next)
		i, ok := q.swapped[j]
		if !ok {
			i = j
		}
		first, ok := q.swapped[q.next]
		if !ok {
			first = q.next
		}
		q.swapped[j] = first
		delete(q.swapped, q.next)
		q.next++
		if s, ok := q.take(i, used); ok {
			return s, true
		}
	}
	for ; q.scan < min(q.size, maxScan); q.scan++ {
		if s, ok := q.take(q.scan, used); ok {
			return s, true
		}
	}
	return "", false
}

func (q *pool) take(i uint64, used *usedAddresses) (string, bool) {
	a := q.at(i)
	s := a.String()
	if used.has(a, s) {
		return "", false
	}
	used.add(s)
	return s, true
}
