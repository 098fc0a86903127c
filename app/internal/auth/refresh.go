package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

// RefreshLifetime is how long a session lasts that is not refreshed.
const RefreshLifetime = 30 * 24 * time.Hour

// RefreshSecret is the part of a refresh token nobody can guess.
type RefreshSecret [32]byte

// NewRefreshSecret is random.
func NewRefreshSecret() (secret RefreshSecret) {
	rand.Read(secret[:])
	return secret
}

// Hash needs no salt and no slowness: 256 random bits are not found by trying.
func (s RefreshSecret) Hash() store.SecretHash { return sha256.Sum256(s[:]) }

// RefreshKeys derive each refresh secret from the one before it. A client that lost the answer to a refresh sends its
// old token again, to any replica, and gets the same new token. The store could not give it back: it has hashes only.
type RefreshKeys struct{ keys [][]byte } // the first derives new secrets

// NewRefreshKeys derives with the first key, and recognizes what any of them derived.
func NewRefreshKeys(signingKeys ...config.Secret) (r RefreshKeys) {
	for _, key := range signingKeys {
		r.keys = append(r.keys, expand(key, "slipway/v1/refresh-token", sha256.Size))
	}
	return r
}

// Next returns the secret that follows this one.
func (r RefreshKeys) Next(session store.ID, secret RefreshSecret) RefreshSecret {
	return nextSecret(r.keys[0], session, secret)
}

// Successor returns the secret that follows this one and has this hash. ok is false if none of the keys derives it.
func (r RefreshKeys) Successor(session store.ID, secret RefreshSecret, hash store.SecretHash) (next RefreshSecret, ok bool) {
	for _, key := range r.keys {
		if next = nextSecret(key, session, secret); next.Hash() == hash {
			return next, true
		}
	}
	return RefreshSecret{}, false
}

func nextSecret(key []byte, session store.ID, secret RefreshSecret) RefreshSecret {
	hash := hmac.New(sha256.New, key)
	hash.Write(session[:])
	hash.Write(secret[:])
	return RefreshSecret(hash.Sum(nil))
}

var errRefreshToken = errors.New("is not a refresh token")

// RefreshToken is what a client gets: it names the session and proves that it is the client's.
func RefreshToken(session store.ID, secret RefreshSecret) string {
	return base64.RawURLEncoding.EncodeToString(append(session[:], secret[:]...))
}

// ParseRefreshToken reads exactly what RefreshToken writes.
func ParseRefreshToken(text string) (session store.ID, secret RefreshSecret, err error) {
	content, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(content) != len(session)+len(secret) || RefreshToken(store.ID(content[:16]), RefreshSecret(content[16:])) != text {
		return session, secret, errRefreshToken
	}
	return store.ID(content[:16]), RefreshSecret(content[16:]), nil
}
