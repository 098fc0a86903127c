package storetest

import (
	"slices"
	"time"

	"slipway/app/internal/store"
)

// session adds a session of a new user.
func (s fixture) session(end time.Time) store.Session {
	s.t.Helper()
	return s.login(s.member("ada"), end)
}

// login adds a session whose hash is 1.
func (s fixture) login(user store.User, end time.Time) store.Session {
	s.t.Helper()
	return must[store.Session](s.t)(s.AddSession(s.t.Context(), user, store.SecretHash{1}, end))
}

func inAnHour() time.Time { return store.Now().Add(time.Hour) }

// renew uses the token with hash current, and replaces it by next.
func (s fixture) renew(id store.ID, current, next byte) (store.Session, error) {
	return s.RenewSession(s.t.Context(), id, store.SecretHash{current}, store.SecretHash{next}, inAnHour())
}

func repeatedRenewal(s fixture) {
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

func oldTokenEndsSession(s fixture) {
	added := s.session(inAnHour())
	must[store.Session](s.t)(s.renew(added.ID, 1, 2))
	must[store.Session](s.t)(s.renew(added.ID, 2, 3))
	for _, hash := range []byte{1, 2, 3} { // the first hash ends the session for the others
		_, err := s.renew(added.ID, hash, 4)
		s.wantErr(err, store.ErrNotFound)
	}
}

func endedSessions(s fixture) {
	ada := s.member("ada")
	over := s.login(ada, store.Now().Add(-time.Second))
	_, err := s.renew(over.ID, 1, 2)
	s.wantErr(err, store.ErrNotFound)

	ended := s.login(ada, inAnHour())
	s.wantErr(s.EndSession(s.t.Context(), ada.ID, ended.ID), nil)
	s.wantErr(s.EndSession(s.t.Context(), ada.ID, ended.ID), store.ErrNotFound)
	_, err = s.renew(ended.ID, 1, 2)
	s.wantErr(err, store.ErrNotFound)
}

func (s fixture) wantSessions(user store.ID, want ...store.Session) {
	s.t.Helper()
	if got := must[[]store.Session](s.t)(s.Sessions(s.t.Context(), user)); !slices.Equal(got, want) {
		s.t.Errorf("got %+v, want %+v", got, want)
	}
}

func ownSessions(s fixture) {
	ada, bob := s.member("ada"), s.member("bob")
	s.login(ada, store.Now().Add(-time.Second))
	first, second, third := s.login(ada, inAnHour()), s.login(ada, inAnHour().Add(time.Second)), s.login(ada, inAnHour().Add(time.Minute))
	other := s.login(bob, inAnHour())
	s.wantSessions(ada.ID, third, second, first)
	s.wantErr(s.EndSession(s.t.Context(), bob.ID, second.ID), store.ErrNotFound)
	s.wantErr(s.EndSession(s.t.Context(), ada.ID, second.ID), nil)
	s.wantSessions(ada.ID, third, first)
	s.wantErr(s.EndOtherSessions(s.t.Context(), ada.ID, first.ID), nil)
	s.wantSessions(ada.ID, first)
	s.wantSessions(bob.ID, other)
}

func tooManySessions(s fixture) {
	ada, bob := s.member("ada"), s.member("bob")
	other := s.login(bob, store.Now().Add(time.Minute))
	used := s.login(ada, store.Now().Add(time.Minute))
	var want []store.Session
	for number := range store.SessionsPerUser {
		want = append(want, s.login(ada, inAnHour().Add(time.Duration(number)*time.Minute)))
		if number == 0 {
			s.wantErr(errorOf(s.RenewSession(s.t.Context(), used.ID, used.Hash, store.SecretHash{2}, inAnHour().Add(24*time.Hour))), nil)
		}
	}
	slices.Reverse(want)
	got := must[[]store.Session](s.t)(s.Sessions(s.t.Context(), ada.ID))
	if len(got) != store.SessionsPerUser || got[0].ID != used.ID || !slices.Equal(got[1:], want[:len(want)-1]) {
		s.t.Errorf("got %+v, want %v and %+v", got, used.ID, want)
	}
	s.wantSessions(bob.ID, other)
}

// errorOf drops the value of a call.
func errorOf[T any](_ T, err error) error { return err }

func concurrentLogins(s fixture) {
	ada := s.member("ada")
	concurrently(store.SessionsPerUser+5, func(int) { s.login(ada, inAnHour()) })
	if got := must[[]store.Session](s.t)(s.Sessions(s.t.Context(), ada.ID)); len(got) != store.SessionsPerUser {
		s.t.Errorf("%d sessions", len(got))
	}
}

func staleLogin(s fixture) {
	ada := s.member("ada")
	ada.PasswordHash = "old hash"
	_, err := s.AddSession(s.t.Context(), ada, store.SecretHash{1}, inAnHour())
	s.wantErr(err, store.ErrNotFound)
	_, err = s.AddSession(s.t.Context(), store.User{ID: store.ID{1}}, store.SecretHash{1}, inAnHour())
	s.wantErr(err, store.ErrNotFound)
}

func deleteExpired(s fixture) {
	ada := s.member("ada")
	over, kept := s.login(ada, store.Now()), s.login(ada, inAnHour())
	for range 2 {
		s.wantErr(s.DeleteExpiredSessions(s.t.Context()), nil)
	}
	s.wantSessions(ada.ID, kept)
	s.wantErr(s.EndSession(s.t.Context(), ada.ID, over.ID), store.ErrNotFound)
}

func concurrentRenewals(s fixture) {
	added := s.session(inAnHour())
	var renewed [8]store.Session
	concurrently(len(renewed), func(number int) {
		var err error
		if renewed[number], err = s.renew(added.ID, 1, 2+byte(number)); err != nil {
			s.t.Error(err)
		}
	})
	for _, session := range renewed {
		if session.Hash != renewed[0].Hash || session.Hash == added.Hash {
			s.t.Errorf("%+v and %+v", session, renewed[0])
		}
	}
}
