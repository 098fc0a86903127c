package store

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

// Capacity keeps a full memory store, with items as large as the API lets them be, below 32 MiB.
const Capacity = 10_000

// Memory keeps items until the process ends. Each replica has its own.
type Memory struct {
	mu    sync.RWMutex
	ids   idSource
	items []Item // oldest first, and so sorted by id
}

// Add returns ErrFull when Capacity items are kept already.
func (m *Memory) Add(_ context.Context, draft Draft) (Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) >= Capacity {
		return Item{}, ErrFull
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	item := Item{ID: m.ids.next(now), CreatedAt: now, Draft: draft}
	m.items = append(m.items, item)
	return item, nil
}

func (m *Memory) Get(_ context.Context, id ID) (Item, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at, found := m.find(id); found {
		return m.items[at], nil
	}
	return Item{}, ErrNotFound
}

func (m *Memory) List(_ context.Context, before ID, limit int) ([]Item, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	end := len(m.items)
	if before != (ID{}) {
		end, _ = m.find(before)
	}
	page := slices.Clone(m.items[max(0, end-limit):end])
	slices.Reverse(page)
	return page, nil
}

// find gives the place of the id, or the place it would have.
func (m *Memory) find(id ID) (at int, found bool) {
	return slices.BinarySearchFunc(m.items, id, func(item Item, id ID) int { return bytes.Compare(item.ID[:], id[:]) })
}
