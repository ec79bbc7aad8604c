// Package migrations holds the one history of the tables, for both engines:
// numbered SQL templates, forward only, each in one transaction.
package migrations

import "embed"

// Files are the migrations by name. {{.uuid}}, {{.bytes}}, {{.ts}}, {{.bool}},
// {{.float}}, {{.big}} stand for the engine's column types, {{.dialect}} for its
// name.
//
//go:embed *.sql
var Files embed.FS
