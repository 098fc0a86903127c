package forwarded_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"slipway/app/internal/forwarded"
)

func parse(t *testing.T, text string) forwarded.Proxies {
	t.Helper()
	proxies, err := forwarded.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return proxies
}

const (
	client, cdn, ingress, web = "203.0.113.9", "198.51.100.1", "10.42.0.7", "10.42.0.8"
	networks                  = "10.42.0.0/16, 198.51.100.0/24"
)

func TestTheClientAddressComesFromTrustedProxies(t *testing.T) {
	for _, test := range []struct{ name, trusted, peer, header, want string }{
		{"nobody is trusted", "0", client, "192.0.2.1", client},
		{"one proxy", "1", ingress, client, client},
		{"one proxy, and an entry that the client wrote", "1", ingress, "192.0.2.1, " + client, client},
		{"one proxy that sends no header", "1", ingress, "", ingress},
		{"a CDN before the ingress", "2", ingress, "192.0.2.1, " + client + ", " + cdn, client},
		{"web calls the API directly", "2", web, client, client},
		{"networks: a CDN before the ingress", networks, ingress, "192.0.2.1, " + client + ", " + cdn, client},
		{"networks: web calls the API directly", networks, web, client, client},
		{"networks: around the CDN, with a list that the client wrote", networks, ingress, cdn + ", " + client, client},
		{"networks: no proxy at all, with a list that the client wrote", networks, client, "192.0.2.1", client},
		{"networks: only proxies", networks, ingress, web, web},
		{"networks: not an address", networks, ingress, "nonsense", ingress},
		{"an address with a port", "1", ingress, client + ":4711", client},
		{"IPv6 with a port", "1", ingress, "[2001:db8::1]:4711", "2001:db8::1"},
		{"IPv4 as IPv6", "10.42.0.7", "::ffff:10.42.0.7", "::ffff:" + client, client},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = test.peer + ":1"
			if strings.Contains(test.peer, "::") {
				r.RemoteAddr = "[" + test.peer + "]:1"
			}
			if test.header != "" {
				r.Header.Set("X-Forwarded-For", test.header)
			}
			if got := parse(t, test.trusted).Client(r).String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestHTTPSIsReportedOnlyByTrustedProxies(t *testing.T) {
	for _, test := range []struct {
		trusted, peer, proto string
		want                 bool
	}{
		{"0", client, "https", false},
		{"1", ingress, "https", true},
		{"1", ingress, "HTTPS, http", true},
		{"1", ingress, "http", false},
		{"1", ingress, "", false},
		{networks, ingress, "https", true},
		{networks, client, "https", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.peer + ":1"
		r.Header.Set("X-Forwarded-Proto", test.proto)
		if got := parse(t, test.trusted).HTTPS(r); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

func TestAnInvalidListOfProxiesIsRefused(t *testing.T) {
	for _, text := range []string{"-1", "256", "", "cdn.example.org", "10.0.0.0/8,", "10.0.0.0/33", "0.0.0.0/0", "::/0"} {
		if _, err := forwarded.Parse(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
