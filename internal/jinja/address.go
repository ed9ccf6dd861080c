package jinja

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// ipaddr answers what a text is as an address or a network: false when it is none.
func (r *run) ipaddr(in any, a *args, version int) any {
	query, given := a.get(0, "query")
	if l, ok := in.(*List); ok {
		out := &List{}
		for _, item := range r.items(l) {
			if v := r.addressQuery(item, query, given, version); v != false && v != nil {
				r.alloc(16)
				out.Items = append(out.Items, v)
			}
		}
		return out
	}
	return r.addressQuery(in, query, given, version)
}

func (r *run) addressQuery(in, query any, given bool, version int) any {
	text, ok := in.(string)
	if !ok {
		return false
	}
	isNetwork := strings.Contains(text, "/")
	prefix, ok := parsePrefix(text)
	if !ok || version == 4 && !prefix.Addr().Is4() || version == 6 && prefix.Addr().Is4() {
		return false
	}
	if !given || query == nil || query == "" {
		return text
	}
	if n, ok := whole(query); ok {
		host, ok := r.nthHost(prefix.Masked().String(), n).(string)
		if !ok {
			return false
		}
		return host + "/" + strconv.Itoa(prefix.Bits())
	}
	return r.addressPart(prefix, r.wantText(query), text, isNetwork)
}

func parsePrefix(text string) (netip.Prefix, bool) {
	if addr, mask, ok := strings.Cut(text, "/"); ok && strings.Contains(mask, ".") {
		return maskPrefix(addr, mask)
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, true
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// maskPrefix reads 10.0.0.1/255.255.255.0.
func maskPrefix(addr, mask string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(addr)
	m, err2 := netip.ParseAddr(mask)
	if err != nil || err2 != nil || !a.Is4() || !m.Is4() {
		return netip.Prefix{}, false
	}
	bytes := m.As4()
	n := binary.BigEndian.Uint32(bytes[:])
	bits := 0
	for bits < 32 && n&(1<<(31-bits)) != 0 {
		bits++
	}
	if n<<bits != 0 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, bits), true
}

func (r *run) addressPart(p netip.Prefix, query, text string, isNetwork bool) any {
	addr := p.Addr()
	single := p.Bits() == addr.BitLen()
	switch query {
	case "address", "ip":
		if isNetwork && !single && addr == p.Masked().Addr() {
			return nil
		}
		return addr.String()
	case "host":
		if isNetwork && !single && addr == p.Masked().Addr() {
			return nil
		}
		return p.String()
	case "net":
		if isNetwork && addr == p.Masked().Addr() {
			return p.String()
		}
		return nil
	case "network":
		return p.Masked().Addr().String()
	case "subnet", "cidr":
		return p.Masked().String()
	case "prefix":
		return p.Bits()
	case "netmask":
		return netmask(p)
	case "version":
		if addr.Is4() {
			return 4
		}
		return 6
	case "size":
		if bits := addr.BitLen() - p.Bits(); bits < 62 {
			return 1 << bits
		}
		r.overflow()
	case "broadcast":
		if addr.Is4() && p.Bits() < 31 {
			return lastAddress(p).String()
		}
		return nil
	case "private":
		return kept(addr.IsPrivate(), text)
	case "public":
		return kept(addr.IsGlobalUnicast() && !addr.IsPrivate(), text)
	case "ipv4":
		return kept(addr.Is4(), text)
	case "ipv6":
		return kept(!addr.Is4(), text)
	case "loopback":
		return kept(addr.IsLoopback(), text)
	case "bool":
		return true
	}
	return r.withinQuery(p, query, text)
}

// kept is the text when the query holds, and None otherwise; only what is no address at all is false.
func kept(ok bool, text string) any {
	if ok {
		return text
	}
	return nil
}

// withinQuery keeps an address that lies in the network the query names.
func (r *run) withinQuery(p netip.Prefix, query, text string) any {
	network, ok := parsePrefix(query)
	if !ok {
		r.errorf("ipaddr: the query is not supported")
	}
	return kept(network.Masked().Contains(p.Addr()) && p.Bits() >= network.Bits(), text)
}

func netmask(p netip.Prefix) string {
	all := p.Addr().AsSlice()
	for i := range all {
		all[i] = 0
		for bit := range 8 {
			if i*8+bit < p.Bits() {
				all[i] |= 1 << (7 - bit)
			}
		}
	}
	a, _ := netip.AddrFromSlice(all)
	return a.String()
}

func lastAddress(p netip.Prefix) netip.Addr {
	all := p.Masked().Addr().AsSlice()
	for i := range all {
		for bit := range 8 {
			if i*8+bit >= p.Bits() {
				all[i] |= 1 << (7 - bit)
			}
		}
	}
	a, _ := netip.AddrFromSlice(all)
	return a
}

func (r *run) ipwrap(in any) any {
	text, ok := in.(string)
	if !ok {
		return in
	}
	head, tail, found := strings.Cut(text, "/")
	if a, err := netip.ParseAddr(head); err != nil || !a.Is6() {
		return text
	}
	if found {
		return "[" + head + "]/" + tail
	}
	return "[" + head + "]"
}

// nthHost is the address n places into a network; from its end when n is negative.
func (r *run) nthHost(in any, n int) any {
	p, ok := parsePrefix(r.wantText(in))
	if !ok {
		return false
	}
	bits := p.Addr().BitLen() - p.Bits()
	if bits < 62 {
		size := 1 << bits
		if n < 0 {
			n += size
		}
		if n < 0 || n >= size {
			return false
		}
	} else if n < 0 {
		r.errorf("the network is too large to count from its end")
	}
	all := p.Masked().Addr().AsSlice()
	for i, carry := len(all)-1, uint64(n); i >= 0 && carry > 0; i-- {
		carry += uint64(all[i])
		all[i] = byte(carry)
		carry >>= 8
	}
	a, _ := netip.AddrFromSlice(all)
	return a.String()
}
