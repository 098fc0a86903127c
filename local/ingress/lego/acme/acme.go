// Package acme is part of the stand-in for lego, see ../../go.mod. This is the only place where it says no: a client
// cannot be made, so nothing that needs one is ever called.
package acme

import "errors"

var ErrNoClient = errors.New("no ACME client in this build, give the certificate in a Secret")

type Account struct {
	Status string `json:"status,omitempty"`
}

type ExtendedAccount struct {
	Account
	Location string `json:"location,omitempty"`
}
