package store

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Capacity of a memory store: this many users, sessions, shops and reviews each, and ten times as many likes.
const Capacity = 10_000

// Memory keeps everything until the process ends. Each replica has its own. The zero value is ready to use.
type Memory struct {
	mu       sync.RWMutex
	ids      IDs
	users    map[ID]User
	emails   map[string]ID // ids of users by e-mail address
	sessions map[ID]Session
	shops    []Shop   // oldest first, and so sorted by id
	reviews  []Review // oldest first, and so sorted by id
	written  map[authorship]bool
	likes    map[like]bool
}

type authorship struct{ shop, author ID }

type like struct{ review, user ID }

// put makes the map first where there is none.
func put[K comparable, V any](to map[K]V, key K, value V) map[K]V {
	if to == nil {
		to = map[K]V{}
	}
	to[key] = value
	return to
}

func (m *Memory) AddShop(_ context.Context, _ ID, draft ShopDraft) (Shop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.shops) >= Capacity {
		return Shop{}, ErrFull
	}
	now := Now()
	shop := Shop{ID: m.ids.Next(now), CreatedAt: now, ShopDraft: draft}
	m.shops = append(m.shops, shop)
	return shop, nil
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

// pageOf returns a page of what matches, newest first. find returns the place of an id, or the place it would have.
func pageOf[T any](all []T, page Page, find func(ID) (at int, found bool), matches func(T) bool) (result []T) {
	end := len(all)
	if page.Before != (ID{}) {
		end, _ = find(page.Before)
	}
	if page.After == (ID{}) {
		return firstMatching(slices.Backward(all[:end]), page.Limit, matches)
	}
	start, found := find(page.After)
	if found {
		start++
	}
	result = firstMatching(slices.All(all[start:end]), page.Limit, matches)
	slices.Reverse(result)
	return result
}

func firstMatching[T any](all iter.Seq2[int, T], limit int, matches func(T) bool) (result []T) {
	for _, each := range all {
		if len(result) == limit {
			break
		}
		if matches(each) {
			result = append(result, each)
		}
	}
	return result
}

func (m *Memory) Leaders(_ context.Context, limit int) ([]Shop, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	leaders := slices.Clone(m.shops)
	slices.SortStableFunc(leaders, func(a, b Shop) int { return cmp.Compare(b.Rating.Score(), a.Rating.Score()) })
	return leaders[:min(limit, len(leaders))], nil
}

func (m *Memory) AddReview(_ context.Context, draft ReviewDraft) (Review, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, found := m.findShop(draft.Shop); !found {
		return Review{}, ErrNotFound
	}
	if m.written[authorship{draft.Shop, draft.Author}] {
		return Review{}, ErrTaken
	}
	if len(m.reviews) >= Capacity {
		return Review{}, ErrFull
	}
	now := Now()
	review := Review{ID: m.ids.Next(now), CreatedAt: now, ReviewDraft: draft, AuthorName: m.users[draft.Author].Name}
	m.reviews = append(m.reviews, review)
	m.written = put(m.written, authorship{draft.Shop, draft.Author}, true)
	return review, nil
}

func (m *Memory) Reviews(_ context.Context, shop ID, page Page) ([]Review, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, found := m.findShop(shop); !found {
		return nil, ErrNotFound
	}
	return pageOf(m.reviews, page, m.findReview, func(review Review) bool { return review.Shop == shop }), nil
}

func (m *Memory) Like(_ context.Context, review, user ID) (Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, found := m.findReview(review)
	if !found {
		return Change{}, ErrNotFound
	}
	given := like{review, user}
	if len(m.likes) >= 10*Capacity && !m.likes[given] {
		return Change{}, ErrFull
	}
	m.likes = put(m.likes, given, true)
	return Change{m.reviews[at].Shop, review}, nil
}

func (m *Memory) Unlike(_ context.Context, review, user ID) (Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, found := m.findReview(review)
	if !found {
		return Change{}, ErrNotFound
	}
	delete(m.likes, like{review, user})
	return Change{m.reviews[at].Shop, review}, nil
}

func (m *Memory) Recount(_ context.Context, change Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, found := m.findReview(change.Review); found {
		m.reviews[at].Likes = m.countLikes(change.Review)
	}
	at, found := m.findShop(change.Shop)
	if !found {
		return nil
	}
	var rating Rating
	for _, review := range m.reviews {
		if review.Shop == change.Shop {
			rating.Reviews++
			rating.Stars += review.Stars
			rating.Likes += review.Likes
		}
	}
	m.shops[at].Rating = rating
	return nil
}

func (m *Memory) countLikes(review ID) (count int) {
	for given := range m.likes {
		if given.review == review {
			count++
		}
	}
	return count
}

// Check never fails: memory is always there.
func (m *Memory) Check(context.Context) error { return nil }

// findShop gives the place of the id, or the place it would have.
func (m *Memory) findShop(id ID) (at int, found bool) {
	return slices.BinarySearchFunc(m.shops, id, func(shop Shop, id ID) int { return bytes.Compare(shop.ID[:], id[:]) })
}

func (m *Memory) findReview(id ID) (at int, found bool) {
	return slices.BinarySearchFunc(m.reviews, id, func(review Review, id ID) int { return bytes.Compare(review.ID[:], id[:]) })
}
