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

// The passwords of one account may be guessed rateLimit.guesses times in guessWindow by one address, and totalGuesses
// times as often in totalGuessWindow by all addresses together (NIST SP 800-63B, section 3.2.2, allows 100). An address
// with a recent successful login to the account is exempt from the second limit, so that an attacker cannot lock users
// out of the places they log in from.
const (
	guessWindow      = 10 * time.Minute
	totalGuesses     = 10
	totalGuessWindow = time.Hour
	exemption        = 14 * 24 * time.Hour
)

// pseudonyms replaces e-mail addresses in Redis keys and logs by keyed hashes.
type pseudonyms struct{ key []byte }

func newPseudonyms(keys []config.Secret) pseudonyms {
	sum := hmac.New(sha256.New, []byte(keys[0].Reveal()))
	sum.Write([]byte("names of accounts"))
	return pseudonyms{sum.Sum(nil)}
}

func (p pseudonyms) of(email string) string {
	sum := hmac.New(sha256.New, p.key)
	sum.Write([]byte(email))
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// checkPassword reports whether the password has this hash, or returns a 429 after too many wrong passwords for the
// account with this e-mail address. The hash is empty if there is no such account, which is handled like any other.
func (a *api) checkPassword(w http.ResponseWriter, r *http.Request, email, password, hash string) (matches bool, err error) {
	account, address := a.pseudonyms.of(email), a.address(r)
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
	a.Limiter.Forget(r.Context(), guessKey(account, address))
	a.Limiter.Exempt(r.Context(), guessKey(account, address), exemption)
	return true, nil
}

// takeGuess counts a guess before its password is checked, so that concurrent guesses are counted as well.
func (a *api) takeGuess(r *http.Request, account, address string) (wait time.Duration, throttled bool) {
	maximum := a.File().RateLimit.Guesses
	if maximum == 0 {
		return 0, false
	}
	decision := a.Limiter.Take(r.Context(), guessKey(account, address), limit.Rate{Max: maximum, Window: guessWindow})
	if decision.Allowed && !a.Limiter.IsExempt(r.Context(), guessKey(account, address)) {
		decision = a.Limiter.Take(r.Context(), "guesses:"+account, limit.Rate{Max: totalGuesses * maximum, Window: totalGuessWindow})
	}
	return decision.RetryAfter, !decision.Allowed
}

// guessKey is the client of the rate limit for guesses by one address.
func guessKey(account, address string) string { return "guesses:" + account + ":" + address }
