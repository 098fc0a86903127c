package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// ACMETLS1Protocol is that of RFC 8737 section 6.2.
const ACMETLS1Protocol = "acme-tls/1"

type ChallengeOption struct{}

func SetDelay(time.Duration) (none ChallengeOption) { return }

func ChallengeBlocks(domain, keyAuth string) (certificate, key []byte, err error) {
	return nil, nil, acme.ErrNoClient
}
