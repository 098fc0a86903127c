package dns01

import (
	"strings"
	"time"
)

type (
	Options         struct{ RecursiveNameservers []string }
	Client          struct{}
	ChallengeOption struct{}
)

func NewClient(*Options) *Client { return nil }

func SetDefaultClient(*Client) {}

func CondOptions(bool, ...ChallengeOption) (none ChallengeOption) { return }

func DisableAuthoritativeNssPropagationRequirement() (none ChallengeOption) { return }

func DisableRecursiveNSsPropagationRequirement() (none ChallengeOption) { return }

func PropagationWait(time.Duration, bool) (none ChallengeOption) { return }

// UnFqdn is the one function that Traefik needs without ACME too: it compares the names in TLS handshakes.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
