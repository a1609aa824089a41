package config

import (
	"net"
	"net/netip"
)

// Address is where others reach this node: Advertise, or Listen if that names a host, or
// else the likeliest address of this machine (a private IPv4 one first) with Listen's port.
func (c *Config) Address() string {
	if c.Advertise != "" {
		return c.Advertise
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return c.Listen
	}
	if ip, err := netip.ParseAddr(host); host != "" && (err != nil || !ip.IsUnspecified()) {
		return c.Listen
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		addrs = nil
	}
	return net.JoinHostPort(likeliest(addrs), port)
}

// likeliest picks the address at which other machines probably reach this one.
func likeliest(addrs []net.Addr) string {
	best, rank := "127.0.0.1", 0
	for _, a := range addrs {
		ipNet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(ipNet.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		r := 0
		switch {
		case !ip.IsGlobalUnicast():
		case ip.Is4() && ip.IsPrivate():
			r = 3
		case ip.Is4():
			r = 2
		default:
			r = 1
		}
		if r > rank {
			best, rank = ip.String(), r
		}
	}
	return best
}
