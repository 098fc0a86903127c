package auth

import "slipway/app/internal/config"

// KeyForTest lets a test sign what the service never would.
func KeyForTest(secret config.Secret) []byte {
	_, key := deriveKey(secret)
	return key
}

// FillForTest takes all slots for good.
func (p *Passwords) FillForTest() {
	for range cap(p.running) {
		p.running <- struct{}{}
	}
}

// SlotsForTest is how many hashes may run at a time, and wait.
func (p *Passwords) SlotsForTest() (running, waiting int) { return cap(p.running), cap(p.waiting) }
