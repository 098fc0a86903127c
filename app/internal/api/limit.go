package api

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"time"

	"slipway/app/internal/config"
	"slipway/app/internal/limit"
	"slipway/app/internal/store"
)

const window = time.Minute

// budget is the number of requests of one client for some routes; see RateLimit of the config file.
type budget struct {
	name   string
	max    func(config.RateLimit) int // 0 means no limit
	client func(*api, *http.Request) string
}

var (
	requests = budget{"requests", func(r config.RateLimit) int { return r.Requests }, (*api).client}
	// logins are counted by address, because clients that guess passwords are not logged in.
	logins = budget{"logins", func(r config.RateLimit) int { return r.Logins }, (*api).address}
)

// limited responds 429 once the budget is used up. Every response reports what is left of it
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
func (a *api) limited(b budget, h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		maximum := b.max(a.File().RateLimit)
		if maximum == 0 {
			return h(w, r)
		}
		decision := a.Limiter.Take(r.Context(), b.name+":"+b.client(a, r), limit.Rate{Max: maximum, Window: window})
		w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, b.name, maximum, seconds(window)))
		w.Header().Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, b.name, decision.Remaining, seconds(decision.Reset)))
		if !decision.Allowed {
			w.Header().Set("Retry-After", fmt.Sprint(max(1, seconds(decision.RetryAfter))))
			return refuse(http.StatusTooManyRequests, fmt.Sprintf("more than %d %s per minute: try again after Retry-After seconds", maximum, b.name))
		}
		return h(w, r)
	}
}

// seconds rounds up to whole seconds.
func seconds(span time.Duration) int { return int(math.Ceil(span.Seconds())) }

// client identifies the user of the request, or its address if not logged in.
func (a *api) client(r *http.Request) string {
	if user := a.viewer(r); user != (store.ID{}) {
		return "user:" + user.String()
	}
	return a.address(r)
}

// address identifies the client address of the request.
func (a *api) address(r *http.Request) string {
	address := a.TrustedProxies.Client(r)
	if !address.IsValid() {
		return "address:unknown"
	}
	return "address:" + network(address)
}

// network returns the addresses that one client has: a single IPv4 address, or an IPv6 /64.
func network(address netip.Addr) string {
	if address.Is6() {
		prefix, _ := address.WithZone("").Prefix(64)
		return prefix.String()
	}
	return address.String()
}
