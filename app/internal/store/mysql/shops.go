package mysql

import (
	"context"
	"database/sql"
	"strings"

	"slipway/app/internal/store"
)

const shopColumns = "id, creator_id, created_at, name, city, description, reviews, stars, likes"

func scanShop(r row) (shop store.Shop, err error) {
	return shop, r.Scan((*key)(&shop.ID), (*optionalKey)(&shop.Creator), &shop.CreatedAt, &shop.Name, &shop.City, &shop.Description,
		&shop.Rating.Reviews, &shop.Rating.Stars, &shop.Rating.Likes)
}

func (s *Store) AddShop(ctx context.Context, creator store.ID, draft store.ShopDraft) (store.Shop, error) {
	now := store.Now()
	shop := store.Shop{ID: s.ids.Next(now), Creator: creator, CreatedAt: now, ShopDraft: draft}
	return addRow(ctx, s, creator, &shop, `INSERT INTO shops (id, created_at, creator_id, name, city, description, search_text, score)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		shop.ID[:], now, creator[:], draft.Name, draft.City, draft.Description,
		store.SearchText(draft.Name, draft.City), shop.Rating.Score())
}

func (s *Store) Shop(ctx context.Context, id store.ID) (store.Shop, error) {
	return first(query(ctx, s, scanShop, "SELECT "+shopColumns+" FROM shops WHERE id = ?", id[:]))
}

var escapeLike = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Shops scans from the newest shop on, and stops at the limit. A search with few matches therefore reads all shops.
func (s *Store) Shops(ctx context.Context, text string, page store.Page) ([]store.Shop, error) {
	pattern := "%" + escapeLike.Replace(store.SearchText(text)) + "%"
	return queryPage(ctx, s, scanShop, page, "SELECT "+shopColumns+" FROM shops WHERE search_text LIKE ?", "id", pattern)
}

func (s *Store) Leaders(ctx context.Context, limit int) ([]store.Shop, error) {
	return query(ctx, s, scanShop, "SELECT "+shopColumns+" FROM shops ORDER BY score DESC, id LIMIT ?", limit)
}

func (s *Store) UpdateShop(ctx context.Context, id, user store.ID, draft store.ShopDraft) (shop store.Shop, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if shop, err = lockShopOf(ctx, tx, id, user); err != nil {
			return err
		}
		shop.ShopDraft = draft
		_, err = tx.ExecContext(ctx, "UPDATE shops SET name = ?, city = ?, description = ?, search_text = ? WHERE id = ?",
			draft.Name, draft.City, draft.Description, store.SearchText(draft.Name, draft.City), id[:])
		return err
	})
	return shop, err
}

// DeleteShop locks the shop, so that nobody reviews it between the check and the deletion.
func (s *Store) DeleteShop(ctx context.Context, id, user store.ID) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := lockShopOf(ctx, tx, id, user); err != nil {
			return err
		}
		var others bool
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT * FROM reviews WHERE shop_id = ? AND author_id <> ?)", id[:], user[:]).Scan(&others)
		if err != nil {
			return err
		}
		if others {
			return store.ErrInUse
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM reviews WHERE shop_id = ?", id[:]); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM shops WHERE id = ?", id[:])
		return err
	})
}

// lockShopOf locks a shop of this user.
func lockShopOf(ctx context.Context, tx *sql.Tx, id, user store.ID) (store.Shop, error) {
	shop, err := scanShop(tx.QueryRowContext(ctx, "SELECT "+shopColumns+" FROM shops WHERE id = ? FOR UPDATE", id[:]))
	if err == nil && shop.Creator != user {
		err = store.ErrNotOwner
	}
	return shop, err
}
