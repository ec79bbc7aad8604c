package app

import (
	"net"
	"net/netip"
)

// MaxConnections is how many connections one host may hold open.
const MaxConnections = maxConnections

// Guarded is the listener that holds hosts to it.
func Guarded(l net.Listener, proxy netip.Prefix) net.Listener { return newGuarded(l, proxy) }
