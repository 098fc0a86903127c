package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Secrets come from files in SECRETS_DIR, never from the environment, which is inherited, dumped and shown.
type Secrets struct {
	SigningKey Secret `json:"signing-key"`
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
func readSecrets(folder string) (Secrets, error) {
	if folder == "" {
		return Secrets{}, nil
	}
	path := filepath.Join(folder, "signing-key")
	content, err := os.ReadFile(path)
	if err != nil {
		return Secrets{}, fmt.Errorf("SECRETS_DIR: read signing-key: %w", err)
	}
	key := strings.TrimSpace(string(content))
	if len(key) < shortestSigningKey {
		return Secrets{}, fmt.Errorf("SECRETS_DIR: %s has %d characters: a signing key has at least %d", path, len(key), shortestSigningKey)
	}
	return Secrets{NewSecret(key)}, nil
}
