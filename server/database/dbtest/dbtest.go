// Package dbtest gives each test a fresh, migrated database of each engine and
// a clock that the test moves.
package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver that makes and drops test databases
	"github.com/stretchr/testify/require"

	"genba/server/database"
)

// PostgresEnv names the environment variable with the postgres:// URL of a
// server on which tests may create databases. `make test` starts one and sets it.
const PostgresEnv = "GENBA_TEST_POSTGRES"

// Start is the moment at which a test's clock begins: noon in Tokyo.
var Start = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

// Each runs fn once on SQLite and once on PostgreSQL, each on a database of its
// own with a Clock at Start. A missing PostgreSQL is a failure.
func Each(t *testing.T, fn func(t *testing.T, db *database.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); fn(t, Open(t, SQLiteDSN(t))) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); fn(t, Open(t, PostgresDSN(t))) })
}

// Open connects to dsn with a Clock at Start and migrates.
func Open(t testing.TB, dsn string) *database.DB {
	t.Helper()
	db, err := database.Open(context.Background(), dsn, NewClock())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(context.Background()))
	return db
}

// SQLiteDSN names a new SQLite file in the test's folder.
func SQLiteDSN(t testing.TB) string { return filepath.Join(t.TempDir(), "genba.db") }

// PostgresDSN makes an empty PostgreSQL database and drops it with the test.
func PostgresDSN(t testing.TB) string {
	t.Helper()
	base := os.Getenv(PostgresEnv)
	require.NotEmpty(t, base, "%s names no PostgreSQL: run `make test`, or scripts/postgres.sh", PostgresEnv)
	u, err := url.Parse(base)
	require.NoError(t, err)
	name := "genba_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	admin, err := sql.Open("pgx", base)
	require.NoError(t, err)
	_, err = admin.ExecContext(context.Background(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.Background(), fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name))
		require.NoError(t, err)
		require.NoError(t, admin.Close())
	})
	u.Path = "/" + name
	return u.String()
}

// Clock is a clock that stands still until the test moves it.
type Clock struct {
	mu           sync.Mutex
	wall         time.Time
	boot         time.Duration
	bootID       string
	synchronised bool
}

// NewClock starts at Start, one hour after a boot.
func NewClock() *Clock { return &Clock{wall: Start, boot: time.Hour, bootID: "boot-1"} }

// ClockOf is the movable clock behind a test's database.
func ClockOf(db *database.DB) *Clock { return db.Clock.(*Clock) }

// Now is the wall clock.
func (c *Clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.wall }

// Boot is the boot clock.
func (c *Clock) Boot() (string, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bootID, c.boot
}

// Synchronised is what the test said last; false at first.
func (c *Clock) Synchronised() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.synchronised }

// Advance lets time pass: wall and boot clock together.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.boot = c.wall.Add(d), c.boot+d
}

// SetWall steps the wall clock alone, as somebody who sets it wrong does.
func (c *Clock) SetWall(t time.Time) { c.mu.Lock(); defer c.mu.Unlock(); c.wall = t }

// Reboot starts a new boot; down is how long the machine was off.
func (c *Clock) Reboot(down time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bootID, c.boot, c.wall = uuid.NewString(), time.Second, c.wall.Add(down)
}

// SetSynchronised sets what the kernel says of the wall clock.
func (c *Clock) SetSynchronised(yes bool) { c.mu.Lock(); defer c.mu.Unlock(); c.synchronised = yes }
