package database

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"testing/fstest"
	"text/template"

	"github.com/pressly/goose/v3"

	"genba/migrations"
)

var columnTypes = map[Dialect]map[string]string{
	Postgres: {
		"dialect": "postgres", "uuid": "uuid", "bytes": "bytea", "ts": "timestamptz", "bool": "boolean",
		"float": "double precision", "big": "bigint",
	},
	SQLite: {
		"dialect": "sqlite", "uuid": "text", "bytes": "blob", "ts": "datetime", "bool": "boolean",
		"float": "real", "big": "integer",
	},
}

// Migrate brings the tables to the newest step. It is safe to repeat, and only
// goes forward.
func (db *DB) Migrate(ctx context.Context) error {
	rendered := fstest.MapFS{}
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read migration %s: %w", name, err)
		}
		t, err := template.New(name).Option("missingkey=error").Parse(string(text))
		if err != nil {
			return fmt.Errorf("read migration %s: %w", name, err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, columnTypes[db.Dialect]); err != nil {
			return fmt.Errorf("render migration %s: %w", name, err)
		}
		rendered[name] = &fstest.MapFile{Data: b.Bytes()}
	}
	dialect := goose.DialectSQLite3
	if db.Dialect == Postgres {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, db.sql, rendered)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
