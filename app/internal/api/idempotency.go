package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	"slipway/app/internal/store"
)

const (
	idempotencyHeader = "Idempotency-Key"
	longestKey        = 128
)

// once adds what a request asks for at most once for each Idempotency-Key of a user (or of an address without one) and a route: a client that got no
// answer, or a 503, may repeat the request. See https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
func (a *api) once(add handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		given := r.Header.Values(idempotencyHeader)
		if len(given) == 0 {
			return add(w, r)
		}
		key, fine := parseKey(given)
		if !fine {
			return refuse(http.StatusBadRequest, fmt.Sprintf("%s must be one string of 1 to %d visible ASCII characters, such as a UUID", idempotencyHeader, longestKey)).as("idempotency-key-invalid")
		}
		err := add(w, a.withKey(r, key))
		switch {
		case errors.Is(err, store.ErrKeyReused):
			return refuse(http.StatusUnprocessableEntity, "this "+idempotencyHeader+" was used for another request: take a new one").as("idempotency-key-reused")
		case errors.Is(err, store.ErrKeyInUse):
			w.Header().Set("Retry-After", "1")
			return refuse(http.StatusConflict, "the first request with this "+idempotencyHeader+" is still running: try again after Retry-After seconds").as("idempotency-key-in-use")
		}
		return err
	}
}

// parseKey takes the key as a string of the draft, in quotes, and as most clients send it, without.
func parseKey(given []string) (key string, fine bool) {
	key = given[0]
	if len(key) > 1 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	unfit := func(char rune) bool { return char <= ' ' || char > '~' || char == '"' || char == '\\' }
	return key, len(given) == 1 && key != "" && len(key) <= longestKey && !strings.ContainsFunc(key, unfit)
}

// withKey has the body hashed while it is read. What is asked is hashed with a secret: a body may hold a password, which
// could be guessed from a mere hash.
func (a *api) withKey(r *http.Request, key string) *http.Request {
	id := sha256.Sum256([]byte(strings.Join([]string{a.client(r), r.Pattern, key}, "\n")))
	asked := hmac.New(sha256.New, []byte(a.SigningKeys[0].Reveal()))
	fmt.Fprintf(asked, "idempotency\n%s\n", r.URL.Path)
	keyed := r.WithContext(store.WithIdempotencyKey(r.Context(), func() store.IdempotencyKey {
		return store.IdempotencyKey{Key: id, Request: [sha256.Size]byte(asked.Sum(nil))}
	}))
	keyed.Body = hashed{r.Body, asked}
	return keyed
}

// hashed is a body that is hashed while it is read.
type hashed struct {
	io.ReadCloser
	sum hash.Hash
}

func (h hashed) Read(into []byte) (int, error) {
	n, err := h.ReadCloser.Read(into)
	h.sum.Write(into[:n])
	return n, err
}
