package database_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
		require.NoError(t, db.Read(ctx).Model(&agency{}).Count(&n).Error)
		require.EqualValues(t, 2, n)

		require.ErrorIs(t, db.InTx(ctx, func(tx *database.Tx) error { return tx.Create(row("4", "a")).Error }), gorm.ErrDuplicatedKey)

		var back agency
		require.NoError(t, db.Read(ctx).Take(&back, "code = ?", "a").Error)
		require.True(t, back.CreatedAt.Equal(db.Now()), "times come back as stored")

		require.NoError(t, db.Snapshot(ctx, func(ctx context.Context) error { return db.Read(ctx).Model(&agency{}).Count(&n).Error }))
		require.EqualValues(t, 2, n)
	})
}
