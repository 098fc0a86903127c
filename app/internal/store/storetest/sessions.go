package storetest

import (
	"time"

	"slipway/app/internal/store"
)

func (s stores) session(end time.Time) store.Session {
	s.t.Helper()
	return must[store.Session](s.t)(s.AddSession(s.t.Context(), s.user("ada"), store.SecretHash{1}, end))
}

func inAnHour() time.Time { return store.Now().Add(time.Hour) }

// renew uses the token with hash current, and offers next for the following one.
func (s stores) renew(id store.ID, current, next byte) (store.Session, error) {
	return s.RenewSession(s.t.Context(), id, store.SecretHash{current}, store.SecretHash{next}, inAnHour())
}

func aLostAnswerIsRepeated(s stores) {
	added := s.session(store.Now().Add(time.Minute))
	renewed := must[store.Session](s.t)(s.renew(added.ID, 1, 2))
	if renewed.User != added.User || renewed.ID != added.ID || renewed.Hash != (store.SecretHash{2}) || !renewed.ExpiresAt.After(added.ExpiresAt) {
		s.t.Errorf("renewed %+v, added %+v", renewed, added)
	}
	for range 2 {
		if again := must[store.Session](s.t)(s.renew(added.ID, 1, 3)); again != renewed {
			s.t.Errorf("again %+v, renewed %+v", again, renewed)
		}
	}
	if next := must[store.Session](s.t)(s.renew(added.ID, 2, 4)); next.Hash != (store.SecretHash{4}) {
		s.t.Errorf("after that %+v", next)
	}
}

func anOldTokenEndsTheSession(s stores) {
	added := s.session(inAnHour())
	must[store.Session](s.t)(s.renew(added.ID, 1, 2))
	must[store.Session](s.t)(s.renew(added.ID, 2, 3))
	for _, hash := range []byte{1, 2, 3} { // the first one ends it for the others
		_, err := s.renew(added.ID, hash, 4)
		s.wants(err, store.ErrNotFound)
	}
}

func sessionsEnd(s stores) {
	over := s.session(store.Now().Add(-time.Second))
	_, err := s.renew(over.ID, 1, 2)
	s.wants(err, store.ErrNotFound)

	ended := must[store.Session](s.t)(s.AddSession(s.t.Context(), over.User, store.SecretHash{1}, inAnHour()))
	for range 2 {
		s.wants(s.EndSession(s.t.Context(), ended.ID), nil)
	}
	_, err = s.renew(ended.ID, 1, 2)
	s.wants(err, store.ErrNotFound)
}

func oneRenewalWins(s stores) {
	added := s.session(inAnHour())
	var renewed [8]store.Session
	together(len(renewed), func(number int) {
		var err error
		if renewed[number], err = s.renew(added.ID, 1, 2+byte(number)); err != nil {
			s.t.Error(err)
		}
	})
	for _, each := range renewed {
		if each.Hash != renewed[0].Hash || each.Hash == added.Hash {
			s.t.Errorf("%+v and %+v", each, renewed[0])
		}
	}
}
