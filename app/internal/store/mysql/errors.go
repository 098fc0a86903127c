package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"slipway/app/internal/store"
)

// Numbers of errors, from https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
const (
	duplicate   = 1062
	lockTimeout = 1205
	deadlock    = 1213
	noParent    = 1452
	noSuchTable = 1146
)

// These say that nothing was written, as the server is no primary, or none yet.
var readOnly = map[uint16]bool{
	1047: true, // node of a Galera cluster that is not part of it
	1290: true, // --read-only
	1792: true, // read-only transaction
	1836: true, // read-only mode
}

// These are of a class that says that the statement is wrong; but they come when the server cannot be used as it is now.
var unusable = map[uint16]bool{
	1044: true, // access to the database denied
	1049: true, // unknown database
	1142: true, // statement denied

	noSuchTable: true, // not migrated yet, or restored just now
}

// These end one statement and say nothing about the server.
var interrupted = map[uint16]bool{
	lockTimeout: true,
	deadlock:    true,
	1317:        true, // killed
	1969:        true, // max_statement_time of MariaDB
	3024:        true, // max_execution_time of MySQL
}

// statementClasses are the classes of SQLSTATE that say that the statement or its data is wrong. All others, and all words
// of a server that we have never heard, are about the server.
var statementClasses = map[string]bool{
	"21": true, // wrong number of columns or rows
	"22": true, // data
	"23": true, // constraint
	"42": true, // syntax, names, rights
}

func answer(err error) *mysql.MySQLError {
	var answered *mysql.MySQLError
	if errors.As(err, &answered) {
		return answered
	}
	return &mysql.MySQLError{}
}

func number(err error) uint16 { return answer(err).Number }

// ofServer says that the server answered and cannot do its work now, whatever it was asked.
func ofServer(err error) bool {
	answered := answer(err)
	return answered.Number != 0 && !interrupted[answered.Number] && !statementClasses[string(answered.SQLState[:2])]
}

// leavesServer says that the connection, and all others to the same server, are of no use any more.
func leavesServer(err error) bool { return ofServer(err) || unreachable(err) }

// unreachable says that the server did not answer at all.
func unreachable(err error) bool {
	return err != nil && number(err) == 0 && !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, context.Canceled) &&
		!ofStore(err)
}

// ofStore says that the store itself refuses the call: MySQL has answered.
func ofStore(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNotYours) || errors.Is(err, store.ErrInUse) ||
		errors.Is(err, store.ErrKeyInUse) || errors.Is(err, errKeyKnown)
}

// notDone allows to repeat what has surely left nothing behind: a deadlock takes back the whole transaction, a server that
// is no primary writes nothing, and ErrBadConn is of a statement that was not sent.
func notDone(err error, attempt int) bool {
	const deadlocks, failovers = 5, 2
	if number(err) == deadlock {
		return attempt < deadlocks
	}
	return attempt < failovers && (readOnly[number(err)] || errors.Is(err, driver.ErrBadConn))
}

// repeatableRead allows to repeat also what may have been done: a read is the same twice.
func repeatableRead(err error, attempt int) bool {
	return notDone(err, attempt) || attempt < 2 && unreachable(err)
}

func translate(err error) error {
	switch code := number(err); {
	case err == nil, ofStore(err):
		return err
	case errors.Is(err, sql.ErrNoRows), code == noParent:
		return store.ErrNotFound
	case code == duplicate:
		return store.ErrTaken
	case unusable[code], interrupted[code], ofServer(err), unreachable(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}
