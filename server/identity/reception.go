package identity

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// ReceptionGrant is a manager's right to receive like a dispatcher, where
// another rule provides so (第5の2): it names that rule, was given by somebody
// else, and ends.
type ReceptionGrant struct {
	ID       string
	AgencyID string
	UserID   string
	// RuleNumber and RuleDate are the other rule's.
	RuleNumber string
	RuleDate   string
	// GivenBy is the other manager, or empty: the operator.
	GivenBy string
	GivenAt time.Time
	UntilAt time.Time
	EndedAt *time.Time
}

// TableName is the table of grants.
func (ReceptionGrant) TableName() string { return "receptions" }

// Bounds of grants.
const (
	maxRuleNumber = 100
	maxReception  = 366 * 24 * time.Hour
	maxReceptions = 200 // shown
	endBatch      = 100
)

var ruleDateForm = regexp.MustCompile(`^[12][0-9]{3}-[01][0-9]-[0-3][0-9]$`)

// NewReception describes a grant to give.
type NewReception struct {
	UserID, RuleNumber, RuleDate string
	Until                        time.Time
}

// GrantReception gives a manager the dispatcher's rights until a day
// (第5の2 別に定めがある場合). Nobody gives them to themselves (SELF_GIVEN); to
// somebody who is no active manager of the agency they are not given
// (BAD_INPUT), nor twice (ALREADY_EXISTS).
func (i *Identity) GrantReception(ctx context.Context, actor policy.Actor, agency string, in NewReception) (*ReceptionGrant, error) {
	in.RuleNumber = strings.TrimSpace(in.RuleNumber)
	day, err := time.Parse(time.DateOnly, in.RuleDate)
	now := i.db.Now()
	in.Until = database.Instant(in.Until)
	switch {
	case actor.ID == in.UserID:
		return nil, problem.New(problem.SelfGiven)
	case in.RuleNumber == "", !cleanText(in.RuleNumber, maxRuleNumber), err != nil, !ruleDateForm.MatchString(in.RuleDate), day.After(now.Add(24 * time.Hour)),
		!in.Until.After(now), in.Until.Sub(now) > maxReception:
		return nil, problem.New(problem.BadInput)
	}
	g := &ReceptionGrant{ID: NewID(), AgencyID: agency, UserID: in.UserID, RuleNumber: in.RuleNumber, RuleDate: in.RuleDate, GivenBy: actor.ID, GivenAt: now, UntilAt: in.Until}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		var u User
		if err := tx.Lock().Take(&u, "id = ? AND agency_id = ?", in.UserID, agency).Error; err != nil {
			return notFound(err)
		}
		if u.Role != policy.Manager || u.Status != Active {
			return problem.New(problem.BadInput)
		}
		var open int64
		if err := tx.Model(&ReceptionGrant{}).Where("user_id = ? AND ended_at IS NULL AND until_at > ?", u.ID, tx.Now).Count(&open).Error; err != nil {
			return err
		}
		if open > 0 {
			return problem.New(problem.AlreadyExists)
		}
		i.journal.Append(tx, g.entry(actor, journal.ReceptionGranted, map[string]any{"user": u.ID, "ruleNumber": g.RuleNumber, "ruleDate": g.RuleDate, "until": g.UntilAt}))
		return tx.Create(g).Error
	})
	if err != nil {
		return nil, fmt.Errorf("grant reception: %w", err)
	}
	return g, nil
}

func (g *ReceptionGrant) entry(actor policy.Actor, what journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: g.AgencyID, Actor: actor, Type: what, Subject: journal.Subject{Kind: policy.Reception, ID: g.ID}, Payload: payload}
}

// EndReception ends a grant at once; what is watched under it is cut. Ending an
// ended one answers it as it is. NOT_FOUND.
func (i *Identity) EndReception(ctx context.Context, actor policy.Actor, agency, id string) (*ReceptionGrant, error) {
	var g ReceptionGrant
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		g = ReceptionGrant{}
		if err := tx.Lock().Take(&g, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
			return notFound(err)
		}
		if g.EndedAt != nil {
			return nil
		}
		return i.endReception(tx, actor, &g)
	})
	if err != nil {
		return nil, fmt.Errorf("end reception: %w", err)
	}
	return &g, nil
}

func (i *Identity) endReception(tx *database.Tx, actor policy.Actor, g *ReceptionGrant) error {
	g.EndedAt = &tx.Now
	if err := tx.Model(g).Update("ended_at", tx.Now).Error; err != nil {
		return err
	}
	var logins []string
	if err := tx.Model(&Login{}).Where("user_id = ? AND ended_at IS NULL", g.UserID).Pluck("id", &logins).Error; err != nil {
		return err
	}
	i.cutAfter(tx, logins)
	i.journal.Append(tx, g.entry(actor, journal.ReceptionEnded, map[string]any{"user": g.UserID}))
	return nil
}

// EndReceptions ends the grants whose day has come. Call it every second; the
// rights themselves end with the day, whether it was called or not.
func (i *Identity) EndReceptions(ctx context.Context) error {
	var due []ReceptionGrant
	if err := i.db.Read(ctx).Limit(endBatch).Find(&due, "ended_at IS NULL AND until_at <= ?", i.db.Now()).Error; err != nil {
		return fmt.Errorf("find receptions that end: %w", err)
	}
	for _, g := range due {
		if _, err := i.EndReception(ctx, policy.SystemActor(), g.AgencyID, g.ID); err != nil {
			return err
		}
	}
	return nil
}

// Receptions reads an agency's grants, the newest first.
func (i *Identity) Receptions(ctx context.Context, agency string) ([]*ReceptionGrant, error) {
	var all []*ReceptionGrant
	if err := i.db.Read(ctx).Where("agency_id = ?", agency).Order("id DESC").Limit(maxReceptions).Find(&all).Error; err != nil {
		return nil, fmt.Errorf("list receptions: %w", err)
	}
	return all, nil
}

// grantOf is what a user may beyond their role now.
func (i *Identity) grantOf(ctx context.Context, user string) (policy.Grant, error) {
	var open int64
	if err := i.db.Read(ctx).Model(&ReceptionGrant{}).Where("user_id = ? AND ended_at IS NULL AND until_at > ?", user, i.db.Now()).Count(&open).Error; err != nil {
		return "", fmt.Errorf("read grant: %w", err)
	}
	if open > 0 {
		return policy.ReceptionGrant, nil
	}
	return "", nil
}
