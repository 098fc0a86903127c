// Package store defines the data of the app, the Store interface that keeps it, and an implementation in memory. Handlers
// use only the interface; what every implementation has to do is tested by package storetest.
package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// UserDraft is a user to add. The e-mail address is in lower case.
type UserDraft struct {
	Email, Name  string
	PasswordHash string `json:"-"`
}

// User is a registered user.
type User struct {
	ID        ID
	CreatedAt time.Time
	UserDraft
}

// SecretHash is the stored hash of a refresh token. The token cannot be computed from it.
type SecretHash [32]byte

// Session is one login of a user. Each refresh replaces the hash, so that a refresh token works once.
type Session struct {
	ID, User  ID
	Hash      SecretHash
	ExpiresAt time.Time

	PreviousHash SecretHash // before the last renewal
	RenewedAt    time.Time  // zero if it was never renewed
}

// RenewalGrace is how long after a renewal the previous token is accepted, for clients that lost the response.
const RenewalGrace = 30 * time.Second

// SessionsPerUser is the maximum number of sessions of a user. One more login ends the session that expires first, which
// is the least recently used one.
const SessionsPerUser = 20

// LastUsed returns when the session was last renewed, or when it began.
func (s Session) LastUsed() time.Time {
	if s.RenewedAt.IsZero() {
		return s.ID.Time()
	}
	return s.RenewedAt
}

// Renewal is the effect of a refresh token on a session.
type Renewal int

const (
	// Ended means that the session is expired, or that the token was used before and may be stolen.
	Ended Renewal = iota
	// Renewed means that it is the current token.
	Renewed
	// Repeated means that it is the previous token, within RenewalGrace: the session stays as it is.
	Repeated
)

// Renewal returns the effect of a token with this hash.
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

// ShopDraft holds the fields of a shop that its creator sets.
type ShopDraft struct {
	Name        string `json:"name"`
	City        string `json:"city"`
	Description string `json:"description"`
}

// Shop is a stored shop, with its rating as of the last recount.
type Shop struct {
	ID        ID        `json:"id"`
	Creator   ID        `json:"creator"` // zero if the user was deleted
	CreatedAt time.Time `json:"createdAt"`
	ShopDraft
	Rating Rating `json:"rating"`
}

// Rating summarizes the reviews of a shop.
type Rating struct {
	Reviews int `json:"reviews"`
	Stars   int `json:"stars"` // sum over all reviews
	Likes   int `json:"likes"` // sum over all reviews
}

// ReviewDraft is a review to add.
type ReviewDraft struct {
	Shop, Author ID
	Stars        int
	Text         string
}

// Review is a stored review, with the name of its author, and its likes as of the last recount.
type Review struct {
	ID        ID
	CreatedAt time.Time
	ReviewDraft
	AuthorName string
	Likes      int
}

// Page selects a part of a list, newest first: at most Limit items, the newest ones older than Before or, if After is
// set, the oldest ones newer than After. With neither, it is the beginning of the list.
type Page struct {
	Before, After ID
	Limit         int
}

// Change names what has to be recounted: the likes of a review, unless Review is zero, and the rating of its shop.
type Change struct{ Shop, Review ID }

// Overdue is a change that was not recounted in time.
type Overdue struct {
	Change Change
	Tries  int // failed recounts so far
}

var (
	// ErrNotFound is returned if nothing has this ID.
	ErrNotFound = errors.New("not found")
	// ErrTaken is returned if something unique exists already.
	ErrTaken = errors.New("exists already")
	// ErrNotOwner is returned if only another user may do this.
	ErrNotOwner = errors.New("belongs to another user")
	// ErrInUse is returned if something cannot be deleted because other users have added to it.
	ErrInUse = errors.New("other users have added to it")
	// ErrFull is returned if the store has no room for more.
	ErrFull = errors.New("the store is full")
	// ErrUnavailable is returned if the store cannot be used now, but may be later.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrStale is returned if a recount succeeded, but the cache may still have the old value.
	ErrStale = errors.New("the cached value may be stale")
)

// Store keeps the data of the app, and is safe for concurrent use. What it adds gets an ID that sorts after the earlier
// ones of this process. Each method may return ErrUnavailable, each Add method ErrFull, and each method that adds
// something of a user ErrNotFound if that user was deleted. AddUser, AddShop and AddReview add once for each idempotency
// key of their context.
type Store interface {
	// AddUser returns ErrTaken if a user with this e-mail address exists.
	AddUser(ctx context.Context, draft UserDraft) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error)
	User(ctx context.Context, id ID) (User, error)
	// SetPassword replaces the password of a user, and ends all their sessions except keep. It returns ErrNotFound if the
	// stored password hash differs from that of user.
	SetPassword(ctx context.Context, user User, hash string, keep ID) error
	// DeleteUser deletes a user with their sessions, reviews, likes and idempotency keys, and returns what has to be
	// recounted. Their shops stay without an owner, because others may have reviewed them. It returns ErrNotFound as
	// SetPassword does.
	DeleteUser(ctx context.Context, user User) ([]Change, error)

	// AddSession returns ErrNotFound if the stored password hash differs from that of user. It ends the sessions of the
	// user in excess of SessionsPerUser.
	AddSession(ctx context.Context, user User, hash SecretHash, expiresAt time.Time) (Session, error)
	// Sessions returns the unexpired sessions of a user, the one that expires last first.
	Sessions(ctx context.Context, user ID) ([]Session, error)
	// RenewSession replaces the hash and the expiry of a session if its hash is current. If current was its hash until
	// less than RenewalGrace ago, it returns the session unchanged, so that Hash identifies the renewal that won. With
	// any other hash it ends the session and returns ErrNotFound, because the token was used before and may be stolen.
	RenewSession(ctx context.Context, id ID, current, next SecretHash, expiresAt time.Time) (Session, error)
	// EndSession returns ErrNotFound if the user has no such session.
	EndSession(ctx context.Context, user, id ID) error
	// EndOtherSessions ends all sessions of a user except keep.
	EndOtherSessions(ctx context.Context, user, keep ID) error
	// DeleteExpiredSessions deletes the expired sessions of all users.
	DeleteExpiredSessions(ctx context.Context) error

	AddShop(ctx context.Context, creator ID, draft ShopDraft) (Shop, error)
	Shop(ctx context.Context, id ID) (Shop, error)
	// UpdateShop returns ErrNotOwner unless the user added the shop.
	UpdateShop(ctx context.Context, id, user ID, draft ShopDraft) (Shop, error)
	// DeleteShop also deletes the user's review of the shop. It returns ErrNotOwner unless the user added the shop, and
	// ErrInUse if others have reviewed it.
	DeleteShop(ctx context.Context, id, user ID) error
	// Shops returns a page of the shops whose name or city contains the text, ignoring case.
	Shops(ctx context.Context, text string, page Page) ([]Shop, error)
	// Leaders returns the shops with the best scores, best first. Shops with equal scores are sorted oldest first.
	Leaders(ctx context.Context, limit int) ([]Shop, error)

	// AddReview returns ErrTaken for a second review of the same shop by the same author.
	AddReview(ctx context.Context, draft ReviewDraft) (Review, error)
	Review(ctx context.Context, id ID) (Review, error)
	// ReviewBy returns the review of a shop by this author.
	ReviewBy(ctx context.Context, shop, author ID) (Review, error)
	// UpdateReview returns ErrNotOwner unless the user wrote the review.
	UpdateReview(ctx context.Context, id, user ID, stars int, text string) (Review, error)
	// DeleteReview also deletes the likes of the review. It returns ErrNotOwner unless the user wrote the review.
	DeleteReview(ctx context.Context, id, user ID) (Change, error)
	// Reviews returns a page of the reviews of a shop, or ErrNotFound for an unknown shop.
	Reviews(ctx context.Context, shop ID, page Page) ([]Review, error)
	// Like is idempotent. It returns what has to be recounted.
	Like(ctx context.Context, review, user ID) (Change, error)
	// Unlike is the reverse of Like.
	Unlike(ctx context.Context, review, user ID) (Change, error)

	// Liked returns which of these reviews the user likes.
	Liked(ctx context.Context, user ID, reviews []ID) (map[ID]bool, error)

	// Recount computes counts and ratings from the reviews and likes themselves, so that repeating it changes nothing.
	Recount(ctx context.Context, change Change) error

	// Check returns an error if the store cannot be used.
	Check(ctx context.Context) error
}

// The score of each shop includes priorWeight imaginary reviews of priorStars, so that a single review of five stars does
// not make the best shop.
const (
	priorWeight = 5
	priorStars  = 3
)

// Average returns the average stars of a review, from 1 to 5. ok is false without reviews.
func (r Rating) Average() (stars float64, ok bool) {
	if r.Reviews == 0 {
		return 0, false
	}
	return float64(r.Stars) / float64(r.Reviews), true
}

// Score returns the sort key of the leaderboard, in 1/1,000,000 stars.
func (r Rating) Score() int {
	return 1_000_000 * (r.Stars + priorWeight*priorStars) / (r.Reviews + priorWeight)
}

// SearchText normalizes text for a search. It applies to shops and to the searched text alike.
func SearchText(parts ...string) string {
	return strings.ToLower(norm.NFC.String(strings.Join(parts, "\n")))
}
