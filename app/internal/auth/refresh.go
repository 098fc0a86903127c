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

// RefreshLifetime is how long a session lasts without a refresh.
const RefreshLifetime = 30 * 24 * time.Hour

// RefreshSecret is the random part of a refresh token.
type RefreshSecret [32]byte

// NewRefreshSecret returns a random secret.
func NewRefreshSecret() (secret RefreshSecret) {
	rand.Read(secret[:])
	return secret
}

// Hash returns the hash that is stored. It needs neither salt nor a slow function: 256 random bits cannot be guessed.
func (s RefreshSecret) Hash() store.SecretHash { return sha256.Sum256(s[:]) }

// RefreshKeys derive each refresh secret from the previous one. A client that lost the response to a refresh can
// therefore send its old token again, to any replica, and gets the same new token. The store could not return it, because
// it has only hashes.
type RefreshKeys struct{ keys [][]byte } // the first derives new secrets

// NewRefreshKeys derives new secrets with the first key, and recognizes those of all keys.
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

// Successor returns the secret that follows this one and has this hash. ok is false if no key derives such a secret.
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

// RefreshToken encodes the token that a client gets: the ID of the session, and the secret that proves ownership.
func RefreshToken(session store.ID, secret RefreshSecret) string {
	return base64.RawURLEncoding.EncodeToString(append(session[:], secret[:]...))
}

// ParseRefreshToken parses exactly the texts that RefreshToken returns.
func ParseRefreshToken(text string) (session store.ID, secret RefreshSecret, err error) {
	content, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(content) != len(session)+len(secret) || RefreshToken(store.ID(content[:16]), RefreshSecret(content[16:])) != text {
		return session, secret, errRefreshToken
	}
	return store.ID(content[:16]), RefreshSecret(content[16:]), nil
}
