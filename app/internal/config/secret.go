package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Secrets come from files in SECRETS_DIR, never from the environment, which is inherited, dumped and shown.
type Secrets struct {
	SigningKey         Secret `json:"signing-key"`
	SigningKeyPrevious Secret `json:"signing-key-previous"`
	MySQLPassword      Secret `json:"mysql-password"`
	RedisPassword      Secret `json:"redis-password"`
}

// Secret is shown as *** wherever it is printed, or as nothing when it is empty. Only Reveal gives it away.
type Secret struct{ value string }

// NewSecret wraps a value that must not be seen.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.value }

func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "***"
}

func (s Secret) GoString() string { return s.String() }

func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// 32 characters of base64 are 24 random bytes: beyond guessing.
const shortestSigningKey = 32

// readSecrets gives empty ones when there is no folder.
func (e Env) readSecrets() (Secrets, error) {
	if e.SecretsDir == "" {
		return Secrets{}, nil
	}
	readMySQL := readOptionalSecret
	if e.MySQLHost != "" {
		readMySQL = readSecret
	}
	signingKey, err := readSecret(e.SecretsDir, "signing-key", shortestSigningKey)
	previous, previousErr := readOptionalSecret(e.SecretsDir, "signing-key-previous", shortestSigningKey)
	mysql, mysqlErr := readMySQL(e.SecretsDir, "mysql-password", 1)
	redis, redisErr := readOptionalSecret(e.SecretsDir, "redis-password", 1)
	return Secrets{signingKey, previous, mysql, redis}, errors.Join(err, previousErr, mysqlErr, redisErr)
}

func readSecret(folder, name string, shortest int) (Secret, error) {
	path := filepath.Join(folder, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("SECRETS_DIR: read %s: %w", name, err)
	}
	secret := strings.TrimSpace(string(content))
	if len(secret) < shortest {
		return Secret{}, fmt.Errorf("SECRETS_DIR: %s has %d characters: it needs at least %d", path, len(secret), shortest)
	}
	return NewSecret(secret), nil
}

// readOptionalSecret gives an empty one when there is no such file.
func readOptionalSecret(folder, name string, shortest int) (Secret, error) {
	secret, err := readSecret(folder, name, shortest)
	if errors.Is(err, fs.ErrNotExist) {
		return Secret{}, nil
	}
	return secret, err
}
