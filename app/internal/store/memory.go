package store

import (
	"context"
	"crypto/sha256"
	"iter"
	"slices"
	"sync"
)

// Capacity of a Memory: this many users, sessions, shops and reviews each, and ten times as many likes.
const Capacity = 10_000

// Memory is a store in the memory of the process, for development and tests. Each replica has its own data. The zero
// value is ready to use.
type Memory struct {
	mu       sync.RWMutex
	ids      IDs
	users    map[ID]User
	emails   map[string]ID // IDs of users by e-mail address
	sessions map[ID]Session
	shops    []Shop   // oldest first, and therefore sorted by ID
	reviews  []Review // oldest first, and therefore sorted by ID
	written  map[authorship]bool
	likes    map[like]bool
	keys     map[[sha256.Size]byte]storedKey
}

type authorship struct{ shop, author ID }

type like struct{ review, user ID }

// put sets a value of a map, which it creates if it is nil.
func put[K comparable, V any](to map[K]V, key K, value V) map[K]V {
	if to == nil {
		to = map[K]V{}
	}
	to[key] = value
	return to
}

// pageOf returns a page of the matching items, newest first. find returns the index of an ID, or where it would be
// inserted.
func pageOf[T any](all []T, page Page, find func(ID) (i int, found bool), matches func(T) bool) (result []T) {
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
	for _, item := range all {
		if len(result) == limit {
			break
		}
		if matches(item) {
			result = append(result, item)
		}
	}
	return result
}

func (m *Memory) Recount(_ context.Context, change Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, found := m.findReview(change.Review); found {
		m.reviews[i].Likes = m.countLikes(change.Review)
	}
	i, found := m.findShop(change.Shop)
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
	m.shops[i].Rating = rating
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

// Check always returns nil.
func (m *Memory) Check(context.Context) error { return nil }
