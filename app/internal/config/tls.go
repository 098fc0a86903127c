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
	tlsUnverified TLSMode = "unverified" // encrypted, but whoever answers is taken for the server
	tlsVerified   TLSMode = "verified"   // the server has to have a certificate for its name
)

func (m *TLSMode) UnmarshalText(text []byte) error {
	switch mode := TLSMode(text); mode {
	case tlsDisabled, tlsUnverified, tlsVerified:
		*m = mode
		return nil
	}
	return fmt.Errorf("%q is not a way to use TLS: use disabled, unverified or verified", text)
}

// MySQLTLS returns how to connect to MySQL: nil is without TLS.
func (e Env) MySQLTLS() (*tls.Config, error) {
	return tlsConfig("MYSQL", e.MySQLTLSMode, e.MySQLCAFile, e.MySQLHost)
}

// RedisTLS returns how to connect to Redis: nil is without TLS.
func (e Env) RedisTLS() (*tls.Config, error) {
	return tlsConfig("REDIS", e.RedisTLSMode, e.RedisCAFile, e.RedisHost)
}

// tlsConfig trusts the authorities of caFile only, or those of the system where there is none.
func tlsConfig(server string, mode TLSMode, caFile, host string) (*tls.Config, error) {
	if caFile != "" && mode != tlsVerified {
		return nil, fmt.Errorf("%s_CA_FILE: nobody would read it, as %s_TLS is %s: set that to verified", server, server, mode)
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

// readAuthorities returns nil, which stands for those of the system, if no file is named.
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
