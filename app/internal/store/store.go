// Package store keeps users, their sessions, shops, reviews and likes. Handlers know only the Store interface.
package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// UserDraft is a sign-up. The e-mail address is in lower case; the password is hashed already.
type UserDraft struct {
	Email, Name  string
	PasswordHash string `json:"-"`
}

// User is somebody who signed up.
type User struct {
	ID        ID
	CreatedAt time.Time
	UserDraft
}

// SecretHash is what is kept of a refresh token: it cannot be turned back into one.
type SecretHash [32]byte

// Session is one login of a user. Each refresh replaces the hash, so that a token works once.
type Session struct {
	ID, User  ID
	Hash      SecretHash
	ExpiresAt time.Time

	PreviousHash SecretHash // before the last renewal
	RenewedAt    time.Time  // zero: never
}

// RenewalGrace is how long after a renewal the token before it is accepted, for clients that lost the answer.
const RenewalGrace = 30 * time.Second

// SessionsPerUser is how many sessions a user can have: one more login ends the session that expires first, which is the
// one that was not used for longest.
const SessionsPerUser = 20

// LastUsed returns when the session was renewed last, or else when it began.
func (s Session) LastUsed() time.Time {
	if s.RenewedAt.IsZero() {
		return s.ID.Time()
	}
	return s.RenewedAt
}

// Renewal is what becomes of a session when a refresh token is used.
type Renewal int

const (
	// Ended is for sessions that are over, and for tokens that were used before: somebody else knows the token.
	Ended Renewal = iota
	// Renewed is for the token of the session.
	Renewed
	// Repeated is for the token before, within RenewalGrace: the session stays as it is.
	Repeated
)

// Renewal decides what the use of a token with this hash means for the session.
func (s Session) Renewal(hash SecretHash, now time.Time) Renewal {
	switch {
	case !now.Before(s.ExpiresAt):
		return Ended
	case hash == s.Hash:
		return Renewed
	case hash == s.PreviousHash && now.Before(s.RenewedAt.Add(RenewalGrace)):
		return Repeated
	}
	return Ended
}

// ShopDraft is what a user says about a new shop.
type ShopDraft struct {
	Name        string `json:"name"`
	City        string `json:"city"`
	Description string `json:"description"`
}

// Shop is a stored draft with what its reviews amounted to when they were counted last.
type Shop struct {
	ID        ID        `json:"id"`
	Creator   ID        `json:"creator"` // zero: the user is gone
	CreatedAt time.Time `json:"createdAt"`
	ShopDraft
	Rating Rating `json:"rating"`
}

// Rating sums up the reviews of a shop.
type Rating struct {
	Reviews int `json:"reviews"`
	Stars   int `json:"stars"` // of all reviews together
	Likes   int `json:"likes"` // of all reviews together
}

// ReviewDraft is what a user says about a shop.
type ReviewDraft struct {
	Shop, Author ID
	Stars        int
	Text         string
}

// Review is a stored draft, with its author's name, and its likes when they were counted last.
type Review struct {
	ID        ID
	CreatedAt time.Time
	ReviewDraft
	AuthorName string
	Likes      int
}

// Page is a part of a list, newest first: at most Limit entries, the newest that are older than Before or, if After is
// given, the oldest that are newer than After. With neither it is the beginning of the list.
type Page struct {
	Before, After ID
	Limit         int
}

// Change is what has to be counted again: the likes of a review and the rating of its shop. The zero Review is none.
type Change struct{ Shop, Review ID }

// Overdue is a change that was not counted in time.
type Overdue struct {
	Change Change
	Tries  int // recounts that failed since
}

var (
	// ErrNotFound says that there is nothing with this id.
	ErrNotFound = errors.New("not found")
	// ErrTaken says that what may exist once exists already.
	ErrTaken = errors.New("exists already")
	// ErrNotYours says that only somebody else may do this.
	ErrNotYours = errors.New("belongs to somebody else")
	// ErrInUse says that what others added to it keeps it from being deleted.
	ErrInUse = errors.New("others have added to it")
	// ErrFull says that the store takes nothing further.
	ErrFull = errors.New("the store is full")
	// ErrUnavailable says that the store cannot answer now, and may later.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrStale says that a change was counted, but a cache may not know it yet.
	ErrStale = errors.New("what is cached may be stale")
)

// Store is safe for concurrent use. What it adds gets an ID that sorts after those this process made before. Each
// method may return ErrUnavailable, each Add method ErrFull, and each method that adds something of a user ErrNotFound if
// that user is gone. AddUser, AddShop and AddReview add once for each idempotency key of their context.
type Store interface {
	// AddUser returns ErrTaken when somebody signed up with this e-mail address before.
	AddUser(ctx context.Context, draft UserDraft) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error)
	User(ctx context.Context, id ID) (User, error)
	// SetPassword replaces the user's password, and ends all their sessions but one. It returns ErrNotFound if the
	// password is not the one of user any more.
	SetPassword(ctx context.Context, user User, hash string, keep ID) error
	// DeleteUser deletes a user with their sessions, reviews, likes and idempotency keys, and says what has to be counted
	// again. Their shops stay, as others have reviewed them, and belong to nobody. It returns ErrNotFound as SetPassword
	// does.
	DeleteUser(ctx context.Context, user User) ([]Change, error)

	// AddSession returns ErrNotFound if the user's password is not the one of user any more. It ends the sessions of the
	// user beyond SessionsPerUser.
	AddSession(ctx context.Context, user User, hash SecretHash, expiresAt time.Time) (Session, error)
	// Sessions returns the sessions of a user that are not over, the one that expires last first.
	Sessions(ctx context.Context, user ID) ([]Session, error)
	// RenewSession replaces the hash and the end of a session whose hash is current. If current was its hash until
	// less than RenewalGrace ago, the session is returned as it is, so that its Hash tells which renewal won. With any
	// other hash the session ends, and ErrNotFound is returned: the token was used before, so it may be stolen.
	RenewSession(ctx context.Context, id ID, current, next SecretHash, expiresAt time.Time) (Session, error)
	// EndSession returns ErrNotFound if the user has no such session.
	EndSession(ctx context.Context, user, id ID) error
	// EndOtherSessions ends all sessions of a user but one.
	EndOtherSessions(ctx context.Context, user, keep ID) error
	// SweepSessions deletes the sessions of all users that are over.
	SweepSessions(ctx context.Context) error

	AddShop(ctx context.Context, creator ID, draft ShopDraft) (Shop, error)
	Shop(ctx context.Context, id ID) (Shop, error)
	// UpdateShop returns ErrNotYours unless the user added the shop.
	UpdateShop(ctx context.Context, id, user ID, draft ShopDraft) (Shop, error)
	// DeleteShop deletes the user's review of the shop too. It returns ErrNotYours unless the user added the shop, and
	// ErrInUse if others have reviewed it.
	DeleteShop(ctx context.Context, id, user ID) error
	// Shops returns a page of the shops that have the text in name or city, in upper or lower case.
	Shops(ctx context.Context, text string, page Page) ([]Shop, error)
	// Leaders returns the shops with the best scores, best first, and of equal ones the oldest.
	Leaders(ctx context.Context, limit int) ([]Shop, error)

	// AddReview returns ErrTaken for a second review of the same shop by the same author.
	AddReview(ctx context.Context, draft ReviewDraft) (Review, error)
	Review(ctx context.Context, id ID) (Review, error)
	// ReviewBy returns the review of a shop by this author.
	ReviewBy(ctx context.Context, shop, author ID) (Review, error)
	// UpdateReview returns ErrNotYours unless the user wrote the review.
	UpdateReview(ctx context.Context, id, user ID, stars int, text string) (Review, error)
	// DeleteReview deletes the likes of the review too. It returns ErrNotYours unless the user wrote the review.
	DeleteReview(ctx context.Context, id, user ID) (Change, error)
	// Reviews returns a page of the reviews of a shop, or ErrNotFound for an unknown shop.
	Reviews(ctx context.Context, shop ID, page Page) ([]Review, error)
	// Like may be called again without effect. It says what has to be counted again.
	Like(ctx context.Context, review, user ID) (Change, error)
	// Unlike is the reverse of Like.
	Unlike(ctx context.Context, review, user ID) (Change, error)

	// Liked returns which of these reviews the user likes.
	Liked(ctx context.Context, user ID, reviews []ID) (map[ID]bool, error)

	// Recount counts again what changed, from the reviews and likes themselves: doing it twice changes nothing.
	Recount(ctx context.Context, change Change) error

	// Check returns why the store cannot be used, or nil.
	Check(ctx context.Context) error
}

// Each shop starts with priorWeight reviews of priorStars: one review of five stars is no proof of the best shop.
const (
	priorWeight = 5
	priorStars  = 3
)

// Average is the stars of an average review, from 1 to 5; ok is false where there is no review.
func (r Rating) Average() (stars float64, ok bool) {
	if r.Reviews == 0 {
		return 0, false
	}
	return float64(r.Stars) / float64(r.Reviews), true
}

// Score is what the leader board sorts by, in 1/1,000,000 stars.
func (r Rating) Score() int {
	return 1_000_000 * (r.Stars + priorWeight*priorStars) / (r.Reviews + priorWeight)
}

// SearchText is the form in which a shop is searched; apply it to what is searched for too.
func SearchText(parts ...string) string {
	return strings.ToLower(norm.NFC.String(strings.Join(parts, "\n")))
}
