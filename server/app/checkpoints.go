package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"time"

	"genba/policy"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/problem"
)

const (
	// checkpointEvery is how often where the journals stand is signed, where they
	// grew.
	checkpointEvery = 10 * time.Second
	postTimeout     = 15 * time.Second
	checkpointMode  = 0o644
	keyEnding       = ".pem"
	mailWay         = "email"
)

// checkpoint signs where the journals stand and sends it off this machine.
func (a *App) checkpoint(ctx context.Context) error {
	signer, err := a.Keys.Signer(journal.CheckpointKey)
	if err != nil {
		return err
	}
	if _, err := a.Journal.Checkpoint(ctx, signer); err != nil {
		return err
	}
	var failures error
	for name, send := range a.checkpointWays() {
		if name == mailWay && !a.mailDue() {
			continue
		}
		failed := a.Journal.SendCheckpoints(ctx, name, send)
		if name == mailWay && failed == nil {
			a.mailedAt = a.DB.Now()
		}
		failures = errors.Join(failures, failed)
	}
	return failures
}

// checkpointWays are the ways off this machine that the settings name.
func (a *App) checkpointWays() map[string]func(context.Context, []journal.Checkpoint) error {
	ways := map[string]func(context.Context, []journal.Checkpoint) error{}
	if a.Config.CheckpointFile != "" {
		ways["file"] = func(_ context.Context, batch []journal.Checkpoint) error {
			return appendCheckpoints(a.Config.CheckpointFile, batch)
		}
	}
	if a.Config.CheckpointURL != "" {
		ways["url"] = func(ctx context.Context, batch []journal.Checkpoint) error {
			return postCheckpoints(ctx, a.Config.CheckpointURL, batch)
		}
	}
	if a.Config.CheckpointEmail != "" {
		ways[mailWay] = a.mailCheckpoints
	}
	return ways
}

// mailEvery is how often a mail with checkpoints leaves, where the journals grew.
const mailEvery = 10 * time.Minute

// mailCheckpoints sends checkpoints as a file by e-mail.
func (a *App) mailCheckpoints(ctx context.Context, batch []journal.Checkpoint) error {
	lines, err := checkpointLines(batch)
	if err != nil {
		return err
	}
	m, err := notify.NewSMTP(a.Config.SMTP)
	if err != nil {
		return err
	}
	last := batch[len(batch)-1]
	return m.SendFile(ctx, notify.FileMessage{
		To: a.Config.CheckpointEmail, Key: "checkpoint-" + last.AgencyID + "-" + strconv.FormatInt(last.Number, 10),
		Subject: "Genba checkpoints " + last.At.UTC().Format(time.RFC3339),
		Body:    "Signed checkpoints of the journals of " + a.URL() + ". Keep the attached file where nobody can change it;\ngenba verify --checkpoint FILE holds the journal against it.",
		Name:    "checkpoints.jsonl", File: lines,
	})
}

// mailDue tells whether the next mail may leave. A failed one is tried again
// with the next turn.
func (a *App) mailDue() bool {
	now := a.DB.Now()
	return a.mailedAt.IsZero() || now.Sub(a.mailedAt) >= mailEvery || now.Before(a.mailedAt)
}

// wireAudit gives the journal what verifying and exporting need.
func (a *App) wireAudit() error {
	signer, err := a.Keys.Signer(journal.CheckpointKey)
	if err != nil {
		return err
	}
	a.Journal.AuditBy(signer, a.checkpointsElsewhere, a.afterCommit, func(ctx context.Context, login string) error {
		actor, err := a.People.StillSignedIn(ctx, login)
		if err == nil && !a.policy.Can(actor, actor.Agency, policy.Journal, policy.Audit) {
			err = problem.New(problem.Forbidden)
		}
		return err
	})
	return nil
}

// checkpointsElsewhere reads the file of checkpoints, where there is one.
func (a *App) checkpointsElsewhere(context.Context) ([]journal.Checkpoint, error) {
	if a.Config.CheckpointFile == "" {
		return nil, nil
	}
	f, err := os.Open(a.Config.CheckpointFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("file of checkpoints: %w", err)
	}
	defer f.Close()
	return journal.ReadCheckpoints(f)
}

func checkpointLines(batch []journal.Checkpoint) ([]byte, error) {
	var lines bytes.Buffer
	w := json.NewEncoder(&lines)
	for _, c := range batch {
		if err := w.Encode(c); err != nil {
			return nil, fmt.Errorf("write checkpoint: %w", err)
		}
	}
	return lines.Bytes(), nil
}

func appendCheckpoints(path string, batch []journal.Checkpoint) (err error) {
	lines, err := checkpointLines(batch)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, checkpointMode)
	if err != nil {
		return fmt.Errorf("file of checkpoints: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(lines); err != nil {
		return fmt.Errorf("file of checkpoints: %w", err)
	}
	return f.Sync()
}

func postCheckpoints(ctx context.Context, to string, batch []journal.Checkpoint) error {
	lines, err := checkpointLines(batch)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(lines))
	if err != nil {
		return fmt.Errorf("post checkpoints: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("post checkpoints: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("post checkpoints: the answer is %s", answer.Status)
	}
	return nil
}

// checkOwnCheckpoints holds the journals against the file of checkpoints when
// the server starts: a database that was put back shows at once (T45). It writes
// the key that checks them beside the file.
func (a *App) checkOwnCheckpoints(ctx context.Context) error {
	if a.Config.CheckpointFile == "" {
		return nil
	}
	signer, err := a.Keys.Signer(journal.CheckpointKey)
	if err != nil {
		return err
	}
	public, _ := signer.Public().(ed25519.PublicKey)
	pem, err := journal.PublicKeyPEM(public)
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.Config.CheckpointFile+keyEnding, pem, checkpointMode); err != nil {
		return fmt.Errorf("write the key of checkpoints: %w", err)
	}
	faults, _, err := a.compareFile(ctx, a.Config.CheckpointFile, public)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range faults {
		a.log.ErrorContext(ctx, "the journal is not what its checkpoints say", "agency", f.Agency, "entry", f.Number, "what", f.What)
	}
	return nil
}

// compareFile holds the journals against a file of checkpoints.
func (a *App) compareFile(ctx context.Context, path string, key ed25519.PublicKey) ([]journal.Fault, int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("file of checkpoints: %w", err)
	}
	defer f.Close()
	checkpoints, err := journal.ReadCheckpoints(f)
	if err != nil {
		return nil, 0, err
	}
	faults, err := a.Journal.Compare(ctx, key, checkpoints)
	return faults, len(checkpoints), err
}

// readKey reads a public key from a PEM file; an empty path is the key store's
// own.
func (a *App) readKey(path string) (ed25519.PublicKey, error) {
	if path != "" {
		return readPublicKey(path)
	}
	signer, err := a.Keys.Signer(journal.CheckpointKey)
	if err != nil {
		return nil, err
	}
	public, _ := signer.Public().(ed25519.PublicKey)
	return public, nil
}

func readPublicKey(path string) (ed25519.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	return journal.ParsePublicKey(text)
}

// readSecret reads a passphrase or an identity from a file; "-" is standard
// input.
func readSecret(path string) (string, error) {
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, maxSecretFile))
		return string(text), err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return string(text), nil
}

const maxSecretFile = 64 << 10
