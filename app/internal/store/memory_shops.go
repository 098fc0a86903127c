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
	if i, found := m.findShop(id); found {
		return m.shops[i], nil
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
	i, err := m.findShopOf(id, user)
	if err != nil {
		return Shop{}, err
	}
	m.shops[i].ShopDraft = draft
	return m.shops[i], nil
}

func (m *Memory) DeleteShop(_ context.Context, id, user ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, err := m.findShopOf(id, user)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(m.reviews, func(r Review) bool { return r.Shop == id && r.Author != user }) {
		return ErrInUse
	}
	m.deleteReviews(func(r Review) bool { return r.Shop == id })
	m.shops = slices.Delete(m.shops, i, i+1)
	return nil
}

func (m *Memory) findShopOf(id, user ID) (i int, err error) {
	i, found := m.findShop(id)
	if !found {
		return 0, ErrNotFound
	}
	if m.shops[i].Creator != user {
		return 0, ErrNotOwner
	}
	return i, nil
}

// findShop returns the index of the shop, or where it would be inserted.
func (m *Memory) findShop(id ID) (i int, found bool) {
	return slices.BinarySearchFunc(m.shops, id, func(shop Shop, id ID) int { return bytes.Compare(shop.ID[:], id[:]) })
}
