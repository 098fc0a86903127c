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

// Error numbers, from https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
const (
	duplicate   = 1062
	lockTimeout = 1205
	deadlock    = 1213
	noParent    = 1452
	noSuchTable = 1146
)

// readOnly holds errors of a server that is not the primary, or not yet. Nothing was written.
var readOnly = map[uint16]bool{
	1047: true, // Galera node without a connection to its cluster
	1290: true, // --read-only
	1792: true, // read-only transaction
	1836: true, // read-only mode
}

// unusable holds errors of the statement classes that mean that the server cannot be used in its current state.
var unusable = map[uint16]bool{
	1044: true, // access to the database denied
	1049: true, // unknown database
	1142: true, // statement denied

	noSuchTable: true, // not migrated yet, or just being restored
}

// interrupted holds errors that end one statement, and mean nothing about the server.
var interrupted = map[uint16]bool{
	lockTimeout: true,
	deadlock:    true,
	1317:        true, // killed
	1969:        true, // max_statement_time of MariaDB
	3024:        true, // max_execution_time of MySQL
}

// statementClasses are the classes of SQLSTATE for an error in the statement or its data. All other classes, including
// unknown ones, are about the server.
var statementClasses = map[string]bool{
	"21": true, // wrong number of columns or rows
	"22": true, // data
	"23": true, // constraint
	"42": true, // syntax, names, rights
}

// serverError returns the error that the server sent, or an empty one.
func serverError(err error) *mysql.MySQLError {
	var sent *mysql.MySQLError
	if errors.As(err, &sent) {
		return sent
	}
	return &mysql.MySQLError{}
}

// number returns the number of the error that the server sent, or 0.
func number(err error) uint16 { return serverError(err).Number }

// isServerError reports whether the server responded that it cannot execute any statement now.
func isServerError(err error) bool {
	sent := serverError(err)
	return sent.Number != 0 && !interrupted[sent.Number] && !statementClasses[string(sent.SQLState[:2])]
}

// serverUnusable reports whether this connection, and all others to the same server, should be closed.
func serverUnusable(err error) bool { return isServerError(err) || unreachable(err) }

// unreachable reports whether the server did not respond at all.
func unreachable(err error) bool {
	return err != nil && number(err) == 0 && !errors.Is(err, sql.ErrNoRows) && !errors.Is(err, context.Canceled) &&
		!isStoreError(err)
}

// isStoreError reports whether the store itself refused the call, after MySQL responded.
func isStoreError(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNotOwner) || errors.Is(err, store.ErrInUse) ||
		errors.Is(err, store.ErrKeyInUse) || errors.Is(err, errKeyExists)
}

// hadNoEffect reports whether a failed call certainly had no effect and may be repeated: a deadlock rolls the transaction
// back, a server that is not the primary writes nothing, and ErrBadConn means that the statement was not sent.
func hadNoEffect(err error, attempt int) bool {
	const deadlocks, failovers = 5, 2
	if number(err) == deadlock {
		return attempt < deadlocks
	}
	return attempt < failovers && (readOnly[number(err)] || errors.Is(err, driver.ErrBadConn))
}

// canRepeatRead reports whether a failed read may be repeated, even if the server may have executed it.
func canRepeatRead(err error, attempt int) bool {
	return hadNoEffect(err, attempt) || attempt < 2 && unreachable(err)
}

// translate returns the error of package store that corresponds to an error of MySQL.
func translate(err error) error {
	switch code := number(err); {
	case err == nil, isStoreError(err):
		return err
	case errors.Is(err, sql.ErrNoRows), code == noParent:
		return store.ErrNotFound
	case code == duplicate:
		return store.ErrTaken
	case unusable[code], interrupted[code], isServerError(err), unreachable(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}
