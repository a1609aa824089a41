package rpc

import (
	"net"
	"net/netip"
	"sync"
)

// door lets a number of strangers in at once, and of each address only a part of it. Safe
// for concurrent use.
type door struct {
	all, each int

	mu     sync.Mutex // guards what follows
	inside int
	from   map[netip.Prefix]int
}

func newDoor(all, each int) *door {
	return &door{all: all, each: each, from: map[netip.Prefix]int{}}
}

// enter takes a place, which leave gives back.
func (d *door) enter(addr net.Addr) (leave func(), ok bool) {
	who := stranger(addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside >= d.all || d.from[who] >= d.each {
		return nil, false
	}
	d.inside++
	d.from[who]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inside--
		if d.from[who]--; d.from[who] == 0 {
			delete(d.from, who)
		}
	}, true
}

// stranger is whom an address belongs to: an IPv4 address, or the /64 of an IPv6 address,
// all of which one machine has. What is no IP address is one stranger.
func stranger(addr net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
