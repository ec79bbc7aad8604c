package app

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"genba/policy"
	"genba/server/database"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/problem"
)

const usage = `usage: genba COMMAND [FLAGS]

  serve            run the server
  migrate          bring the database to the newest step, and end
  user create      register a person who signs in, and the agency where it is new
  user create --role OPERATOR
                   register somebody who runs the installation: counts, health, and
                   the national police's pauses, nothing of an agency
  user remove-operator
                   end an operator's account
  user reception   give a manager the dispatcher's rights, by another rule (第5の2)
  terminal enrol   show a code by which a browser becomes a terminal
  terminal list    show the terminals and how they stand
  terminal revoke  end a terminal for good
  purge            show what is due and purge it
  verify           check the journal, the sealed files and the positions; with
                   --checkpoint, against what was kept elsewhere; with --archive,
                   an exported archive alone
  checkpoint       sign where the journals stand and show it; --key shows the key
  export           write the archive of an approved request, under the grant of
                   the person it was permitted to

genba COMMAND -h lists the flags. Each is also GENBA_ and its name in capitals,
and a line of the file that --config names.
`

// PreviewWorker decodes one picture from in to out where the arguments ask for
// it, and tells whether they did: evidence starts this very binary for that, in
// a process of its own.
func PreviewWorker(args []string, in io.Reader, out io.Writer) (was bool, err error) {
	if len(args) != 1 || args[0] != evidence.PreviewArgument {
		return false, nil
	}
	return true, evidence.PreviewMain(in, out)
}

// console is what a command writes to and reads its environment from.
type console struct {
	out, errors io.Writer
	environment []string
	log         *slog.Logger
}

// Command runs one command of the genba binary until it is done or the context
// ends. flag.ErrHelp means that help was asked for and written.
func Command(ctx context.Context, args, environment []string, out, errs io.Writer, log *slog.Logger) error {
	c := console{out, errs, environment, log}
	command, rest := "", args
	if len(args) > 0 {
		command, rest = args[0], args[1:]
	}
	switch command {
	case "serve":
		return c.serve(ctx, rest)
	case "migrate":
		return c.with(ctx, rest, nil, func(context.Context, *App) error { return nil })
	case "user":
		if len(rest) > 0 && rest[0] == "create" {
			return c.createUser(ctx, rest[1:])
		}
		if len(rest) > 0 && rest[0] == "remove-operator" {
			return c.removeOperator(ctx, rest[1:])
		}
		if len(rest) > 0 && rest[0] == "reception" {
			return c.reception(ctx, rest[1:])
		}
	case "terminal":
		return c.terminal(ctx, rest)
	case "purge":
		return c.with(ctx, rest, nil, c.purge)
	case "verify":
		return c.verifyCommand(ctx, rest)
	case "checkpoint":
		return c.checkpointCommand(ctx, rest)
	case "export":
		return c.exportCommand(ctx, rest)
	case "help", "-h", "--help":
		c.say("%s", usage)
		return nil
	}
	return errors.New(strings.TrimSuffix(usage, "\n"))
}

// say writes to the person at the terminal, who may have left.
func (c console) say(format string, v ...any) { _, _ = fmt.Fprintf(c.out, format, v...) }

func (c console) load(args []string, more func(*flag.FlagSet)) (Config, error) {
	var extra []func(*flag.FlagSet)
	if more != nil {
		extra = append(extra, more)
	}
	config, left, err := LoadConfig(args, c.environment, c.errors, extra...)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("what is %q?", left[0])
	}
	return config, err
}

func (c console) serve(ctx context.Context, args []string) error {
	config, err := c.load(args, nil)
	if err != nil {
		return err
	}
	a, err := New(ctx, config, database.SystemClock{}, c.log)
	if err != nil {
		return err
	}
	c.say("Genba is ready at %s\n", a.URL())
	if d := a.Demo(); d != nil {
		c.say("  console  %s/console\n  messages %s/outbox\n", a.URL(), a.URL())
		if d.Made {
			c.say("Sign-ins, shown this once (also in demo.json in the data folder):\n")
			for _, u := range d.Users {
				c.say("  %-11s %-11s %s\n", u.Role, u.UserName, u.Password)
			}
			if o := d.Operator; o != nil {
				c.say("  %-11s %-11s %s (agency code %s)\n", o.Role, o.UserName, o.Password, o.Agency)
			}
		}
	}
	return a.Run(ctx)
}

// with opens the rooms for a command that serves nothing.
func (c console) with(ctx context.Context, args []string, more func(*flag.FlagSet), do func(context.Context, *App) error) error {
	config, err := c.load(args, more)
	if err != nil {
		return err
	}
	a, err := Open(ctx, config, database.SystemClock{}, c.log)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, a), a.Close())
}

func (c console) createUser(ctx context.Context, args []string) error {
	var agency, nameJa, nameEn, role, user, display, reason string
	flags := func(f *flag.FlagSet) {
		f.StringVar(&agency, "agency", "", "the agency's code: small letters, digits, hyphens")
		f.StringVar(&nameJa, "agency-ja", "", "the agency's Japanese name, where it is new")
		f.StringVar(&nameEn, "agency-en", "", "the agency's English name, where it is new")
		f.StringVar(&role, "role", "MANAGER", "MANAGER, SUPERVISOR, DISPATCHER, or OPERATOR, who is no agency's")
		f.StringVar(&user, "user-name", "", "what the person signs in with")
		f.StringVar(&display, "display-name", "", "the person's name")
		f.StringVar(&reason, "password-reason", "registered by the operator", "why a password is allowed (第8の1)")
	}
	return c.with(ctx, args, flags, func(ctx context.Context, a *App) error {
		if role == string(policy.OperatorRole) {
			return c.createOperator(ctx, a, agency, user, display)
		}
		found, err := a.People.AgencyByCode(ctx, agency)
		if problem.Is(err, problem.NotFound) {
			found, err = a.People.CreateAgency(ctx, identity.NewAgency{Code: agency, NameJa: nameJa, NameEn: nameEn})
		}
		if err != nil {
			return fmt.Errorf("agency: %w", err)
		}
		password := rand.Text()[:20]
		u, err := a.People.Register(ctx, policy.SystemActor(), found.ID, identity.NewUser{
			UserName: user, DisplayName: display, Role: policy.Role(role), Password: password, PasswordReason: reason,
		})
		if err != nil {
			return fmt.Errorf("user: %w", err)
		}
		c.say("%s %s of %s\npassword, shown this once: %s\n", u.Role, u.UserName, found.NameJa, password)
		return nil
	})
}

// createOperator registers somebody who runs the installation. They sign in at an
// ADMIN desk of their own: genba terminal enrol --agency operators.
func (c console) createOperator(ctx context.Context, a *App, agency, user, display string) error {
	if agency != "" && agency != identity.OperatorsCode {
		return errors.New("agency: an operator is no agency's; leave it out")
	}
	u, password, err := a.People.RegisterOperator(ctx, user, display, "")
	if err != nil {
		return fmt.Errorf("user: %w", err)
	}
	c.say("%s %s; signs in with agency %s\npassword, shown this once: %s\n", u.Role, u.UserName, identity.OperatorsCode, password)
	return nil
}

func (c console) removeOperator(ctx context.Context, args []string) error {
	var user string
	flags := func(f *flag.FlagSet) { f.StringVar(&user, "user-name", "", "what the person signs in with") }
	return c.with(ctx, args, flags, func(ctx context.Context, a *App) error {
		if err := a.People.RemoveOperator(ctx, user); err != nil {
			return fmt.Errorf("user: %w", err)
		}
		c.say("%s may sign in no more\n", user)
		return nil
	})
}

// maxShown bounds the list of due files; the purge itself takes all.
const maxShown = 1000

func (c console) purge(ctx context.Context, a *App) error {
	due, err := a.Evidence.PurgeDue(ctx, maxShown)
	if err != nil {
		return err
	}
	for _, m := range due {
		c.say("due %s  %s  %s  %d bytes\n", m.DueAt.UTC().Format("2006-01-02T15:04:05Z"), m.ID, m.Kind, m.Size)
	}
	report, err := a.Evidence.Purge(ctx)
	c.say("due %d, purged %d, failed %d, orphans removed %d, cases erased %d\n", report.Due, report.Purged, report.Failed, report.Orphans, report.Cases)
	return err
}

func (c console) verify(ctx context.Context, a *App) error {
	report, err := a.Journal.Verify(ctx)
	if err != nil {
		return err
	}
	c.say("%d agencies, %d entries, %d emptied by retention\n", report.Agencies, report.Entries, report.Emptied)
	for _, f := range report.Faults {
		c.say("FAULT agency %s entry %d: %s\n", f.Agency, f.Number, f.What)
	}
	files, err := a.Evidence.Verify(ctx)
	if err != nil {
		return err
	}
	c.say("%d files, %d bytes\n", files.Files, files.Bytes)
	for _, f := range files.Faults {
		c.say("FAULT %+v\n", f)
	}
	sessions, broken, err := a.Cases.VerifyAllPositions(ctx)
	if err != nil {
		return err
	}
	c.say("%d chains of positions\n", sessions)
	for _, b := range broken {
		c.say("FAULT session %s position %d\n", b.SessionID, b.Sequence)
	}
	if len(report.Faults)+len(files.Faults)+len(broken) > 0 {
		return errors.New("what is kept does not hold")
	}
	return nil
}
