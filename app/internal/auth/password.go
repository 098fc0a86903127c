// Package auth knows passwords and tokens.
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

// What OWASP's password storage cheat sheet asks of argon2id, 2026: 19 MiB, 2 passes, 1 lane. A hash says what it was
// made with, so raising these keeps old hashes valid.
const (
	memoryKiB = 19 << 10
	passes    = 2
	lanes     = 1
	saltBytes = 16
	hashBytes = 32
)

// Passwords hashes and checks passwords, only so many at a time as processors and memory allow: each takes 19 MiB.
type Passwords struct {
	slots
	dummy string // a hash no password has
}

// NewPasswords has as many slots as there are processors now, and as fit in half of GOMEMLIMIT; at least one. busy is
// called for each ErrBusy.
func NewPasswords(busy func()) *Passwords {
	fit := debug.SetMemoryLimit(-1) / 2 / (memoryKiB << 10)
	count := max(1, min(int64(runtime.GOMAXPROCS(0)), fit))
	return &Passwords{newSlots(count, busy), encode(random(saltBytes), random(hashBytes))}
}

// Hash returns the hash in the usual text form ($argon2id$...), ErrBusy, or ctx's error if it ends first.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	return hash(password), nil
}

// Matches tells whether the password has this hash. With "" for the hash it takes as long and says no: how long the
// answer to a login takes does not tell whether there is such a user.
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
	content := make([]byte, size)
	rand.Read(content)
	return content
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
	again := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(sum)))
	return subtle.ConstantTimeCompare(sum, again) == 1, nil
}
