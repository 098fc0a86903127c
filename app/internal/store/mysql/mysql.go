// Package mysql is the store all replicas share. MariaDB will do as well.
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

// Options says where the server is, who asks, and how much of it.
type Options struct {
	Host     string
	Port     int
	Database string
	User     string
	Password config.Secret
	TLS      *tls.Config // nil: without

	Timeout     time.Duration // of one call; 0: what an answer of an API may take
	Connections int           // at most; 0: a few
}

const (
	// connectTimeout and callTimeout together keep the answer of an API without MySQL below a second.
	connectTimeout = 500 * time.Millisecond
	callTimeout    = 900 * time.Millisecond

	fewConnections     = 10
	connectionLifetime = 3 * time.Minute // bounds how long reads go on at a server that is no longer the primary
)

func (o Options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }

// connector connects without a limit for statements if timeout is 0.
func (o Options) connector(timeout time.Duration) (driver.Connector, error) {
	settings := mysql.NewConfig()
	settings.Net, settings.Addr = "tcp", o.address()
	settings.DBName, settings.User, settings.Passwd = o.Database, o.User, o.Password.Reveal()
	settings.TLS = o.TLS
	settings.Timeout, settings.ReadTimeout, settings.WriteTimeout = connectTimeout, timeout, timeout
	settings.ParseTime, settings.Loc = true, time.UTC
	settings.InterpolateParams = true // one round trip, not two
	settings.Logger = &mysql.NopLogger{}
	if timeout > 0 {
		settings.Params = statementLimits(timeout)
	}
	return mysql.NewConnector(settings)
}

// statementLimits has the server stop a statement shortly before its client gives up, which does not stop it: an abandoned
// search would go on using the server, and a write that waits for a lock would still be done after it was answered as failed.
// MySQL limits reads (max_execution_time) and waits for locks (seconds); MariaDB limits every statement. Each executes the
// comment that is meant for it: https://mariadb.com/kb/en/comment-syntax/
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
}

// Open does not connect: a server that is away now may come back.
func Open(options Options) (*Store, error) {
	s := &Store{timeout: cmp.Or(options.Timeout, callTimeout), connections: cmp.Or(options.Connections, fewConnections)}
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

// Close ends all connections.
func (s *Store) Close() error { return s.db.Close() }

// Check asks whether the server answers and the schema is the one this program needs, or a later one.
func (s *Store) Check(ctx context.Context) error {
	version := func(r row) (found int64, err error) { return found, r.Scan(&found) }
	found, err := first(query(ctx, s, version, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied"))
	if number(err) == noSuchTable {
		return errors.New("there is no schema: run `api migrate`")
	}
	if err == nil && found < NeededVersion {
		return fmt.Errorf("the schema has version %d, this program needs %d: run `api migrate`", found, NeededVersion)
	}
	return err
}

// NeededVersion is the last of the migrations.
const NeededVersion = 19
