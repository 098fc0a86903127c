package store

import (
	"context"
	"crypto/sha256"
	"iter"
	"slices"
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
	keys     map[[sha256.Size]byte]keptKey
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
