// Package mysql is the store that all replicas share, in MySQL or MariaDB, and its migrations. SQL stands only here.
package mysql

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"slipway/app/internal/config"
	"slipway/app/internal/store"
)

// Options locate the server, and limit the use of it.
type Options struct {
	Host     string
	Port     int
	Database string
	User     string
	Password config.Secret
	TLS      *tls.Config // nil for plain TCP

	Timeout     time.Duration // of one call; 0 stands for callTimeout
	Connections int           // at most; 0 stands for defaultConnections

	Slow   time.Duration // a statement or transaction that takes longer is slow
	OnSlow func()        // called for each slow one; may be nil
}

const (
	// A call that has to connect does both within callTimeout: responses of the API take less than a second without
	// MySQL.
	connectTimeout = 500 * time.Millisecond
	callTimeout    = 900 * time.Millisecond

	defaultConnections = 10
	connectionLifetime = 3 * time.Minute // limits how long reads use a server that is no longer the primary
)

func (o Options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }

// connector returns the driver's connector. If timeout is 0, statements have no time limit.
func (o Options) connector(timeout time.Duration) (driver.Connector, error) {
	settings := mysql.NewConfig()
	settings.Net, settings.Addr = "tcp", o.address()
	settings.DBName, settings.User, settings.Passwd = o.Database, o.User, o.Password.Reveal()
	settings.TLS = o.TLS
	settings.Timeout, settings.ReadTimeout, settings.WriteTimeout = connectTimeout, timeout, timeout
	settings.ParseTime, settings.Loc = true, time.UTC
	settings.InterpolateParams = true // one round trip instead of two
	settings.Logger = &mysql.NopLogger{}
	if timeout > 0 {
		settings.Params = statementLimits(timeout)
	}
	return mysql.NewConnector(settings)
}

// statementLimits returns session variables that make the server stop a statement shortly before the client gives up. The
// server does not notice that the client gives up: an abandoned search would continue to use it, and a write that waits
// for a lock would still be executed after it was reported as failed. MySQL limits reads (max_execution_time) and waits
// for locks (in seconds); MariaDB limits every statement. Each executes only its own comment:
// https://mariadb.com/kb/en/comment-syntax/
func statementLimits(timeout time.Duration) map[string]string {
	limit := timeout * 8 / 9
	return map[string]string{"innodb_lock_wait_timeout": fmt.Sprintf("%d /*!50708 , max_execution_time = %d */ /*M!100101 , max_statement_time = %.3f */",
		int(math.Ceil(limit.Seconds())), limit.Milliseconds(), limit.Seconds())}
}

// Store implements store.Store.
type Store struct {
	db          *sql.DB
	ids         store.IDs
	timeout     time.Duration
	connections int
	slow        time.Duration
	onSlow      func()
}

// Open returns a store without connecting: a server that is unavailable now may come back.
func Open(options Options) (*Store, error) {
	s := &Store{
		timeout: cmp.Or(options.Timeout, callTimeout), connections: cmp.Or(options.Connections, defaultConnections),
		slow: options.Slow, onSlow: options.OnSlow,
	}
	if s.onSlow == nil {
		s.onSlow = func() {}
	}
	connector, err := options.connector(s.timeout)
	if err != nil {
		return nil, err
	}
	s.db = sql.OpenDB(connector)
	s.db.SetMaxOpenConns(s.connections)
	s.db.SetMaxIdleConns(s.connections)
	s.db.SetConnMaxLifetime(connectionLifetime)
	return s, nil
}

// Pool returns the connection pool, for its metrics.
func (s *Store) Pool() *sql.DB { return s.db }

// Close closes all connections.
func (s *Store) Close() error { return s.db.Close() }

// Check returns an error if the server does not respond, or its schema is older than this program needs.
func (s *Store) Check(ctx context.Context) error {
	scan := func(r row) (version int64, err error) { return version, r.Scan(&version) }
	version, err := first(query(ctx, s, scan, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied"))
	if number(err) == noSuchTable {
		return errors.New("there is no schema: run `api migrate`")
	}
	if err == nil && version < NeededVersion {
		return fmt.Errorf("the schema has version %d, this program needs %d: run `api migrate`", version, NeededVersion)
	}
	return err
}

// NeededVersion is the version of the last migration.
const NeededVersion = 19
