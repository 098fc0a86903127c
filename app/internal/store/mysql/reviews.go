package mysql

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"slipway/app/internal/store"
)

const userColumns = "id, created_at, email, name, password_hash"

func scanUser(r row) (user store.User, err error) {
	return user, r.Scan((*key)(&user.ID), &user.CreatedAt, &user.Email, &user.Name, &user.PasswordHash)
}

func (s *Store) AddUser(ctx context.Context, draft store.UserDraft) (store.User, error) {
	now := store.Now()
	user := store.User{ID: s.ids.Next(now), CreatedAt: now, UserDraft: draft}
	return user, s.exec(ctx, "INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?, ?)",
		user.ID[:], now, draft.Email, draft.Name, draft.PasswordHash)
}

func (s *Store) UserByEmail(ctx context.Context, email string) (store.User, error) {
	return first(query(ctx, s, scanUser, "SELECT "+userColumns+" FROM users WHERE email = ?", email))
}

const shopColumns = "id, created_at, name, city, description, reviews, stars, likes"

func scanShop(r row) (shop store.Shop, err error) {
	return shop, r.Scan((*key)(&shop.ID), &shop.CreatedAt, &shop.Name, &shop.City, &shop.Description,
		&shop.Rating.Reviews, &shop.Rating.Stars, &shop.Rating.Likes)
}

func (s *Store) AddShop(ctx context.Context, creator store.ID, draft store.ShopDraft) (store.Shop, error) {
	now := store.Now()
	shop := store.Shop{ID: s.ids.Next(now), CreatedAt: now, ShopDraft: draft}
	return shop, s.exec(ctx, `INSERT INTO shops (id, created_at, creator_id, name, city, description, search_text, score)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		shop.ID[:], now, creator[:], draft.Name, draft.City, draft.Description,
		store.SearchText(draft.Name, draft.City), shop.Rating.Score())
}

func (s *Store) Shop(ctx context.Context, id store.ID) (store.Shop, error) {
	return first(query(ctx, s, scanShop, "SELECT "+shopColumns+" FROM shops WHERE id = ?", id[:]))
}

var escapeLike = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Shops walks from the newest on and stops at limit: a search for what few shops have reads all of them.
func (s *Store) Shops(ctx context.Context, text string, page store.Page) ([]store.Shop, error) {
	pattern := "%" + escapeLike.Replace(store.SearchText(text)) + "%"
	return queryPage(ctx, s, scanShop, page, "SELECT "+shopColumns+" FROM shops WHERE search_text LIKE ?", "id", pattern)
}

func (s *Store) Leaders(ctx context.Context, limit int) ([]store.Shop, error) {
	return query(ctx, s, scanShop, "SELECT "+shopColumns+" FROM shops ORDER BY score DESC, id LIMIT ?", limit)
}

func scanReview(r row) (review store.Review, err error) {
	return review, r.Scan((*key)(&review.ID), &review.CreatedAt, (*key)(&review.Shop), (*key)(&review.Author), &review.AuthorName,
		&review.Stars, &review.Text, &review.Likes)
}

func (s *Store) AddReview(ctx context.Context, draft store.ReviewDraft) (store.Review, error) {
	now := store.Now()
	review := store.Review{ID: s.ids.Next(now), CreatedAt: now, ReviewDraft: draft}
	err := s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT name FROM users WHERE id = ?", draft.Author[:]).Scan(&review.AuthorName)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO reviews (id, created_at, shop_id, author_id, stars, text) VALUES (?, ?, ?, ?, ?, ?)",
			review.ID[:], now, draft.Shop[:], draft.Author[:], draft.Stars, draft.Text)
		return err
	})
	return review, err
}

func (s *Store) Reviews(ctx context.Context, shop store.ID, page store.Page) ([]store.Review, error) {
	reviews, err := queryPage(ctx, s, scanReview, page, `SELECT r.id, r.created_at, r.shop_id, r.author_id, u.name, r.stars, r.text, r.likes
		FROM reviews r JOIN users u ON u.id = r.author_id WHERE r.shop_id = ?`, "r.id", shop[:])
	if err == nil && len(reviews) == 0 {
		_, err = s.Shop(ctx, shop)
	}
	return reviews, err
}

func (s *Store) Like(ctx context.Context, review, user store.ID) (store.Change, error) {
	// Not INSERT IGNORE: that would take an unknown review for a like that is there already.
	return s.setLike(ctx, "INSERT INTO likes (review_id, user_id) VALUES (?, ?) ON DUPLICATE KEY UPDATE user_id = user_id", review, user)
}

func (s *Store) Unlike(ctx context.Context, review, user store.ID) (store.Change, error) {
	return s.setLike(ctx, "DELETE FROM likes WHERE review_id = ? AND user_id = ?", review, user)
}

func (s *Store) setLike(ctx context.Context, statement string, review, user store.ID) (store.Change, error) {
	change := store.Change{Review: review}
	err := s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "SELECT shop_id FROM reviews WHERE id = ?", review[:]).Scan((*key)(&change.Shop)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, statement, review[:], user[:])
		return err
	})
	return change, err
}

// Recount locks the review, then its shop: of two counts at the same time the later one sees what the earlier one saw.
func (s *Store) Recount(ctx context.Context, change store.Change) error {
	return s.call(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := recountReview(ctx, tx, change.Review); err != nil {
			return err
		}
		return recountShop(ctx, tx, change.Shop)
	})
}

func recountReview(ctx context.Context, tx *sql.Tx, review store.ID) error {
	if there, err := lock(ctx, tx, "reviews", review); !there {
		return err
	}
	var likes int
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM likes WHERE review_id = ?", review[:]).Scan(&likes); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE reviews SET likes = ? WHERE id = ?", likes, review[:])
	return err
}

func recountShop(ctx context.Context, tx *sql.Tx, shop store.ID) error {
	if there, err := lock(ctx, tx, "shops", shop); !there {
		return err
	}
	var r store.Rating
	err := tx.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(stars), 0), COALESCE(SUM(likes), 0) FROM reviews WHERE shop_id = ?", shop[:]).
		Scan(&r.Reviews, &r.Stars, &r.Likes)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE shops SET reviews = ?, stars = ?, likes = ?, score = ? WHERE id = ?",
		r.Reviews, r.Stars, r.Likes, r.Score(), shop[:])
	return err
}

// lock is a statement of its own: the next one sees all that was committed before the lock was got.
func lock(ctx context.Context, tx *sql.Tx, table string, id store.ID) (there bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT TRUE FROM "+table+" WHERE id = ? FOR UPDATE", id[:]).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return there, err
}
