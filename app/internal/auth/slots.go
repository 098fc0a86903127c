package auth

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// ErrBusy is returned if so many passwords are being hashed that another one would wait too long.
var ErrBusy = errors.New("too many logins at this moment")

const (
	// waitingPerSlot is how many hashes may wait for each slot: one takes about 50 ms.
	waitingPerSlot = 10
	// maxWait limits the wait on slow processors.
	maxWait = time.Second
)

// slots limits how many hashes run at a time, with a short queue. In a long one, clients would have given up before their
// turn.
type slots struct {
	running chan struct{}
	waiting chan struct{} // waiting or running
	onBusy  func()        // called for each ErrBusy
}

func newSlots(count int64, onBusy func()) slots {
	return slots{make(chan struct{}, count), make(chan struct{}, count*(1+waitingPerSlot)), onBusy}
}

// acquire waits for a slot. It returns ErrBusy, or ctx's error if that ends first.
func (s slots) acquire(ctx context.Context) error {
	select {
	case s.waiting <- struct{}{}:
	default:
		s.onBusy()
		return ErrBusy
	}
	timeout := time.NewTimer(maxWait)
	defer timeout.Stop()
	select {
	case s.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-s.waiting
		return ctx.Err()
	case <-timeout.C:
		<-s.waiting
		s.onBusy()
		return ErrBusy
	}
}

// release runs the garbage collector before the next hash takes as much memory. With GOMEMLIMIT alone, several hashes
// pile up and the container is killed. This adds about 1 ms to the 30 ms of a hash.
func (s slots) release() {
	runtime.GC()
	<-s.running
	<-s.waiting
}
