package auth

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// ErrBusy is returned when so many passwords are being hashed that another one would wait too long.
var ErrBusy = errors.New("too many logins at this moment")

const (
	// waitingPerSlot is how many may wait for each slot: a hash takes some 50 ms.
	waitingPerSlot = 10
	// longestWait holds where a processor is slower than that.
	longestWait = time.Second
)

// slots is how many hashes run at a time, with a short queue: a long one would make everybody wait for answers that
// nobody waits for any more.
type slots struct {
	running chan struct{}
	waiting chan struct{} // also has those that run
	busy    func()        // counts who was sent away
}

func newSlots(count int64, busy func()) slots {
	return slots{make(chan struct{}, count), make(chan struct{}, count*(1+waitingPerSlot)), busy}
}

// acquire returns ErrBusy, or ctx's error if it ends first.
func (s slots) acquire(ctx context.Context) error {
	select {
	case s.waiting <- struct{}{}:
	default:
		s.busy()
		return ErrBusy
	}
	timeout := time.NewTimer(longestWait)
	defer timeout.Stop()
	select {
	case s.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-s.waiting
		return ctx.Err()
	case <-timeout.C:
		<-s.waiting
		s.busy()
		return ErrBusy
	}
}

// release collects what the hash leaves behind before the next one takes as much: GOMEMLIMIT alone lets several of them
// pile up, and the container is killed for it. That is a millisecond after some thirty.
func (s slots) release() {
	runtime.GC()
	<-s.running
	<-s.waiting
}
