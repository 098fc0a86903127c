package auth

import "slipway/app/internal/config"

// KeyForTest returns the signing key, so that tests can sign tokens that the service would never issue.
func KeyForTest(secret config.Secret) []byte {
	_, key := deriveKey(secret)
	return key
}

// FillForTest occupies all slots and never releases them.
func (p *Passwords) FillForTest() {
	for range cap(p.running) {
		p.running <- struct{}{}
	}
}

// SlotsForTest returns how many hashes may run at a time, and how many may run or wait.
func (p *Passwords) SlotsForTest() (running, waiting int) { return cap(p.running), cap(p.waiting) }
