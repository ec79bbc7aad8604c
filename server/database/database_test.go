package database_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"genba/server/database"
	"genba/server/database/dbtest"
)

type agency struct {
	ID, Code, NameJa, NameEn, Settings string
	CreatedAt                          time.Time
}

func TestDatabase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		row := func(id, code string) *agency {
			return &agency{ID: "00000000-0000-7000-8000-00000000000" + id, Code: code, Settings: "{}", CreatedAt: db.Now()}
		}
		require.NoError(t, db.Migrate(ctx), "migrating twice changes nothing")

		var order []string
		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
			tx.AfterCommit(func() { order = append(order, "after") })
			tx.BeforeCommit(func() error { order = append(order, "before"); return tx.Create(row("2", "b")).Error })
			order = append(order, "body")
			return tx.Create(row("1", "a")).Error
		}))
		require.Equal(t, []string{"body", "before", "after"}, order)

		failed := errors.New("refused")
		require.ErrorIs(t, db.InTx(ctx, func(tx *database.Tx) error {
			tx.AfterCommit(func() { t.Error("rolled back, yet work after the commit ran") })
			tx.BeforeCommit(func() error { return failed })
			return tx.Create(row("3", "c")).Error
		}), failed)

		var n int64
		require.NoError(t, db.Read(ctx).Model(&agency{}).Where("code IN ?", []string{"a", "b", "c"}).Count(&n).Error) // the operators' stands there, too
		require.EqualValues(t, 2, n)

		require.ErrorIs(t, db.InTx(ctx, func(tx *database.Tx) error { return tx.Create(row("4", "a")).Error }), gorm.ErrDuplicatedKey)

		var back agency
		require.NoError(t, db.Read(ctx).Take(&back, "code = ?", "a").Error)
		require.True(t, back.CreatedAt.Equal(db.Now()), "times come back as stored")

		require.NoError(t, db.Snapshot(ctx, func(ctx context.Context) error {
			return db.Read(ctx).Model(&agency{}).Where("code IN ?", []string{"a", "b", "c"}).Count(&n).Error
		}))
		require.EqualValues(t, 2, n)
	})
}

func TestWritersTakeTurns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		const writers, writes = 40, 10
		require.NoError(t, db.InTx(t.Context(), func(tx *database.Tx) error {
			return tx.Create(&agency{ID: "00000000-0000-7000-8000-000000000001", Code: "a", Settings: "{}", CreatedAt: db.Now()}).Error
		}))
		var all errgroup.Group
		for range writers {
			all.Go(func() error {
				for range writes {
					err := db.InTx(t.Context(), func(tx *database.Tx) error {
						var a agency
						if err := tx.Lock().Take(&a, "code = ?", "a").Error; err != nil {
							return err
						}
						return tx.Model(&a).Update("name_ja", a.NameJa+"x").Error
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, all.Wait())
		var a agency
		require.NoError(t, db.Read(t.Context()).Take(&a, "code = ?", "a").Error)
		require.Len(t, a.NameJa, writers*writes, "no write is lost")
	})
}

func TestWaitingForATurnEndsWithItsContext(t *testing.T) {
	db := dbtest.Open(t, dbtest.SQLiteDSN(t))
	require.NoError(t, db.InTx(t.Context(), func(*database.Tx) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, db.InTx(ctx, func(*database.Tx) error { return nil }), context.Canceled)
		return nil
	}))
}
