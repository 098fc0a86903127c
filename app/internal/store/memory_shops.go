package store

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
)

func (m *Memory) AddShop(ctx context.Context, creator ID, draft ShopDraft) (Shop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return addOnce(ctx, m, creator, func() (Shop, error) {
		if !m.exists(creator) {
			return Shop{}, ErrNotFound
		}
		if len(m.shops) >= Capacity {
			return Shop{}, ErrFull
		}
		now := Now()
		shop := Shop{ID: m.ids.Next(now), Creator: creator, CreatedAt: now, ShopDraft: draft}
		m.shops = append(m.shops, shop)
		return shop, nil
	})
}

func (m *Memory) Shop(_ context.Context, id ID) (Shop, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at, found := m.findShop(id); found {
		return m.shops[at], nil
	}
	return Shop{}, ErrNotFound
}

func (m *Memory) Shops(_ context.Context, text string, page Page) ([]Shop, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	text = SearchText(text)
	return pageOf(m.shops, page, m.findShop, func(shop Shop) bool {
		return strings.Contains(SearchText(shop.Name, shop.City), text)
	}), nil
}

func (m *Memory) Leaders(_ context.Context, limit int) ([]Shop, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	leaders := slices.Clone(m.shops)
	slices.SortStableFunc(leaders, func(a, b Shop) int { return cmp.Compare(b.Rating.Score(), a.Rating.Score()) })
	return leaders[:min(limit, len(leaders))], nil
}

func (m *Memory) UpdateShop(_ context.Context, id, user ID, draft ShopDraft) (Shop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.findShopOf(id, user)
	if err != nil {
		return Shop{}, err
	}
	m.shops[at].ShopDraft = draft
	return m.shops[at], nil
}

func (m *Memory) DeleteShop(_ context.Context, id, user ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.findShopOf(id, user)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(m.reviews, func(r Review) bool { return r.Shop == id && r.Author != user }) {
		return ErrInUse
	}
	m.deleteReviews(func(r Review) bool { return r.Shop == id })
	m.shops = slices.Delete(m.shops, at, at+1)
	return nil
}

func (m *Memory) findShopOf(id, user ID) (at int, err error) {
	at, found := m.findShop(id)
	if !found {
		return 0, ErrNotFound
	}
	if m.shops[at].Creator != user {
		return 0, ErrNotYours
	}
	return at, nil
}

// findShop gives the place of the id, or the place it would have.
func (m *Memory) findShop(id ID) (at int, found bool) {
	return slices.BinarySearchFunc(m.shops, id, func(shop Shop, id ID) int { return bytes.Compare(shop.ID[:], id[:]) })
}
