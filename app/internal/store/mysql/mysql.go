// Package mysql is the store all replicas share. MariaDB will do as well.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"slipway/app/internal/config"
	"slipway/app/internal/store"
	"slipway/app/internal/tracing"
)

// Options says where the server is and who asks.
type Options struct {
	Host     string
	Port     int
	Database string
	User     string
	Password config.Secret
}

const (
	// connectTimeout and callTimeout together keep the answer of an API without MySQL below a second.
	connectTimeout = 500 * time.Millisecond
	callTimeout    = 900 * time.Millisecond

	// Ten replicas stay below the 151 connections a server takes by default.
	mostConnections    = 14
	connectionLifetime = 3 * time.Minute // so that they move to another server some time after a failover
)

func (o Options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }

func (o Options) connector(readTimeout time.Duration) (driver.Connector, error) {
	settings := mysql.NewConfig()
	settings.Net, settings.Addr = "tcp", o.address()
	settings.DBName, settings.User, settings.Passwd = o.Database, o.User, o.Password.Reveal()
	settings.Timeout, settings.ReadTimeout, settings.WriteTimeout = connectTimeout, readTimeout, readTimeout
	settings.ParseTime, settings.Loc = true, time.UTC
	settings.InterpolateParams = true // one round trip, not two
	settings.Logger = &mysql.NopLogger{}
	return mysql.NewConnector(settings)
}

// Store implements store.Store.
type Store struct {
	db  *sql.DB
	ids store.IDs
}

// Open does not connect: a server that is away now may come back.
func Open(options Options) (*Store, error) {
	connector, err := options.connector(callTimeout)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(mostConnections)
	db.SetMaxIdleConns(mostConnections)
	db.SetConnMaxLifetime(connectionLifetime)
	return &Store{db: db}, nil
}

// Close ends all connections.
func (s *Store) Close() error { return s.db.Close() }

// transaction is what runs in one call.
type transaction = func(ctx context.Context, tx *sql.Tx) error

// call runs one transaction within callTimeout, again if it lost a deadlock, and translates the error. It reads what is
// committed at each statement, so that what is counted under a lock is counted exactly.
func (s *Store) call(ctx context.Context, do transaction) (err error) {
	ctx, end := tracing.Call(ctx, "mysql", "transaction")
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	const attempts = 5
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, do)
		if attempt == attempts || number(err) != deadlock {
			return translate(err)
		}
	}
}

func (s *Store) attempt(ctx context.Context, do transaction) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := do(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// query runs one statement that needs no transaction.
func query[T any](ctx context.Context, s *Store, scan func(row) (T, error), statement string, args ...any) (found []T, err error) {
	ctx, end := tracing.Call(ctx, "mysql", statement)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	rows, err := s.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		each, err := scan(rows)
		if err != nil {
			return nil, translate(err)
		}
		found = append(found, each)
	}
	return found, translate(rows.Err())
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

func (s *Store) exec(ctx context.Context, statement string, args ...any) (err error) {
	ctx, end := tracing.Call(ctx, "mysql", statement)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = s.db.ExecContext(ctx, statement, args...)
	return translate(err)
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

// Numbers of errors, from https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
const (
	duplicate   = 1062
	deadlock    = 1213
	noParent    = 1452
	noSuchTable = 1146
)

// These say that the server is there and cannot be used now, whatever was asked.
var unusable = map[uint16]bool{
	1040: true, // too many connections
	1044: true, // access to the database denied
	1045: true, // access denied
	1049: true, // unknown database
	1053: true, // shutdown in progress
	1205: true, // waited too long for a lock
	1213: true, // deadlock, too often
	1290: true, // read only, as the old primary is after a failover

	noSuchTable: true, // not migrated yet, or restored just now
}

func number(err error) uint16 {
	var answered *mysql.MySQLError
	if errors.As(err, &answered) {
		return answered.Number
	}
	return 0
}

// unreachable says that the server did not answer at all.
func unreachable(err error) bool {
	return err != nil && number(err) == 0 && !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, context.Canceled)
}

func translate(err error) error {
	switch code := number(err); {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrNotYours), errors.Is(err, store.ErrInUse):
		return err
	case errors.Is(err, sql.ErrNoRows), code == noParent:
		return store.ErrNotFound
	case code == duplicate:
		return store.ErrTaken
	case unusable[code], unreachable(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

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
const NeededVersion = 7
