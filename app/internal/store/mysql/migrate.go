package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the files with the steps to the schema that this program needs.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // only for an invalid path
	}
	return files
}

// Migrate brings the schema up to date. It may run many times at once: one run migrates while the others wait for it. It
// waits up to wait for a server that does not respond yet. The error names the step that failed, and how many were done.
func Migrate(ctx context.Context, options Options, migrations fs.FS, wait time.Duration, logger *slog.Logger) error {
	connector, err := options.connector(0) // steps have no time limit
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := awaitServer(ctx, db, wait, logger); err != nil {
		return fmt.Errorf("%s: %w", options.address(), err)
	}
	unlock, err := lockMigrations(ctx, db)
	if err != nil {
		return err
	}
	defer unlock()
	provider, err := goose.NewProvider(goose.DialectMySQL, db, migrations,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	done, err := provider.Up(ctx)
	if err := explain(err); err != nil {
		return err
	}
	for _, step := range done {
		logger.Info("migrated", "step", step.Source.Path, "took", step.Duration.String())
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	logger.Info("schema is up to date", "schema", version, "steps", len(done))
	return nil
}

// explain names the failed step in the error.
func explain(err error) error {
	var partial *goose.PartialError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &partial):
		return fmt.Errorf("migration %s failed, nothing after it was done (%d steps before it were): %w",
			partial.Failed.Source.Path, len(partial.Applied), partial.Err)
	default:
		return fmt.Errorf("migrate: %w", err)
	}
}

// awaitServer waits until the server responds, because it may start at the same time as this program.
func awaitServer(ctx context.Context, db *sql.DB, wait time.Duration, logger *slog.Logger) error {
	for deadline := time.Now().Add(wait); ; {
		err := db.PingContext(ctx)
		if err == nil || !unreachable(err) || untrusted(err) || !time.Now().Before(deadline) {
			return err
		}
		logger.Info("waiting for MySQL", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Second, time.Until(deadline))):
		}
	}
}

// untrusted reports whether the certificate of the server is not trusted. Waiting does not change that.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

const (
	// lockName contains a hash, because the name of a lock is limited to 64 characters, which the database alone may
	// need.
	lockName    = "CONCAT('slipway-migrate:', MD5(DATABASE()))"
	lockSeconds = 300
)

// lockMigrations takes a named lock of the server, which is also released when the connection of its holder breaks.
// goose's own lock is not enough: goose reads the pending steps, and creates the table of versions, before it takes that
// lock.
func lockMigrations(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	connection, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for other migrations: %w", err)
	}
	var locked sql.NullBool
	err = connection.QueryRowContext(ctx, "SELECT GET_LOCK("+lockName+", ?)", lockSeconds).Scan(&locked)
	if err == nil && !locked.Bool {
		err = fmt.Errorf("another migration has been running for %d s", lockSeconds)
	}
	if err != nil {
		connection.Close()
		return nil, fmt.Errorf("wait for other migrations: %w", err)
	}
	return func() {
		connection.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK("+lockName+")")
		connection.Close()
	}, nil
}
