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

// Migrations are the steps to the schema this program needs.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // only for a path that is no path
	}
	return files
}

// Migrate brings the schema up to date. Any number of runners may start it at once: one works, the others wait for it.
// It waits for a server that does not answer yet until ctx ends. The error says which step failed and what is done.
func Migrate(ctx context.Context, options Options, migrations fs.FS, wait time.Duration, logger *slog.Logger) error {
	connector, err := options.connector(0) // a step takes as long as it takes
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := awaitServer(ctx, db, wait, logger); err != nil {
		return fmt.Errorf("%s: %w", options.address(), err)
	}
	unlock, err := lockOthersOut(ctx, db)
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
	logger.Info("schema is up to date", "version", version, "steps", len(done))
	return nil
}

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

// awaitServer is for a server that starts together with this program.
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

// untrusted says that the server has no certificate that we accept, which waiting does not change.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

const (
	// Hashed: a name of a lock has 64 characters at most, and that of a database may have as many.
	lockName    = "CONCAT('slipway-migrate:', MD5(DATABASE()))"
	lockSeconds = 300
)

// lockOthersOut is a lock of the server's: it is released too when the connection of its holder dies. It is not goose's
// own, which would look for what is to be done, and make the table of versions, before it has its lock.
func lockOthersOut(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	connection, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for other migrations: %w", err)
	}
	var got sql.NullBool
	err = connection.QueryRowContext(ctx, "SELECT GET_LOCK("+lockName+", ?)", lockSeconds).Scan(&got)
	if err == nil && !got.Bool {
		err = fmt.Errorf("another one has been running for %d s", lockSeconds)
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
