package netpol

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// packet is a packet as the hooks see it.
type packet struct {
	from, to netip.Addr
	protocol string
	port     int
	reply    bool
}

// table is the rendered rules, parsed far enough to decide about packets without a kernel. It fails the test for any
// word that it does not support.
type table struct {
	t      *testing.T
	chains map[string][]string
	maps   map[string]map[string]string
}

var (
	chainPattern   = regexp.MustCompile(`(?s)\tchain (\S+) \{[^\n]*\n(.*?)\n\t\}`)
	mapPattern     = regexp.MustCompile(`(?s)\tmap (\S+) \{\n(.*?)\n\t\}`)
	elementPattern = regexp.MustCompile(`(\S+) : jump ([^\s,]+)`)
)

func parse(t *testing.T, rules string) table {
	parsed := table{t, map[string][]string{}, map[string]map[string]string{}}
	for _, found := range chainPattern.FindAllStringSubmatch(rules, -1) {
		parsed.chains[found[1]] = strings.Split(strings.ReplaceAll(found[2], "\t", ""), "\n")
	}
	for _, found := range mapPattern.FindAllStringSubmatch(rules, -1) {
		elements := map[string]string{}
		for _, element := range elementPattern.FindAllStringSubmatch(found[2], -1) {
			elements[element[1]] = element[2]
		}
		parsed.maps[found[1]] = elements
	}
	return parsed
}

// passes reports whether the hook's chain lets the packet through.
func (tb table) passes(hook string, p packet) bool {
	verdict := tb.walk(hook, p)
	return verdict != "drop"
}

// walk returns the verdict of a chain: accept, drop or, at its end, return.
func (tb table) walk(chain string, p packet) string {
	lines, known := tb.chains[chain]
	if !known {
		tb.t.Fatalf("jump to unknown chain %q", chain)
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "type filter hook") {
			continue
		}
		words := strings.Fields(strings.Split(line, " comment ")[0])
		if verdict := tb.rule(words, p); verdict == "accept" || verdict == "drop" {
			return verdict
		} else if verdict == "return" {
			return "return"
		}
	}
	return "return"
}

// rule returns the verdict of one line, or "" if the packet does not match.
func (tb table) rule(words []string, p packet) string {
	for len(words) > 0 {
		switch words[0] {
		case "accept", "drop", "return":
			return words[0]
		case "counter":
			words = words[1:]
		case "ct":
			if strings.Join(words[:3], " ") == "ct state related" || !p.reply {
				return ""
			}
			words = words[3:]
		case "ip":
			address := p.from
			if words[1] == "daddr" {
				address = p.to
			}
			if words[2] == "vmap" {
				chain, known := tb.maps[words[3][1:]][address.String()]
				if !known {
					return ""
				}
				if verdict := tb.walk(chain, p); verdict != "return" {
					return verdict
				}
				return ""
			}
			matched, rest := tb.addressMatches(address, words[2:])
			if !matched {
				return ""
			}
			words = rest
		case "meta":
			if words[1] != "l4proto" || words[2] != p.protocol {
				return ""
			}
			words = words[3:]
		case "tcp", "udp", "sctp":
			if words[0] != p.protocol || !tb.portMatches(p.port, words[2]) {
				return ""
			}
			words = words[3:]
		default:
			tb.t.Fatalf("unknown word in rule: %q", strings.Join(words, " "))
		}
	}
	return ""
}

func (tb table) addressMatches(address netip.Addr, words []string) (matched bool, rest []string) {
	if words[0] == "!=" {
		inside, rest := tb.addressMatches(address, words[1:])
		return !inside, rest
	}
	if words[0] == "{" {
		for i, word := range words[1:] {
			if word == "}" {
				return matched, words[i+2:]
			}
			matched = matched || strings.Trim(word, ",") == address.String()
		}
		tb.t.Fatalf("set without an end: %q", words)
	}
	if prefix, err := netip.ParsePrefix(words[0]); err == nil {
		return prefix.Contains(address), words[1:]
	}
	return netip.MustParseAddr(words[0]) == address, words[1:]
}

func (tb table) portMatches(port int, text string) bool {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, err := strconv.Atoi(low)
	last, err2 := strconv.Atoi(high)
	if err != nil || err2 != nil {
		tb.t.Fatalf("not a port: %q", text)
	}
	return first <= port && port <= last
}

var connectionPattern = regexp.MustCompile(`^(\S+) -> ([^\s:]+):(\d+)(?:/(\w+))?$`)

// opening returns the first packet of a connection written as "web -> api:8080" or "web -> 10.1.2.3:53/udp".
func opening(t *testing.T, connection string, addresses map[string]string) packet {
	found := connectionPattern.FindStringSubmatch(connection)
	if found == nil {
		t.Fatalf("not a connection: %q", connection)
	}
	port, _ := strconv.Atoi(found[3])
	return packet{address(t, found[1], addresses), address(t, found[2], addresses), orTCP(found[4]), port, false}
}

func address(t *testing.T, nameOrAddress string, addresses map[string]string) netip.Addr {
	text := nameOrAddress
	if known, ok := addresses[nameOrAddress]; ok {
		text = known
	}
	parsed, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(fmt.Errorf("neither a pod nor an address: %w", err))
	}
	return parsed
}

func orTCP(protocol string) string {
	if protocol == "" {
		return "tcp"
	}
	return protocol
}
