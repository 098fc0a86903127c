package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"slipway/app/internal/config"
	"slipway/app/internal/limit"
)

// Passwords of one account may be tried so often: by one address, rateLimit.guesses times in guessWindow, and then once
// per its share of that; by all others together, ten times as often in an hour (NIST SP 800-63B, section 3.2.2, allows
// 100). An address from which the account was used lately is not one of those others, so that nobody can lock users out
// of the places they log in from.
const (
	guessWindow    = 10 * time.Minute
	allGuesses     = 10
	allGuessWindow = time.Hour
	knownFor       = 14 * 24 * time.Hour
)

// accountNames replaces e-mail addresses in keys and logs.
type accountNames struct{ key []byte }

func newAccountNames(keys []config.Secret) accountNames {
	sum := hmac.New(sha256.New, []byte(keys[0].Reveal()))
	sum.Write([]byte("names of accounts"))
	return accountNames{sum.Sum(nil)}
}

func (n accountNames) of(email string) string {
	sum := hmac.New(sha256.New, n.key)
	sum.Write([]byte(email))
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// checkPassword reports whether the password of the account with this e-mail address has this hash, or answers 429 after
// too many that did not. An empty hash is for an account that does not exist: it is treated like any other.
func (a *api) checkPassword(w http.ResponseWriter, r *http.Request, email, password, hash string) (matches bool, err error) {
	account, address := a.accounts.of(email), a.address(r)
	if wait, throttled := a.takeGuess(r, account, address); throttled {
		a.Metrics.Logins.WithLabelValues("throttled").Inc()
		a.Logger.WarnContext(r.Context(), "login throttled", "account", account, "client", address, "wait", wait)
		w.Header().Set("Retry-After", fmt.Sprint(max(1, seconds(wait))))
		return false, refuse(http.StatusTooManyRequests, "too many logins to this account failed: try again after Retry-After seconds")
	}
	if matches, err = a.passwords.Matches(r.Context(), password, hash); err != nil {
		return false, fmt.Errorf("check password: %w", err)
	}
	if !matches {
		a.Metrics.Logins.WithLabelValues("failed").Inc()
		a.Logger.InfoContext(r.Context(), "login failed", "account", account, "client", address)
		return false, nil
	}
	a.Metrics.Logins.WithLabelValues("succeeded").Inc()
	a.Limiter.Forget(r.Context(), guessesBy(account, address))
	a.Limiter.Exempt(r.Context(), guessesBy(account, address), knownFor)
	return true, nil
}

// takeGuess counts before the password is checked, so that guesses sent at the same time are counted too.
func (a *api) takeGuess(r *http.Request, account, address string) (wait time.Duration, throttled bool) {
	most := a.File().RateLimit.Guesses
	if most == 0 {
		return 0, false
	}
	decision := a.Limiter.Take(r.Context(), guessesBy(account, address), limit.Rate{Most: most, Window: guessWindow})
	if decision.Allowed && !a.Limiter.IsExempt(r.Context(), guessesBy(account, address)) {
		decision = a.Limiter.Take(r.Context(), "guesses:"+account, limit.Rate{Most: allGuesses * most, Window: allGuessWindow})
	}
	return decision.RetryAfter, !decision.Allowed
}

func guessesBy(account, address string) string { return "guesses:" + account + ":" + address }
