package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"slipway/app/internal/store"
	"slipway/app/internal/tracing"
)

// transaction is what runs in one call.
type transaction = func(ctx context.Context, tx *sql.Tx) error

// call runs one transaction and translates the error. It reads what is committed at each statement, so that what is counted
// under a lock is counted exactly.
func (s *Store) call(ctx context.Context, do transaction) error {
	return s.try(ctx, "transaction", notDone, func(ctx context.Context, conn *sql.Conn) error {
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

func (s *Store) exec(ctx context.Context, statement string, args ...any) error {
	return s.try(ctx, statement, notDone, func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, statement, args...)
		return err
	})
}

// query runs one statement that needs no transaction.
func query[T any](ctx context.Context, s *Store, scan func(row) (T, error), statement string, args ...any) (found []T, err error) {
	return found, s.try(ctx, statement, repeatableRead, func(ctx context.Context, conn *sql.Conn) error {
		found, err = readAll(ctx, conn, scan, statement, args...)
		return err
	})
}

func readAll[T any](ctx context.Context, conn *sql.Conn, scan func(row) (T, error), statement string, args ...any) (found []T, err error) {
	rows, err := conn.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		each, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, each)
	}
	return found, rows.Err()
}

// try runs do on a connection within the timeout of the store, again where mayRepeat allows it, and translates the error.
func (s *Store) try(ctx context.Context, name string, mayRepeat func(error, int) bool, do func(context.Context, *sql.Conn) error) (err error) {
	ctx, end := tracing.Call(ctx, "mysql", name)
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

// attempt drops the connections of the pool that lead to a server that cannot do its work. After a failover an old
// connection stays open and leads to the former primary, which refuses all writes or does not answer any more; only a new
// one leads to the server that took over.
func (s *Store) attempt(ctx context.Context, do func(context.Context, *sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = do(ctx, conn)
	if leavesServer(err) {
		conn.Raw(func(any) error { return driver.ErrBadConn }) // database/sql closes such a connection
		s.db.SetMaxIdleConns(0)                                // closes those that nobody uses
		s.db.SetMaxIdleConns(s.connections)
	}
	return err
}

func first[T any](found []T, err error) (T, error) {
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

type row interface{ Scan(into ...any) error }

// key is an ID as MySQL knows it.
type key store.ID

func (k *key) Scan(value any) error {
	content, _ := value.([]byte)
	if copy(k[:], content) != len(k) {
		return fmt.Errorf("%T of %d bytes is no id", value, len(content))
	}
	return nil
}

// optionalKey is an ID that may be NULL, which is the zero ID.
type optionalKey store.ID

func (k *optionalKey) Scan(value any) error {
	if value == nil {
		*k = optionalKey{}
		return nil
	}
	return (*key)(k).Scan(value)
}
