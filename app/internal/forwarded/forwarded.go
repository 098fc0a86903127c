// Package forwarded determines the client address of a request, and whether the client used TLS, when the server is
// behind proxies. It is the only reader of X-Forwarded headers.
package forwarded

import (
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Proxies are the proxies in front of a server whose X-Forwarded-For and X-Forwarded-Proto are trusted: either their
// number or their networks. The zero value trusts none.
//
// Each proxy appends the address of its caller to X-Forwarded-For. Entries are therefore read from the right, and those
// that the client wrote itself are never reached.
type Proxies struct {
	count    int
	networks []netip.Prefix
}

// Parse parses a number ("1"), or networks and addresses separated by commas ("10.42.0.0/16, 192.0.2.7").
func Parse(text string) (Proxies, error) {
	if count, err := strconv.ParseUint(text, 10, 8); err == nil {
		return Proxies{count: int(count)}, nil
	}
	var networks []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		network, err := parseNetwork(strings.TrimSpace(part))
		if err != nil {
			return Proxies{}, err
		}
		networks = append(networks, network)
	}
	return Proxies{networks: networks}, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if address, addressErr := netip.ParseAddr(text); addressErr == nil {
		network, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	switch {
	case err != nil:
		return network, fmt.Errorf("%q is neither a number from 0 to 255 nor a list of networks such as 10.42.0.0/16, 192.0.2.7", text)
	case network.Bits() == 0:
		return network, fmt.Errorf("%q would let every client choose its own address: give the networks of the proxies", text)
	}
	return network.Masked(), nil
}

// Client returns the address of the client. It is invalid if a trusted proxy did not send one.
func (p Proxies) Client(r *http.Request) netip.Addr {
	client := peer(r)
	if len(p.networks) > 0 {
		for address := range addresses(r) {
			if !p.contains(client) || !address.IsValid() {
				break
			}
			client = address
		}
		return client
	}
	passed := 0
	for address := range addresses(r) {
		if passed == p.count {
			break
		}
		// A list with fewer entries than proxies contains none that a client wrote. `web` sends such a list, because it
		// calls the API directly and not through the CDN and the ingress.
		client = address
		passed++
	}
	return client
}

// HTTPS reports whether the client connected over TLS, possibly to a proxy.
func (p Proxies) HTTPS(r *http.Request) bool {
	trusted := p.count > 0 || p.contains(peer(r))
	scheme, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return r.TLS != nil || trusted && strings.EqualFold(strings.TrimSpace(scheme), "https")
}

func (p Proxies) contains(address netip.Addr) bool {
	return slices.ContainsFunc(p.networks, func(network netip.Prefix) bool { return network.Contains(address) })
}

// peer returns the address that the connection comes from.
func peer(r *http.Request) netip.Addr {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return parseAddress(host)
}

// addresses iterates over X-Forwarded-For from the right: the entry of the nearest proxy comes first.
func addresses(r *http.Request) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for rest := strings.Join(r.Header.Values("X-Forwarded-For"), ","); rest != ""; {
			comma := strings.LastIndexByte(rest, ',')
			if !yield(parseAddress(strings.TrimSpace(rest[comma+1:]))) {
				return
			}
			rest = rest[:max(comma, 0)]
		}
	}
}

// parseAddress parses an address, also with a port, as some proxies write it. For other text it returns an invalid
// address.
func parseAddress(text string) netip.Addr {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap()
	}
	address, _ := netip.ParseAddr(text)
	return address.Unmap()
}
