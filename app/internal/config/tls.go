package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSMode is how connections to a server are secured.
type TLSMode string

const (
	tlsDisabled   TLSMode = "disabled"
	tlsUnverified TLSMode = "unverified" // encrypted, but any certificate is accepted
	tlsVerified   TLSMode = "verified"   // the server needs a trusted certificate for its name
)

func (m *TLSMode) UnmarshalText(text []byte) error {
	switch mode := TLSMode(text); mode {
	case tlsDisabled, tlsUnverified, tlsVerified:
		*m = mode
		return nil
	}
	return fmt.Errorf("%q is not a TLS mode: use disabled, unverified or verified", text)
}

// MySQLTLS returns the TLS configuration for MySQL, or nil if TLS is disabled.
func (e Env) MySQLTLS() (*tls.Config, error) {
	return tlsConfig("MYSQL", e.MySQLTLSMode, e.MySQLCAFile, e.MySQLHost)
}

// RedisTLS returns the TLS configuration for Redis, or nil if TLS is disabled.
func (e Env) RedisTLS() (*tls.Config, error) {
	return tlsConfig("REDIS", e.RedisTLSMode, e.RedisCAFile, e.RedisHost)
}

// tlsConfig returns a configuration that trusts only the authorities of caFile, or those of the system if it is "".
func tlsConfig(server string, mode TLSMode, caFile, host string) (*tls.Config, error) {
	if caFile != "" && mode != tlsVerified {
		return nil, fmt.Errorf("%s_CA_FILE: it has no effect, because %s_TLS is %s: set that to verified", server, server, mode)
	}
	switch mode {
	case tlsVerified:
		authorities, err := readAuthorities(caFile)
		if err != nil {
			return nil, fmt.Errorf("%s_CA_FILE: %w", server, err)
		}
		return &tls.Config{ServerName: host, RootCAs: authorities}, nil
	case tlsUnverified:
		return &tls.Config{ServerName: host, InsecureSkipVerify: true}, nil
	}
	return nil, nil
}

// readAuthorities reads a PEM file. Without a path it returns nil, which stands for the authorities of the system.
func readAuthorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(content) {
		return nil, errors.New(path + " has no certificate in PEM form")
	}
	return authorities, nil
}
