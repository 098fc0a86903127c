// Package auth hashes passwords, and issues and verifies tokens. It neither stores anything nor knows HTTP: that belongs
// to the packages store and api.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id that OWASP's password storage cheat sheet recommends in 2026. A hash contains its parameters, so
// raising these keeps old hashes valid.
const (
	memoryKiB = 19 << 10
	passes    = 2
	lanes     = 1
	saltBytes = 16
	hashBytes = 32
)

// Passwords hashes and verifies passwords. It limits how many run at a time to what processors and memory allow: each
// takes 19 MiB.
type Passwords struct {
	slots
	dummy string // a hash that matches no password
}

// NewPasswords allows as many hashes at a time as there are processors and as fit in half of GOMEMLIMIT, and at least
// one. It calls onBusy for each ErrBusy.
func NewPasswords(onBusy func()) *Passwords {
	fit := debug.SetMemoryLimit(-1) / 2 / (memoryKiB << 10)
	count := max(1, min(int64(runtime.GOMAXPROCS(0)), fit))
	return &Passwords{newSlots(count, onBusy), encode(random(saltBytes), random(hashBytes))}
}

// Hash returns the hash in the usual text form ($argon2id$...). It returns ErrBusy, or ctx's error if that ends first.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	return hash(password), nil
}

// Matches reports whether the password has this hash. For an empty hash it takes as long and returns false, so that the
// response time of a login does not reveal whether the user exists.
func (p *Passwords) Matches(ctx context.Context, password, encoded string) (bool, error) {
	if err := p.acquire(ctx); err != nil {
		return false, err
	}
	defer p.release()
	if encoded == "" {
		_, err := matches(password, p.dummy)
		return false, err
	}
	return matches(password, encoded)
}

func hash(password string) string {
	salt := random(saltBytes)
	return encode(salt, argon2.IDKey([]byte(password), salt, passes, memoryKiB, lanes, hashBytes))
}

func random(size int) []byte {
	value := make([]byte, size)
	rand.Read(value)
	return value
}

func encode(salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

func matches(password, encoded string) (bool, error) {
	var version, memory, time uint32
	var threads uint8
	var rest string
	if _, err := fmt.Sscanf(encoded, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &memory, &time, &threads, &rest); err != nil || version != argon2.Version {
		return false, fmt.Errorf("a stored password hash is not one of argon2id version %d", argon2.Version)
	}
	saltText, sumText, _ := strings.Cut(rest, "$")
	salt, saltErr := base64.RawStdEncoding.DecodeString(saltText)
	sum, sumErr := base64.RawStdEncoding.DecodeString(sumText)
	if saltErr != nil || sumErr != nil || len(sum) < hashBytes || time < 1 || threads < 1 {
		return false, fmt.Errorf("a stored password hash is damaged")
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(sum)))
	return subtle.ConstantTimeCompare(sum, got) == 1, nil
}
