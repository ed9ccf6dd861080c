package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// advertise chooses the address that clients are told: what was asked for, else the one that is listened on, else the
// one that this host's default route leaves by. One that nobody could reach us at is refused.
func advertise(ctx context.Context, asked, bind string, local func() ([]net.Addr, error)) (netip.Addr, error) {
	bound, any, err := parseBind(bind)
	if err != nil {
		return netip.Addr{}, err
	}
	switch {
	case asked != "":
		a, err := netip.ParseAddr(asked)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("address to advertise (--advertise, POD_IP): %w", err)
		}
		a = a.Unmap()
		if !any && a != bound {
			// An address of another machine may lead here, by translation. One of ours does not, when something else is listened
			// on.
			ours, err := isLocal(a, local)
			if err != nil {
				return netip.Addr{}, err
			}
			if ours {
				return netip.Addr{}, fmt.Errorf("clients would be sent to %s, but the proxy listens on %s only: "+
					"give --advertise (POD_IP) and --bind (PROXY_BIND) the same address, or --bind '*'", a, bound)
			}
		}
		return a, nil
	case !any:
		return bound, nil
	}
	return defaultRoute(ctx)
}

// parseBind reads the address to listen on; "" and "*" are all.
func parseBind(bind string) (a netip.Addr, any bool, err error) {
	if bind == "" || bind == "*" {
		return netip.Addr{}, true, nil
	}
	a, err = netip.ParseAddr(bind)
	if err != nil {
		return a, false, fmt.Errorf("address to listen on (--bind, PROXY_BIND): %w", err)
	}
	return a.Unmap(), a.IsUnspecified(), nil
}

func isLocal(a netip.Addr, local func() ([]net.Addr, error)) (bool, error) {
	all, err := local()
	if err != nil {
		return false, fmt.Errorf("read this host's addresses: %w", err)
	}
	for _, l := range all {
		if p, err := netip.ParsePrefix(l.String()); err == nil && p.Addr().Unmap() == a {
			return true, nil
		}
	}
	return false, nil
}

// defaultRoute asks the kernel which address a packet to the world would have. Nothing is sent.
func defaultRoute(ctx context.Context) (netip.Addr, error) {
	var d net.Dialer
	for _, world := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // documentation addresses, RFC 5737 and RFC 3849
		c, err := d.DialContext(ctx, "udp", world)
		if err != nil {
			continue
		}
		a := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = c.Close() // nothing was sent
		return a, nil
	}
	return netip.Addr{}, errors.New("this host has no default route to take an address from: say with --advertise (POD_IP) where clients reach it")
}
