package mysql

import (
	"context"
	"slices"

	"slipway/app/internal/store"
)

// newest is after all ids, so that a first page needs no statement of its own; the zero id is before all ids.
var newest = store.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// queryPage runs a statement that ends with a condition, for one page by the ids in this column.
func queryPage[T any](ctx context.Context, s *Store, scan func(row) (T, error), page store.Page, statement, id string, args ...any) ([]T, error) {
	if page.Before == (store.ID{}) {
		page.Before = newest
	}
	statement += " AND " + id + " < ? AND " + id + " > ? ORDER BY " + id
	args = append(args, page.Before[:], page.After[:], page.Limit)
	if page.After == (store.ID{}) {
		return query(ctx, s, scan, statement+" DESC LIMIT ?", args...)
	}
	found, err := query(ctx, s, scan, statement+" LIMIT ?", args...)
	slices.Reverse(found)
	return found, err
}
