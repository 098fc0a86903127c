// Package forwarded tells who asks, behind proxies too.
package forwarded

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Client is the address of the peer, or what the proxies in front of this service say it is: each adds to the end of
// X-Forwarded-For who asked it, and what clients wrote there themselves comes before. Not valid: nobody knows.
func Client(r *http.Request, trustedProxies int) netip.Addr {
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	if trustedProxies > 0 {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if at := len(hops) - trustedProxies; at >= 0 {
			peer = strings.TrimSpace(hops[at])
		}
	}
	address, _ := netip.ParseAddr(peer)
	return address.Unmap()
}
