// Command genba is the whole of Genba in one binary: the server, and the
// commands that an operator needs beside it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"genba/policy"
	"genba/server/app"
	"genba/server/database"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/problem"
)

const usage = `usage: genba COMMAND [FLAGS]

  serve         run the server
  migrate       bring the database to the newest step, and end
  user create   register a person who signs in, and the agency where it is new
  purge         show what is due and purge it
  verify        check the journal's chains

genba COMMAND -h lists the flags. Each is also GENBA_ and its name in capitals,
and a line of the file that --config names.
`

// gcPercent trades memory for processor time; GOGC overrides it.
const gcPercent = 200

func main() {
	if len(os.Args) == 2 && os.Args[1] == evidence.PreviewArgument {
		if err := evidence.PreviewMain(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	slog.SetDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], log)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // the signal handler needs no undoing here
	}
}

func run(ctx context.Context, args []string, log *slog.Logger) error {
	command, rest := "", args
	if len(args) > 0 {
		command, rest = args[0], args[1:]
	}
	switch command {
	case "serve":
		return serve(ctx, rest, log)
	case "migrate":
		return with(ctx, rest, log, nil, func(context.Context, *app.App) error { return nil })
	case "user":
		if len(rest) > 0 && rest[0] == "create" {
			return createUser(ctx, rest[1:], log)
		}
	case "purge":
		return with(ctx, rest, log, nil, purge)
	case "verify":
		return with(ctx, rest, log, nil, verify)
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	}
	return errors.New(strings.TrimSuffix(usage, "\n"))
}

func load(args []string, more func(*flag.FlagSet)) (app.Config, error) {
	var extra []func(*flag.FlagSet)
	if more != nil {
		extra = append(extra, more)
	}
	c, left, err := app.LoadConfig(args, os.Environ(), os.Stderr, extra...)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("what is %q?", left[0])
	}
	return c, err
}

func serve(ctx context.Context, args []string, log *slog.Logger) error {
	c, err := load(args, nil)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, c, database.SystemClock{}, log)
	if err != nil {
		return err
	}
	fmt.Printf("Genba is ready at %s\n", a.URL())
	if d := a.Demo(); d != nil {
		fmt.Printf("  console  %s/console\n  messages %s/outbox\n", a.URL(), a.URL())
		if d.Made {
			fmt.Println("Sign-ins, shown this once (also in demo.json in the data folder):")
			for _, u := range d.Users {
				fmt.Printf("  %-11s %-11s %s\n", u.Role, u.UserName, u.Password)
			}
		}
	}
	return a.Run(ctx)
}

// with opens the rooms for a command that serves nothing.
func with(ctx context.Context, args []string, log *slog.Logger, more func(*flag.FlagSet), do func(context.Context, *app.App) error) error {
	c, err := load(args, more)
	if err != nil {
		return err
	}
	a, err := app.Open(ctx, c, database.SystemClock{}, log)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, a), a.Close())
}

func createUser(ctx context.Context, args []string, log *slog.Logger) error {
	var agency, nameJa, nameEn, role, user, display, reason string
	flags := func(f *flag.FlagSet) {
		f.StringVar(&agency, "agency", "", "the agency's code: small letters, digits, hyphens")
		f.StringVar(&nameJa, "agency-ja", "", "the agency's Japanese name, where it is new")
		f.StringVar(&nameEn, "agency-en", "", "the agency's English name, where it is new")
		f.StringVar(&role, "role", "MANAGER", "MANAGER, SUPERVISOR or DISPATCHER")
		f.StringVar(&user, "user-name", "", "what the person signs in with")
		f.StringVar(&display, "display-name", "", "the person's name")
		f.StringVar(&reason, "password-reason", "registered by the operator", "why a password is allowed (第8の1)")
	}
	return with(ctx, args, log, flags, func(ctx context.Context, a *app.App) error {
		found, err := a.People.AgencyByCode(ctx, agency)
		if problem.Is(err, problem.NotFound) {
			found, err = a.People.CreateAgency(ctx, identity.NewAgency{Code: agency, NameJa: nameJa, NameEn: nameEn})
		}
		if err != nil {
			return fmt.Errorf("agency: %w", err)
		}
		password := rand.Text()[:20]
		u, err := a.People.Register(ctx, policy.SystemActor(), found.ID, identity.NewUser{
			UserName: user, DisplayName: display, Role: policy.Role(role), Password: password, PasswordReason: reason})
		if err != nil {
			return fmt.Errorf("user: %w", err)
		}
		fmt.Printf("%s %s of %s\npassword, shown this once: %s\n", u.Role, u.UserName, found.NameJa, password)
		return nil
	})
}

// maxShown bounds the list of due files; the purge itself takes all.
const maxShown = 1000

func purge(ctx context.Context, a *app.App) error {
	due, err := a.Evidence.PurgeDue(ctx, maxShown)
	if err != nil {
		return err
	}
	for _, m := range due {
		fmt.Printf("due %s  %s  %s  %d bytes\n", m.DueAt.UTC().Format("2006-01-02T15:04:05Z"), m.ID, m.Kind, m.Size)
	}
	report, err := a.Evidence.Purge(ctx)
	fmt.Printf("due %d, purged %d, failed %d, orphans removed %d, cases erased %d\n", report.Due, report.Purged, report.Failed, report.Orphans, report.Cases)
	return err
}

func verify(ctx context.Context, a *app.App) error {
	report, err := a.Journal.Verify(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d agencies, %d entries, %d emptied by retention\n", report.Agencies, report.Entries, report.Emptied)
	for _, f := range report.Faults {
		fmt.Printf("FAULT agency %s entry %d: %s\n", f.Agency, f.Number, f.What)
	}
	if len(report.Faults) > 0 {
		return errors.New("the journal does not hold")
	}
	return nil
}
