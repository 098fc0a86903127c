package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"slipway/app/internal/store"
	"slipway/app/internal/tracing"
)

// transaction is the body of a transaction.
type transaction = func(ctx context.Context, tx *sql.Tx) error

// transact runs a transaction and translates the error. Each statement reads what is committed at its start, so that
// counts under a lock are exact.
func (s *Store) transact(ctx context.Context, do transaction) error {
	return s.run(ctx, "transaction", hadNoEffect, func(ctx context.Context, conn *sql.Conn) error {
		tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			return err
		}
		defer tx.Rollback() // does nothing after a commit
		if err := do(ctx, tx); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// exec runs one statement that returns no rows.
func (s *Store) exec(ctx context.Context, statement string, args ...any) error {
	return s.run(ctx, statement, hadNoEffect, func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, statement, args...)
		return err
	})
}

// query runs one statement and returns its rows.
func query[T any](ctx context.Context, s *Store, scan func(row) (T, error), statement string, args ...any) (result []T, err error) {
	return result, s.run(ctx, statement, canRepeatRead, func(ctx context.Context, conn *sql.Conn) error {
		result, err = readAll(ctx, conn, scan, statement, args...)
		return err
	})
}

func readAll[T any](ctx context.Context, conn *sql.Conn, scan func(row) (T, error), statement string, args ...any) (result []T, err error) {
	rows, err := conn.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		value, err := scan(rows)
		if err != nil {
			return nil, err
		}
		result = append(result, value)
	}
	return result, rows.Err()
}

// run runs do on a connection within the timeout of the store, repeats it if mayRepeat allows that, and translates the
// error.
func (s *Store) run(ctx context.Context, name string, mayRepeat func(err error, attempt int) bool, do func(context.Context, *sql.Conn) error) (err error) {
	ctx, end := tracing.StartCall(ctx, "mysql", name)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, do)
		if err == nil || ctx.Err() != nil || !mayRepeat(err, attempt) {
			return translate(err)
		}
	}
}

// attempt runs do once, and closes all connections of the pool if the server cannot be used. After a failover, open
// connections still lead to the former primary, which refuses writes or does not respond; only new ones reach the server
// that took over.
func (s *Store) attempt(ctx context.Context, do func(context.Context, *sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	started := time.Now() // the wait for a connection is not part of a query; the pool has a metric for it
	err = do(ctx, conn)
	if time.Since(started) > s.slow {
		s.onSlow()
	}
	if serverUnusable(err) {
		conn.Raw(func(any) error { return driver.ErrBadConn }) // database/sql closes such a connection
		s.db.SetMaxIdleConns(0)                                // closes the idle connections
		s.db.SetMaxIdleConns(s.connections)
	}
	return err
}

// first returns the first row, or store.ErrNotFound if there is none.
func first[T any](rows []T, err error) (T, error) {
	if err == nil && len(rows) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return rows[0], nil
}

// row is a *sql.Row or *sql.Rows.
type row interface{ Scan(into ...any) error }

// key scans an ID from a BINARY(16) column.
type key store.ID

func (k *key) Scan(value any) error {
	bytes, _ := value.([]byte)
	if copy(k[:], bytes) != len(k) {
		return fmt.Errorf("%T of %d bytes is not an ID", value, len(bytes))
	}
	return nil
}

// optionalKey scans an ID that may be NULL, which becomes the zero ID.
type optionalKey store.ID

func (k *optionalKey) Scan(value any) error {
	if value == nil {
		*k = optionalKey{}
		return nil
	}
	return (*key)(k).Scan(value)
}
