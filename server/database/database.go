// Package database owns the connection to either engine (a SQLite file or
// PostgreSQL), the one migration history, transactions with work before and
// after the commit, and the Clock. It knows no table; the rooms do.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	msqlite "modernc.org/sqlite"
)

// Dialect names the engine: "sqlite" or "postgres".
type Dialect string

// The engines Genba runs on.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

const (
	maxConnsSQLite   = 8 // more only queue behind SQLite's single writer
	maxConnsPostgres = 20
	busyTimeout      = 30 * time.Second
)

// DB is one open database.
type DB struct {
	// Clock is the one source of time of everything that stores.
	Clock   Clock
	Dialect Dialect

	gorm *gorm.DB
	sql  *sql.DB
	// turn holds a token while a transaction writes to SQLite, which has one
	// writer; nil on PostgreSQL. Left to itself SQLite lets writers look again
	// and again whose turn it is, and some of many never find it theirs.
	turn chan struct{}
}

// Open connects to dsn: a postgres:// URL, or the path of a SQLite file, which
// is made when it is not there. It does not migrate.
func Open(ctx context.Context, dsn string, clock Clock) (*DB, error) {
	db := &DB{Clock: clock, Dialect: SQLite}
	var dialector gorm.Dialector
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		db.Dialect = Postgres
		u, err := url.Parse(dsn)
		if err != nil {
			return nil, errors.New("database: the postgres URL cannot be read") // err would repeat the password
		}
		q := u.Query()
		q.Set("timezone", "UTC")
		u.RawQuery = q.Encode()
		dialector = postgres.Open(u.String())
	} else {
		if err := os.MkdirAll(filepath.Dir(dsn), 0o700); err != nil {
			return nil, fmt.Errorf("database folder: %w", err)
		}
		dialector = sqliteDialector{&sqlite.Dialector{DriverName: "sqlite", DSN: fmt.Sprintf(
			"file:%s?_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"+
				"&_pragma=secure_delete(1)&_txlock=immediate&_time_format=sqlite&_timezone=UTC", dsn, busyTimeout.Milliseconds())}}
	}
	g, err := gorm.Open(dialector, &gorm.Config{
		TranslateError:         true,
		SkipDefaultTransaction: true,
		PrepareStmt:            true,
		Logger:                 logger.Discard,
		NowFunc:                func() time.Time { return Instant(clock.Now()) },
	})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.gorm = g
	if db.sql, err = g.DB(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	n := maxConnsSQLite
	if db.Dialect == Postgres {
		n = maxConnsPostgres
	} else {
		db.turn = make(chan struct{}, 1)
	}
	db.sql.SetMaxOpenConns(n)
	db.sql.SetMaxIdleConns(n)
	if err := db.sql.PingContext(ctx); err != nil {
		_ = db.sql.Close()
		return nil, fmt.Errorf("reach database: %w", err)
	}
	return db, nil
}

// Close closes every connection.
func (db *DB) Close() error { return db.sql.Close() }

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.sql.PingContext(ctx) }

// SQL is the plain handle, for pragmas and maintenance.
func (db *DB) SQL() *sql.DB { return db.sql }

// Now is the clock's time as both engines store it: UTC, whole microseconds.
func (db *DB) Now() time.Time { return Instant(db.Clock.Now()) }

// Read is a handle for statements outside a write transaction. Within Snapshot
// it reads that snapshot.
func (db *DB) Read(ctx context.Context) *gorm.DB {
	if q, ok := ctx.Value(snapshotKey{db}).(*gorm.DB); ok {
		return q.WithContext(ctx)
	}
	return db.gorm.WithContext(ctx)
}

type snapshotKey struct{ *DB }

// Snapshot runs fn in a read-only transaction that sees one state throughout:
// every Read with the context that fn is given. Not for concurrent reads. Within
// a transaction it is that one.
func (db *DB) Snapshot(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, inside := ctx.Value(snapshotKey{db}).(*gorm.DB); inside {
		return fn(ctx)
	}
	return db.gorm.WithContext(ctx).Transaction(func(q *gorm.DB) error {
		return fn(context.WithValue(ctx, snapshotKey{db}, q))
	}, &sql.TxOptions{Isolation: db.snapshotLevel(), ReadOnly: true})
}

func (db *DB) snapshotLevel() sql.IsolationLevel {
	if db.Dialect == Postgres {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault // a SQLite read transaction is a snapshot already
}

// Tx is a write transaction. Now is its one instant.
type Tx struct {
	*gorm.DB
	Now time.Time

	db     *DB
	before []func() error
	after  []func()
	values map[any]any
}

// InTx runs fn in a write transaction and commits when it returns nil. Work
// given to BeforeCommit runs as the last statements, work given to AfterCommit
// only when the commit succeeded. Transactions of SQLite take turns, first come,
// first served; one must not begin inside another.
func (db *DB) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	done, err := db.write(ctx, fn)
	if err != nil {
		return err
	}
	for _, f := range done.after {
		f()
	}
	return nil
}

func (db *DB) write(ctx context.Context, fn func(tx *Tx) error) (done *Tx, err error) {
	if db.turn != nil {
		select {
		case db.turn <- struct{}{}:
			defer func() { <-db.turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	err = db.gorm.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		inside := context.WithValue(ctx, snapshotKey{db}, g)
		tx := &Tx{DB: g.WithContext(inside), Now: db.Now(), db: db, values: map[any]any{}}
		if err := fn(tx); err != nil {
			return err
		}
		for i := 0; i < len(tx.before); i++ {
			if err := tx.before[i](); err != nil {
				return err
			}
		}
		done = tx
		return nil
	})
	return done, err
}

// Context is for reads of other rooms within the transaction: they see what it
// wrote, and need no second connection while it holds one.
func (tx *Tx) Context() context.Context { return tx.Statement.Context }

// BeforeCommit adds a statement to the end of the transaction.
func (tx *Tx) BeforeCommit(f func() error) { tx.before = append(tx.before, f) }

// AfterCommit adds work that happens only once the commit has succeeded.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// Value finds what a room keeps for the length of the transaction, making it
// with build the first time.
func (tx *Tx) Value(key any, build func() any) any {
	v, ok := tx.values[key]
	if !ok {
		v = build()
		tx.values[key] = v
	}
	return v
}

// Lock reads rows for update: until the commit nobody else changes them. On
// SQLite the whole transaction already excludes other writers.
func (tx *Tx) Lock() *gorm.DB { return tx.DB.Clauses(clause.Locking{Strength: "UPDATE"}) }

// LockFree reads rows for update and passes over those that others hold.
func (tx *Tx) LockFree() *gorm.DB {
	return tx.DB.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
}

// Instant is t as both engines keep it: UTC, whole microseconds.
func Instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// sqliteDialector teaches GORM the error numbers of the pure-Go engine.
type sqliteDialector struct{ *sqlite.Dialector }

// SQLite's extended result codes for broken constraints.
const (
	constraintCheck      = 275
	constraintForeignKey = 787
	constraintPrimaryKey = 1555
	constraintUnique     = 2067
)

func (d sqliteDialector) Translate(err error) error {
	var e *msqlite.Error
	if errors.As(err, &e) {
		switch e.Code() {
		case constraintPrimaryKey, constraintUnique:
			return gorm.ErrDuplicatedKey
		case constraintForeignKey:
			return gorm.ErrForeignKeyViolated
		case constraintCheck:
			return gorm.ErrCheckConstraintViolated
		}
	}
	return err
}
