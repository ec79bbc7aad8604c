package cases

import (
	"context"
	"fmt"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// CodeExpiresAt is when the link's access code runs out; nil where none applies.
func (l *Link) CodeExpiresAt() *time.Time {
	if l.State != LinkLive || l.CodeSealed == nil {
		return nil
	}
	at := l.codeSince().Add(codeLife)
	return &at
}

// CodeTriesLeft is how many wrong codes the link still forgives.
func (l *Link) CodeTriesLeft() int { return max(maxCodeTries-l.CodeTries, 0) }

func (l *Link) codeSince() time.Time {
	if l.CodeIssuedAt != nil {
		return *l.CodeIssuedAt
	}
	return l.IssuedAt
}

// RenewCode makes a new access code for the session's link, good for ten
// minutes; the one before is no longer right. Tries are not given back: five
// wrong codes end the link, whatever the code was. SESSION_NOT_OPEN where no
// code applies or the link is dead.
func (c *Cases) RenewCode(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		var found []Link
		if err := tx.Lock().Where("session_id = ? AND state = ? AND code_sealed IS NOT NULL", s.ID, LinkLive).Limit(1).Find(&found).Error; err != nil {
			return fmt.Errorf("renew code: %w", err)
		}
		if len(found) == 0 {
			return problem.New(problem.SessionNotOpen)
		}
		key, err := c.keys.Get(linkKey(found[0].ID))
		if err != nil {
			return fmt.Errorf("renew code: %w", err)
		}
		sealed, err := key.Seal([]byte(newCode()))
		if err != nil {
			return fmt.Errorf("renew code: %w", err)
		}
		if err := tx.Model(&found[0]).Updates(map[string]any{"code_sealed": sealed, "code_issued_at": tx.Now}).Error; err != nil {
			return fmt.Errorf("renew code: %w", err)
		}
		c.journal.Append(tx, s.entry(actor, journal.CodeRenewed, map[string]any{"link": found[0].ID}))
		return c.save(tx, s)
	})
}
