package store

import (
	"bytes"
	"context"
	"maps"
	"slices"
)

func (m *Memory) AddReview(ctx context.Context, draft ReviewDraft) (Review, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return addOnce(ctx, m, draft.Author, func() (Review, error) {
		if _, found := m.findShop(draft.Shop); !found || !m.exists(draft.Author) {
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
	})
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
	i, found := m.findReview(review)
	if !found || !m.exists(user) {
		return Change{}, ErrNotFound
	}
	given := like{review, user}
	if len(m.likes) >= 10*Capacity && !m.likes[given] {
		return Change{}, ErrFull
	}
	m.likes = put(m.likes, given, true)
	return Change{m.reviews[i].Shop, review}, nil
}

func (m *Memory) Unlike(_ context.Context, review, user ID) (Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := m.findReview(review)
	if !found {
		return Change{}, ErrNotFound
	}
	delete(m.likes, like{review, user})
	return Change{m.reviews[i].Shop, review}, nil
}

func (m *Memory) Review(_ context.Context, id ID) (Review, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if i, found := m.findReview(id); found {
		return m.reviews[i], nil
	}
	return Review{}, ErrNotFound
}

func (m *Memory) ReviewBy(_ context.Context, shop, author ID) (Review, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := slices.IndexFunc(m.reviews, func(r Review) bool { return r.Shop == shop && r.Author == author })
	if i < 0 {
		return Review{}, ErrNotFound
	}
	return m.reviews[i], nil
}

func (m *Memory) UpdateReview(_ context.Context, id, user ID, stars int, text string) (Review, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, err := m.findReviewOf(id, user)
	if err != nil {
		return Review{}, err
	}
	m.reviews[i].Stars, m.reviews[i].Text = stars, text
	return m.reviews[i], nil
}

func (m *Memory) DeleteReview(_ context.Context, id, user ID) (Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, err := m.findReviewOf(id, user)
	if err != nil {
		return Change{}, err
	}
	change := Change{Shop: m.reviews[i].Shop}
	m.deleteReviews(func(r Review) bool { return r.ID == id })
	return change, nil
}

// deleteReviews deletes the reviews for which remove returns true, and their likes.
func (m *Memory) deleteReviews(remove func(Review) bool) {
	m.reviews = slices.DeleteFunc(m.reviews, func(r Review) bool {
		if !remove(r) {
			return false
		}
		delete(m.written, authorship{r.Shop, r.Author})
		maps.DeleteFunc(m.likes, func(given like, _ bool) bool { return given.review == r.ID })
		return true
	})
}

func (m *Memory) Liked(_ context.Context, user ID, reviews []ID) (map[ID]bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	liked := map[ID]bool{}
	for _, review := range reviews {
		if m.likes[like{review, user}] {
			liked[review] = true
		}
	}
	return liked, nil
}

func (m *Memory) findReviewOf(id, user ID) (i int, err error) {
	i, found := m.findReview(id)
	if !found {
		return 0, ErrNotFound
	}
	if m.reviews[i].Author != user {
		return 0, ErrNotOwner
	}
	return i, nil
}

func (m *Memory) findReview(id ID) (i int, found bool) {
	return slices.BinarySearchFunc(m.reviews, id, func(review Review, id ID) int { return bytes.Compare(review.ID[:], id[:]) })
}
