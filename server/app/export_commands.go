package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"genba/policy"
	"genba/server/database"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// verifyFlags are what verify takes beside the settings.
type verifyFlags struct {
	checkpoint, key, archive, passphrase, identity, tar string
}

func (v *verifyFlags) add(f *flag.FlagSet) {
	f.StringVar(&v.checkpoint, "checkpoint", "", "file of checkpoints that was kept elsewhere, to hold the journals against")
	f.StringVar(&v.key, "checkpoint-key", "", "PEM file of the key that checks checkpoints (default: the key store's own; for --archive: the archive's own)")
	f.StringVar(&v.archive, "archive", "", "check this exported archive alone; needs no database")
	f.StringVar(&v.passphrase, "passphrase-file", "", "file with the archive's passphrase; - is standard input")
	f.StringVar(&v.tar, "tar", "", "write the archive's decrypted tar to this new file, for sha256sum and openssl")
	f.StringVar(&v.identity, "identity", "", "age identity file, for an archive that was made for a key")
}

func (c console) verifyCommand(ctx context.Context, args []string) error {
	var v verifyFlags
	config, err := c.load(args, v.add)
	if err != nil {
		return err
	}
	if v.archive != "" {
		return c.verifyArchive(v)
	}
	a, err := Open(ctx, config, database.SystemClock{}, c.log)
	if err != nil {
		return err
	}
	err = c.verify(ctx, a)
	return errors.Join(err, c.verifyCheckpoints(ctx, a, v), a.Close())
}

// verifyCheckpoints holds the journals against the checkpoints that the database
// keeps, and against those that were kept elsewhere.
func (c console) verifyCheckpoints(ctx context.Context, a *App, v verifyFlags) error {
	key, err := a.readKey(v.key)
	if err != nil {
		return err
	}
	var faults []journal.Fault
	own := 0
	err = a.Journal.AllCheckpoints(ctx, func(batch []journal.Checkpoint) error {
		own += len(batch)
		found, err := a.Journal.Compare(ctx, key, batch)
		faults = append(faults, found...)
		return err
	})
	if err != nil {
		return err
	}
	c.say("%d checkpoints in the database, key %s\n", own, journal.Fingerprint(key))
	if v.checkpoint != "" {
		found, n, err := a.compareFile(ctx, v.checkpoint, key)
		if err != nil {
			return err
		}
		faults = append(faults, found...)
		c.say("%d checkpoints from elsewhere\n", n)
	}
	for _, f := range faults {
		c.say("FAULT agency %s entry %d: %s\n", f.Agency, f.Number, f.What)
	}
	if len(faults) > 0 {
		return errors.New("the journal is not what its checkpoints say")
	}
	return nil
}

func (c console) verifyArchive(v verifyFlags) (err error) {
	if (v.passphrase == "") == (v.identity == "") {
		return errors.New("--archive needs --passphrase-file or --identity")
	}
	var passphrase, keys string
	if v.identity != "" {
		keys, err = readSecret(v.identity)
	} else {
		passphrase, err = readSecret(v.passphrase)
	}
	if err != nil {
		return err
	}
	var key ed25519.PublicKey
	if v.key != "" {
		if key, err = readPublicKey(v.key); err != nil {
			return err
		}
	}
	f, err := os.Open(v.archive)
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer f.Close()
	plain, err := evidence.DecryptArchive(f, passphrase, keys)
	if err != nil {
		return err
	}
	if v.tar != "" {
		t, err := os.OpenFile(v.tar, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("write tar: %w", err)
		}
		defer func() { err = errors.Join(err, t.Close()) }()
		plain = io.TeeReader(plain, t)
	}
	r, err := evidence.VerifyArchive(plain, key)
	if err != nil {
		return err
	}
	c.say("case %s, export %s, medium %s\n", r.Manifest.Case.Number, r.Manifest.Export.ID, r.Manifest.Export.Medium)
	c.say("%d files, %d bytes; the journal names the hash of %d\n", r.Files, r.Bytes, r.Witnessed)
	c.say("%d entries of the journal, %d emptied by retention; checkpoint at entry %d\n", r.Entries, r.Emptied, r.Manifest.Journal.Checkpoint.Number)
	if r.Trusted {
		c.say("key %s, as given\n", r.Fingerprint)
	} else {
		c.say("key %s: compare it with the police by another way\n", r.Fingerprint)
	}
	for _, fault := range r.Faults {
		c.say("FAULT %s\n", fault)
	}
	if len(r.Faults) > 0 {
		return errors.New("the archive does not hold")
	}
	c.say("the archive holds\n")
	return nil
}

// exportCommand writes the archive of an approved request where no browser can:
// under the grant that the permitted person got in the console. There is no
// other way past it (第6の5).
func (c console) exportCommand(ctx context.Context, args []string) error {
	var request, grant, out string
	flags := func(f *flag.FlagSet) {
		f.StringVar(&request, "request", "", "id of the approved request")
		f.StringVar(&grant, "grant-file", "", "file with the grant that the permitted person got in the console; - is standard input")
		f.StringVar(&out, "out", "", "file on the medium to write; it must not be there yet")
	}
	return c.with(ctx, args, flags, func(ctx context.Context, a *App) error {
		r, err := a.Evidence.FindExport(ctx, request)
		if err != nil {
			return fmt.Errorf("request: %w", err)
		}
		if r.State != evidence.ExportIsApproved {
			return fmt.Errorf("request %s is %s: %s", r.ID, r.State, problem.New(problem.ExportNotApproved).Text("en"))
		}
		if grant == "" || out == "" {
			return errors.New("--grant-file and --out are needed: the permitted person gets the grant in the console")
		}
		token, err := readSecret(grant)
		if err != nil {
			return err
		}
		return c.export(ctx, a, r, string(bytes.TrimSpace([]byte(token))), out)
	})
}

func (c console) export(ctx context.Context, a *App, r *evidence.ExportRequest, token, out string) error {
	b, err := a.bearers.Open(token, identity.UseExport)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	written := false
	defer func() {
		_ = f.Close()
		if !written {
			_ = os.Remove(out) // half an archive must not look like a whole one
		}
	}()
	if _, err := a.Evidence.StreamArchive(ctx, r.ID, b.Object, token, func(string) io.Writer { return f }); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read archive back: %w", err)
	}
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return fmt.Errorf("read archive back: %w", err)
	}
	actor, err := a.People.StillSignedIn(ctx, b.Actor.Login)
	if err != nil {
		return err
	}
	if actor.Kind != policy.User {
		return problem.New(problem.Forbidden)
	}
	if _, err := a.Evidence.FinishWriting(ctx, actor, b.Object, sum.Sum(nil), size); err != nil {
		return err
	}
	written = true
	c.say("%s: %d bytes, SHA-256 %s\n", out, size, hex.EncodeToString(sum.Sum(nil)))
	return nil
}

// checkpointCommand signs where the journals stand now, and shows it.
func (c console) checkpointCommand(ctx context.Context, args []string) error {
	var key bool
	flags := func(f *flag.FlagSet) { f.BoolVar(&key, "key", false, "show the key that checks checkpoints instead") }
	return c.with(ctx, args, flags, func(ctx context.Context, a *App) error {
		signer, err := a.Keys.Signer(journal.CheckpointKey)
		if err != nil {
			return err
		}
		public, _ := signer.Public().(ed25519.PublicKey)
		if key {
			pem, err := journal.PublicKeyPEM(public)
			c.say("%s", pem)
			return err
		}
		if _, err := a.Journal.Checkpoint(ctx, signer); err != nil {
			return err
		}
		newest, err := a.Journal.NewestCheckpoints(ctx)
		if err != nil {
			return err
		}
		lines, err := checkpointLines(newest)
		c.say("%s", lines)
		return err
	})
}
