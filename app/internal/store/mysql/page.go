package mysql

import (
	"context"
	"slices"

	"slipway/app/internal/store"
)

// maxID sorts after all IDs, and the zero ID before, so that a first page needs no statement of its own.
var maxID = store.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// queryPage returns one page of the rows of statement, which ends with a condition. Pages are cut by the IDs in column.
func queryPage[T any](ctx context.Context, s *Store, scan func(row) (T, error), page store.Page, statement, column string, args ...any) ([]T, error) {
	if page.Before == (store.ID{}) {
		page.Before = maxID
	}
	statement += " AND " + column + " < ? AND " + column + " > ? ORDER BY " + column
	args = append(args, page.Before[:], page.After[:], page.Limit)
	if page.After == (store.ID{}) {
		return query(ctx, s, scan, statement+" DESC LIMIT ?", args...)
	}
	rows, err := query(ctx, s, scan, statement+" LIMIT ?", args...)
	slices.Reverse(rows)
	return rows, err
}
