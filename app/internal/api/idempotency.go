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
	maxKeyLength      = 128
)

// once makes a handler add something at most once for each Idempotency-Key of a user (or of an address if not logged in)
// and a route: a client that got no response, or a 503, may repeat the request. See
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
func (a *api) once(add handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		values := r.Header.Values(idempotencyHeader)
		if len(values) == 0 {
			return add(w, r)
		}
		key, ok := parseKey(values)
		if !ok {
			return refuse(http.StatusBadRequest, fmt.Sprintf("%s must be one string of 1 to %d visible ASCII characters, such as a UUID", idempotencyHeader, maxKeyLength)).as("idempotency-key-invalid")
		}
		err := add(w, a.withKey(r, key))
		switch {
		case errors.Is(err, store.ErrKeyReused):
			return refuse(http.StatusUnprocessableEntity, "this "+idempotencyHeader+" was used for another request: use a new one").as("idempotency-key-reused")
		case errors.Is(err, store.ErrKeyInUse):
			w.Header().Set("Retry-After", "1")
			return refuse(http.StatusConflict, "the first request with this "+idempotencyHeader+" is still running: try again after Retry-After seconds").as("idempotency-key-in-use")
		}
		return err
	}
}

// parseKey parses the key with quotes, as the draft demands, and without, as most clients send it.
func parseKey(values []string) (key string, ok bool) {
	key = values[0]
	if len(key) > 1 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	invalid := func(char rune) bool { return char <= ' ' || char > '~' || char == '"' || char == '\\' }
	return key, len(values) == 1 && key != "" && len(key) <= maxKeyLength && !strings.ContainsFunc(key, invalid)
}

// withKey returns a request with the key in its context and a body that is hashed while it is read. The hash is keyed
// with a secret, because a body may contain a password, which could be guessed from a plain hash.
func (a *api) withKey(r *http.Request, key string) *http.Request {
	id := sha256.Sum256([]byte(strings.Join([]string{a.client(r), r.Pattern, key}, "\n")))
	content := hmac.New(sha256.New, []byte(a.SigningKeys[0].Reveal()))
	fmt.Fprintf(content, "idempotency\n%s\n", r.URL.Path)
	keyed := r.WithContext(store.WithIdempotencyKey(r.Context(), func() store.IdempotencyKey {
		return store.IdempotencyKey{Key: id, Request: [sha256.Size]byte(content.Sum(nil))}
	}))
	keyed.Body = hashedBody{r.Body, content}
	return keyed
}

// hashedBody is a body that is hashed while it is read.
type hashedBody struct {
	io.ReadCloser
	sum hash.Hash
}

func (h hashedBody) Read(into []byte) (int, error) {
	n, err := h.ReadCloser.Read(into)
	h.sum.Write(into[:n])
	return n, err
}
