package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"genba/policy"
	"genba/server/identity"
	"genba/server/problem"
)

// terminal is what the operator does with an agency's terminals: the first one
// has no manager's page to be enrolled from.
func (c console) terminal(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(strings.TrimSuffix(usage, "\n"))
	}
	var agency, kind, number, place, reason string
	flags := func(f *flag.FlagSet) {
		f.StringVar(&agency, "agency", "", "the agency's code; may be left out where there is one")
		f.StringVar(&number, "number", "", "what stands on the terminal's label")
		switch args[0] {
		case "enrol":
			f.StringVar(&kind, "kind", string(policy.Admin), "TABLET, NOTEBOOK or ADMIN")
			f.StringVar(&place, "place", "", "where it stands")
		case "revoke":
			f.StringVar(&reason, "reason", "revoked by the operator", "why")
		}
	}
	var do func(ctx context.Context, a *App, found *identity.Agency) error
	switch args[0] {
	case "enrol":
		do = func(ctx context.Context, a *App, found *identity.Agency) error {
			code, until, err := a.People.IssueTerminalCode(ctx, policy.SystemActor(), found.ID, identity.NewTerminal{Kind: policy.Desk(kind), Number: number, Place: place})
			if err != nil {
				return err
			}
			c.say("%s %s of %s\nenrolment code, shown this once: %s\nenter it at /console on the terminal until %s\n", kind, number, found.NameJa, code, until.Format(time.RFC3339))
			return nil
		}
	case "list":
		do = c.listTerminals
	case "revoke":
		do = func(ctx context.Context, a *App, found *identity.Agency) error {
			all, err := a.People.Terminals(ctx, found.ID)
			if err != nil {
				return err
			}
			for _, t := range all {
				if t.Number != number || t.State == identity.TerminalRevoked {
					continue
				}
				actor := policy.SystemActor()
				actor.Agency = found.ID
				_, err := a.People.RevokeTerminal(ctx, actor, t.ID, reason)
				if err == nil {
					c.say("%s %s is revoked for good\n", t.Kind, t.Number)
				}
				return err
			}
			return problem.New(problem.NotFound)
		}
	default:
		return errors.New(strings.TrimSuffix(usage, "\n"))
	}
	return c.with(ctx, args[1:], flags, func(ctx context.Context, a *App) error {
		found, err := a.People.AgencyByCode(ctx, agency)
		if err != nil {
			return fmt.Errorf("agency: %w", err)
		}
		if err := do(ctx, a, found); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		return nil
	})
}

func (c console) listTerminals(ctx context.Context, a *App, found *identity.Agency) error {
	all, err := a.People.Terminals(ctx, found.ID)
	if err != nil {
		return err
	}
	for _, t := range all {
		seen := t.SeenAt.UTC().Format(time.RFC3339)
		if t.Online {
			seen += " online"
		}
		c.say("%-9s %-9s %-12s seen %s  %s  %s\n", t.State, t.Kind, t.Number, seen, t.ID, t.Place)
	}
	c.say("%d terminals of %s\n", len(all), found.NameJa)
	return nil
}

// reception is how the operator gives a manager the dispatcher's rights, where
// another rule provides so and there is no other manager (第5の2).
func (c console) reception(ctx context.Context, args []string) error {
	var agency, user, number, date, until string
	var end bool
	flags := func(f *flag.FlagSet) {
		f.StringVar(&agency, "agency", "", "the agency's code; may be left out where there is one")
		f.StringVar(&user, "user-name", "", "the manager")
		f.StringVar(&number, "rule-number", "", "the number of the rule that provides for it")
		f.StringVar(&date, "rule-date", "", "that rule's date, YYYY-MM-DD")
		f.StringVar(&until, "until", "", "when it ends, as 2027-03-31T00:00:00+09:00")
		f.BoolVar(&end, "end", false, "end what was given")
	}
	return c.with(ctx, args, flags, func(ctx context.Context, a *App) error {
		found, err := a.People.AgencyByCode(ctx, agency)
		if err != nil {
			return fmt.Errorf("agency: %w", err)
		}
		u, err := a.People.UserByName(ctx, found.ID, user)
		if err != nil {
			return fmt.Errorf("user: %w", err)
		}
		if end {
			return c.endReception(ctx, a, found, u)
		}
		at, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return fmt.Errorf("until: %w", err)
		}
		g, err := a.People.GrantReception(ctx, policy.SystemActor(), found.ID, identity.NewReception{UserID: u.ID, RuleNumber: number, RuleDate: date, Until: at})
		if err != nil {
			return fmt.Errorf("reception: %w", err)
		}
		c.say("%s receives by %s of %s until %s\n", u.UserName, g.RuleNumber, g.RuleDate, g.UntilAt.Format(time.RFC3339))
		return nil
	})
}

func (c console) endReception(ctx context.Context, a *App, found *identity.Agency, u *identity.User) error {
	all, err := a.People.Receptions(ctx, found.ID)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.UserID == u.ID && g.EndedAt == nil {
			_, err := a.People.EndReception(ctx, policy.SystemActor(), found.ID, g.ID)
			if err == nil {
				c.say("%s receives no more\n", u.UserName)
			}
			return err
		}
	}
	return problem.New(problem.NotFound)
}
