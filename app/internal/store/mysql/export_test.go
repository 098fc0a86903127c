package mysql

import "context"

// Compute keeps the server busy for much longer than a call may take.
func (s *Store) Compute(ctx context.Context) error {
	number := func(r row) (found int64, err error) { return found, r.Scan(&found) }
	_, err := query(ctx, s, number, "SELECT COUNT(*) FROM information_schema.collations a, information_schema.collations b, information_schema.collations c, information_schema.collations d")
	return err
}

var (
	LeavesServer = leavesServer
	Translate    = translate
)
