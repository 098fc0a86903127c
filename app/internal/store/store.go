// Package store keeps items. Handlers know only the Store interface.
package store

import (
	"context"
	"errors"
	"time"
)

// Draft is what a client says about a new item.
type Draft struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Item is a stored draft. It never changes.
type Item struct {
	ID        ID        `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	Draft
}

var (
	// ErrNotFound says that no item has this id.
	ErrNotFound = errors.New("no such item")
	// ErrFull says that the store takes no further item.
	ErrFull = errors.New("the store is full")
)

// Store keeps items; safe for concurrent use.
type Store interface {
	// Add stores a draft as an item newer than all before it, or returns ErrFull.
	Add(ctx context.Context, draft Draft) (Item, error)
	// Get returns ErrNotFound when no item has this id.
	Get(ctx context.Context, id ID) (Item, error)
	// List returns at most limit items older than before, newest first; the zero ID starts at the newest item.
	List(ctx context.Context, before ID, limit int) ([]Item, error)
}
