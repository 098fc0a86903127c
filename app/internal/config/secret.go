package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Secrets come from files in SECRETS_DIR. They never come from the environment, which child processes inherit and which
// crash reports and `kubectl describe` show.
type Secrets struct {
	SigningKey         Secret `json:"signing-key"`
	SigningKeyPrevious Secret `json:"signing-key-previous"`
	MySQLPassword      Secret `json:"mysql-password"`
	RedisPassword      Secret `json:"redis-password"`
}

// Secret is printed, logged and encoded as ***, or as an empty string if it is empty. Only Reveal returns its value.
type Secret struct{ value string }

// NewSecret wraps a value that must not be printed.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value of the secret.
func (s Secret) Reveal() string { return s.value }

func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "***"
}

func (s Secret) GoString() string { return s.String() }

func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// minSigningKeyLength is in characters: 32 of base64 are 24 random bytes, which nobody can guess.
const minSigningKeyLength = 32

// readSecrets returns empty secrets if SECRETS_DIR is not set. mysql-password is required if there is a MySQL server.
func (e Env) readSecrets() (Secrets, error) {
	if e.SecretsDir == "" {
		return Secrets{}, nil
	}
	readMySQL := readOptionalSecret
	if e.MySQLHost != "" {
		readMySQL = readSecret
	}
	signingKey, err := readSecret(e.SecretsDir, "signing-key", minSigningKeyLength)
	previous, previousErr := readOptionalSecret(e.SecretsDir, "signing-key-previous", minSigningKeyLength)
	mysql, mysqlErr := readMySQL(e.SecretsDir, "mysql-password", 1)
	redis, redisErr := readOptionalSecret(e.SecretsDir, "redis-password", 1)
	return Secrets{signingKey, previous, mysql, redis}, errors.Join(err, previousErr, mysqlErr, redisErr)
}

func readSecret(folder, name string, minLength int) (Secret, error) {
	path := filepath.Join(folder, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("SECRETS_DIR: read %s: %w", name, err)
	}
	secret := strings.TrimSpace(string(content))
	if len(secret) < minLength {
		return Secret{}, fmt.Errorf("SECRETS_DIR: %s has %d characters: it needs at least %d", path, len(secret), minLength)
	}
	return NewSecret(secret), nil
}

// readOptionalSecret returns an empty secret if the file does not exist.
func readOptionalSecret(folder, name string, minLength int) (Secret, error) {
	secret, err := readSecret(folder, name, minLength)
	if errors.Is(err, fs.ErrNotExist) {
		return Secret{}, nil
	}
	return secret, err
}
