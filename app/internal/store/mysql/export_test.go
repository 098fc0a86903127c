package mysql

import "context"

// SlowQuery runs a query that takes much longer than the timeout.
func (s *Store) SlowQuery(ctx context.Context) error {
	number := func(r row) (count int64, err error) { return count, r.Scan(&count) }
	_, err := query(ctx, s, number, "SELECT COUNT(*) FROM information_schema.collations a, information_schema.collations b, information_schema.collations c, information_schema.collations d")
	return err
}

var (
	ServerUnusable = serverUnusable
	Translate      = translate
)
