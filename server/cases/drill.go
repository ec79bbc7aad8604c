package cases

import (
	"context"
	"fmt"

	"genba/policy"
	"genba/server/database"
)

// IsDrill tells whether a video report belongs to a drill (第11): its pages and
// messages say so, and it is in no statistics.
func (c *Cases) IsDrill(ctx context.Context, s *Session) (bool, error) {
	var drill []bool
	if err := c.db.Read(ctx).Model(&Case{}).Where("id = ?", s.CaseID).Pluck("drill", &drill).Error; err != nil {
		return false, fmt.Errorf("read case: %w", err)
	}
	return len(drill) > 0 && drill[0], nil
}

// GuardDrills adds who says where messages of a drill may go.
func (c *Cases) GuardDrills(f func(tx *database.Tx, k *Case, number, email string) error) {
	c.drillGuards = append(c.drillGuards, f)
}

// guardDrill refuses a destination that is not for drills.
func (c *Cases) guardDrill(tx *database.Tx, caseID string, s *Session) error {
	var k Case
	if err := tx.Take(&k, "id = ?", caseID).Error; err != nil {
		return notFound(err)
	}
	if !k.Drill {
		return nil
	}
	for _, guard := range c.drillGuards {
		if err := guard(tx, &k, s.Number, s.Email); err != nil {
			return err
		}
	}
	return nil
}

// OnReal adds what must happen, in the same transaction, when somebody turns to a
// real case: a drill gives way.
func (c *Cases) OnReal(f func(tx *database.Tx, actor policy.Actor) error) { c.real = append(c.real, f) }

func (c *Cases) turned(tx *database.Tx, actor policy.Actor, k *Case) error {
	if k.Drill || actor.Kind != policy.User {
		return nil
	}
	for _, f := range c.real {
		if err := f(tx, actor); err != nil {
			return err
		}
	}
	return nil
}

// AgencyOf is the agency of a video report, for what the house itself notices.
func (c *Cases) AgencyOf(ctx context.Context, sessionID string) (string, error) {
	var s Session
	if err := c.db.Read(ctx).Select("agency_id").Take(&s, "id = ?", sessionID).Error; err != nil {
		return "", notFound(err)
	}
	return s.AgencyID, nil
}
