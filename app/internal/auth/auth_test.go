package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"slipway/app/internal/auth"
	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

var (
	oldKey = config.NewSecret("the previous key, long enough for a key")
	newKey = config.NewSecret("the current key, long enough for a key")
	ada    = auth.Identity{User: store.ID{1, 6: 0x70, 8: 0x80}, Session: store.ID{2, 6: 0x70, 8: 0x80}}
)

func issue(t *testing.T, tokens *auth.AccessTokens) string {
	t.Helper()
	token, err := tokens.Issue(ada)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestATokenIdentifiesItsUserUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := auth.NewAccessTokens(newKey)
		token := issue(t, tokens)
		time.Sleep(auth.AccessLifetime - time.Second)
		if got, err := tokens.Check(token); err != nil || got != ada {
			t.Errorf("got %v, %v", got, err)
		}
		time.Sleep(10 * time.Second)
		if _, err := tokens.Check(token); !errors.Is(err, auth.ErrToken) {
			t.Errorf("an expired token gives %v", err)
		}
	})
}

func TestAKeyIsReplacedWithoutLoggingUsersOut(t *testing.T) {
	before := auth.NewAccessTokens(oldKey)
	during := auth.NewAccessTokens(newKey, oldKey)
	after := auth.NewAccessTokens(newKey)
	if _, err := during.Check(issue(t, before)); err != nil {
		t.Errorf("the previous key is not accepted: %v", err)
	}
	if _, err := after.Check(issue(t, during)); err != nil {
		t.Errorf("the new key does not sign: %v", err)
	}
	if _, err := after.Check(issue(t, before)); err == nil {
		t.Error("a removed key is still accepted")
	}
}

// forge returns a changed copy of a real token, signed with this method and key.
func forge(t *testing.T, change func(header map[string]any, claims jwt.MapClaims), method jwt.SigningMethod, key any) string {
	t.Helper()
	real, _, err := jwt.NewParser().ParseUnverified(issue(t, auth.NewAccessTokens(newKey)), jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(method, real.Claims)
	token.Header["kid"] = real.Header["kid"]
	change(token.Header, real.Claims.(jwt.MapClaims))
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryClaimIsChecked(t *testing.T) {
	key := auth.KeyForTest(newKey)
	tokens := auth.NewAccessTokens(newKey)
	for name, change := range map[string]func(map[string]any, jwt.MapClaims){
		"another issuer":       func(_ map[string]any, c jwt.MapClaims) { c["iss"] = "other" },
		"no issuer":            func(_ map[string]any, c jwt.MapClaims) { delete(c, "iss") },
		"another audience":     func(_ map[string]any, c jwt.MapClaims) { c["aud"] = "other" },
		"no audience":          func(_ map[string]any, c jwt.MapClaims) { delete(c, "aud") },
		"no end":               func(_ map[string]any, c jwt.MapClaims) { delete(c, "exp") },
		"expired":              func(_ map[string]any, c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() },
		"no beginning":         func(_ map[string]any, c jwt.MapClaims) { delete(c, "nbf") },
		"not yet valid":        func(_ map[string]any, c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Minute).Unix() },
		"subject is no id":     func(_ map[string]any, c jwt.MapClaims) { c["sub"] = "admin" },
		"session is no id":     func(_ map[string]any, c jwt.MapClaims) { delete(c, "sid") },
		"unknown key id":       func(h map[string]any, _ jwt.MapClaims) { h["kid"] = "other" },
		"no key id":            func(h map[string]any, _ jwt.MapClaims) { delete(h, "kid") },
		"key id is not a text": func(h map[string]any, _ jwt.MapClaims) { h["kid"] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tokens.Check(forge(t, change, jwt.SigningMethodHS256, key)); !errors.Is(err, auth.ErrToken) {
				t.Errorf("got %v", err)
			}
		})
	}
	nothing := func(map[string]any, jwt.MapClaims) {}
	t.Run("while the unchanged token is accepted", func(t *testing.T) {
		if _, err := tokens.Check(forge(t, nothing, jwt.SigningMethodHS256, key)); err != nil {
			t.Error(err)
		}
	})
	t.Run("no algorithm", func(t *testing.T) {
		if _, err := tokens.Check(forge(t, nothing, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("another algorithm with the right key", func(t *testing.T) {
		if _, err := tokens.Check(forge(t, nothing, jwt.SigningMethodHS512, key)); err == nil {
			t.Error("accepted")
		}
	})
}

func TestAPasswordMatchesOnlyItsOwnHash(t *testing.T) {
	passwords := auth.NewPasswords(func() {})
	hash, err := passwords.Hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s, %v", hash, err)
	}
	if again, _ := passwords.Hash(t.Context(), "correct horse"); again == hash {
		t.Error("two hashes of one password are the same: no salt")
	}
	for password, want := range map[string]bool{"correct horse": true, "Correct horse": false, "": false} {
		if got, err := passwords.Matches(t.Context(), password, hash); err != nil || got != want {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	if got, err := passwords.Matches(t.Context(), "anything", ""); got || err != nil {
		t.Errorf("no user: %v, %v", got, err)
	}
	for _, damaged := range []string{"plain", "$argon2id$v=19$m=19456,t=2,p=1$$", "$argon2id$v=19$m=19456,t=0,p=1$YQ$YQ", strings.Replace(hash, "v=19", "v=16", 1)} {
		if _, err := passwords.Matches(t.Context(), "x", damaged); err == nil {
			t.Errorf("%s is accepted as a hash", damaged)
		}
	}
}

func TestWaitingForAHashEndsWithTheRequest(t *testing.T) {
	passwords := auth.NewPasswords(func() {})
	passwords.FillForTest()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := passwords.Hash(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheQueueForHashesIsLimitedInLengthAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Int32
		passwords := auth.NewPasswords(func() { busy.Add(1) })
		passwords.FillForTest()
		_, capacity := passwords.SlotsForTest()
		var waiting sync.WaitGroup
		for range capacity {
			waiting.Go(func() {
				if _, err := passwords.Hash(t.Context(), "x"); !errors.Is(err, auth.ErrBusy) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if _, err := passwords.Matches(t.Context(), "x", ""); !errors.Is(err, auth.ErrBusy) || time.Since(began) != 0 {
			t.Errorf("one too many: %v after %s", err, time.Since(began))
		}
		waiting.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("the others waited %s", took)
		}
		if got := int(busy.Load()); got != capacity+1 {
			t.Errorf("%d were counted, want %d", got, capacity+1)
		}
		if _, err := passwords.Hash(t.Context(), "x"); !errors.Is(err, auth.ErrBusy) || time.Since(began) != 2*time.Second {
			t.Errorf("their slots are not free again: %v after %s", err, time.Since(began))
		}
	})
}

func TestHashesAtATimeFitInHalfOfTheMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	for mebibytes, want := range map[int64]int{16: 1, 57: 1, 115: 3, 4096: 8} {
		before := debug.SetMemoryLimit(mebibytes << 20)
		if got, _ := auth.NewPasswords(func() {}).SlotsForTest(); got != want {
			t.Errorf("%d MiB: %d at a time, want %d", mebibytes, got, want)
		}
		debug.SetMemoryLimit(before)
	}
}

func TestAHashFreesItsMemoryBeforeTheNextOne(t *testing.T) {
	passwords := auth.NewPasswords(func() {})
	for range 3 {
		hash, err := passwords.Hash(t.Context(), "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		checkMemoryIsFreed(t)
		if _, err := passwords.Matches(t.Context(), "correct horse", hash); err != nil {
			t.Fatal(err)
		}
		checkMemoryIsFreed(t)
	}
}

func checkMemoryIsFreed(t *testing.T) {
	t.Helper()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > 19<<20 {
		t.Errorf("the heap has %d MiB", memory.HeapAlloc>>20)
	}
}

func FuzzOnlyTheExactTextOfARefreshTokenIsParsed(f *testing.F) {
	f.Add(auth.RefreshToken(ada.Session, auth.NewRefreshSecret()))
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 47)))
	f.Add(strings.Repeat("_", 64) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		if session, secret, err := auth.ParseRefreshToken(text); err == nil && auth.RefreshToken(session, secret) != text {
			t.Errorf("%q was parsed", text)
		}
	})
}

func FuzzOnlyIssuedAccessTokensAreAccepted(f *testing.F) {
	tokens := auth.NewAccessTokens(newKey)
	issued, err := tokens.Issue(ada)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(issued)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := tokens.Check(text); err == nil && strings.NewReplacer("\n", "", "\r", "").Replace(text) != issued {
			t.Errorf("%q was accepted", text)
		}
	})
}
