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

// budget is how often one client may ask for some routes; see RateLimit of the config file.
type budget struct {
	name string
	most func(config.RateLimit) int // 0: no limit
	of   func(*api, *http.Request) (client string)
}

var (
	requests = budget{"requests", func(r config.RateLimit) int { return r.Requests }, (*api).client}
	// logins are counted by address: whoever guesses passwords is not one of the users they guess for.
	logins = budget{"logins", func(r config.RateLimit) int { return r.Logins }, (*api).address}
)

// limited answers 429 once the budget is spent, and always says what is left of it
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
func (a *api) limited(b budget, h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		most := b.most(a.File().RateLimit)
		if most == 0 {
			return h(w, r)
		}
		decision := a.Limiter.Take(r.Context(), b.name+":"+b.of(a, r), limit.Rate{Most: most, Window: window})
		w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, b.name, most, seconds(window)))
		w.Header().Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, b.name, decision.Remaining, seconds(decision.Reset)))
		if !decision.Allowed {
			w.Header().Set("Retry-After", fmt.Sprint(max(1, seconds(decision.RetryAfter))))
			return refuse(http.StatusTooManyRequests, fmt.Sprintf("more than %d %s per minute: try again after Retry-After seconds", most, b.name))
		}
		return h(w, r)
	}
}

func seconds(span time.Duration) int { return int(math.Ceil(span.Seconds())) }

// client is the user who asks, or the address of who has not logged in.
func (a *api) client(r *http.Request) string {
	if user := a.viewer(r); user != (store.ID{}) {
		return "user:" + user.String()
	}
	return a.address(r)
}

func (a *api) address(r *http.Request) string {
	address := a.TrustedProxies.Client(r)
	if !address.IsValid() {
		return "address:unknown"
	}
	return "address:" + network(address)
}

// network is what one client has: of IPv6 a /64.
func network(address netip.Addr) string {
	if address.Is6() {
		prefix, _ := address.WithZone("").Prefix(64)
		return prefix.String()
	}
	return address.String()
}
