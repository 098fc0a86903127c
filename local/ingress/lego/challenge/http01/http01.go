package http01

import "time"

// PathPrefix is that of RFC 8555 section 8.3.
const PathPrefix = "/.well-known/acme-challenge/"

type ChallengeOption struct{}

func SetDelay(time.Duration) (none ChallengeOption) { return }
