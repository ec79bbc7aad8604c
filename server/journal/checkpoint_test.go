package journal_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
)

var signer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func public() ed25519.PublicKey { return signer.Public().(ed25519.PublicKey) }

// unguard takes the triggers away, as whoever administers the database can.
func unguard(t *testing.T, db *database.DB) {
	t.Helper()
	drop := []string{"DROP TRIGGER journal_no_update", "DROP TRIGGER journal_no_delete"}
	if db.Dialect == database.Postgres {
		drop = []string{"DROP TRIGGER journal_append_only ON journal_entries"}
	}
	for _, s := range drop {
		require.NoError(t, db.Read(context.Background()).Exec(s).Error)
	}
}

func entryOf(agency string) journal.Entry {
	e := entry("s", "what happened")
	e.Agency = agency
	return e
}

func TestCheckpointsSayWhereTheJournalStood(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		j := journal.New(db, &bell{rings: map[string]int{}})
		none, err := j.Checkpoint(ctx, signer)
		require.NoError(t, err)
		require.Empty(t, none)
		write(t, db, j, entryOf(agency), journal.Entry{Actor: policy.SystemActor(), Type: journal.ClockBelieved})
		first, err := j.Checkpoint(ctx, signer)
		require.NoError(t, err)
		require.Len(t, first, 2, "the installation's own journal, too")
		again, err := j.Checkpoint(ctx, signer)
		require.NoError(t, err)
		require.Empty(t, again, "nothing happened since")
		write(t, db, j, entryOf(agency), entryOf(agency))
		second, err := j.Checkpoint(ctx, signer)
		require.NoError(t, err)
		require.Len(t, second, 1)
		require.EqualValues(t, 3, second[0].Number)
		previous := sha256.Sum256(first[1].Text())
		require.Equal(t, previous[:], second[0].Previous, "each names the one before it")
		last, err := j.LastCheckpoint(ctx, agency)
		require.NoError(t, err)
		require.True(t, last.Holds(public()))
		require.Equal(t, second[0].Text(), last.Text())

		var kept []journal.Checkpoint
		require.NoError(t, j.AllCheckpoints(ctx, func(batch []journal.Checkpoint) error { kept = append(kept, batch...); return nil }))
		require.Len(t, kept, 3)
		faults, err := j.Compare(ctx, public(), kept)
		require.NoError(t, err)
		require.Empty(t, faults)
		other := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		faults, err = j.Compare(ctx, other.Public().(ed25519.PublicKey), kept)
		require.NoError(t, err)
		require.Len(t, faults, 3, "signed with another key")
	})
}

// T45: today's checkpoint shows that yesterday's database was put back, and a
// journal that went on differently since.
func TestYesterdaysDatabaseIsReported(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "genba.db")
	db := dbtest.Open(t, path)
	ctx := t.Context()
	j := journal.New(db, &bell{rings: map[string]int{}})
	write(t, db, j, entryOf(agency), entryOf(agency))
	yesterday := filepath.Join(dir, "yesterday.db")
	require.NoError(t, db.Read(ctx).Exec("VACUUM INTO ?", yesterday).Error)
	write(t, db, j, entryOf(agency), entryOf(agency))
	today, err := j.Checkpoint(ctx, signer)
	require.NoError(t, err)
	lines := &bytes.Buffer{}
	require.NoError(t, json.NewEncoder(lines).Encode(today[0]))
	kept, err := journal.ReadCheckpoints(lines)
	require.NoError(t, err)
	require.Equal(t, today[0].Text(), kept[0].Text())

	old := dbtest.Open(t, yesterday)
	restored := journal.New(old, &bell{rings: map[string]int{}})
	rep, err := restored.Verify(ctx)
	require.NoError(t, err)
	require.Empty(t, rep.Faults, "by itself yesterday's chain is whole")
	faults, err := restored.Compare(ctx, public(), kept)
	require.NoError(t, err)
	require.Len(t, faults, 1)
	require.Contains(t, faults[0].What, "ends at entry 2")
	write(t, old, restored, entryOf(agency), entryOf(agency), entryOf(agency))
	faults, err = restored.Compare(ctx, public(), kept)
	require.NoError(t, err)
	require.Len(t, faults, 1)
	require.Contains(t, faults[0].What, "forked")
}

// outsider is a verifier that knows only what is published: the form of a row
// and of a checkpoint, SHA-256 and Ed25519. It answers whether the rows lead to
// every checkpoint.
func outsider(rows []journal.Row, lines []byte, key ed25519.PublicKey) bool {
	hashes := map[int64]string{}
	prev := strings.Repeat("00", 32)
	for i, r := range rows {
		sum := sha256.Sum256([]byte(strings.Join([]string{
			"genba-journal-1", r.AgencyID, fmt.Sprint(r.Number), r.At.UTC().Format("2006-01-02T15:04:05.000000Z"), string(r.ActorKind), r.ActorID,
			string(r.ActorRole), string(r.Type), string(r.SubjectKind), r.SubjectID, r.CaseID, r.SessionID, hex.EncodeToString(r.PayloadHash), prev,
		}, "\n")))
		if r.Number != int64(i+1) || hex.EncodeToString(r.PrevHash) != prev || !bytes.Equal(sum[:], r.Hash) {
			return false
		}
		prev = hex.EncodeToString(r.Hash)
		hashes[r.Number] = prev
	}
	for line := range bytes.Lines(lines) {
		var c struct {
			Agency, Hash, Time, Previous, Signature string
			Number                                  int64
		}
		if json.Unmarshal(line, &c) != nil {
			return false
		}
		text := strings.Join([]string{"genba-checkpoint-1", c.Agency, fmt.Sprint(c.Number), c.Hash, c.Time, c.Previous, ""}, "\n")
		signature, err := base64.StdEncoding.DecodeString(c.Signature)
		if err != nil || !ed25519.Verify(key, []byte(text), signature) || hashes[c.Number] != c.Hash {
			return false
		}
	}
	return true
}

// T45: a verifier written with public libraries only agrees on 100 journals,
// half of them cut, changed or forked.
func TestAnOutsidersVerifierAgrees(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		j := journal.New(db, &bell{rings: map[string]int{}})
		unguard(t, db)
		random := rand.New(rand.NewPCG(1, 2))
		bad := 0
		for n := range 100 {
			agency := fmt.Sprintf("00000000-0000-7000-8000-%012d", n+1)
			entries := make([]journal.Entry, 2+random.IntN(4))
			for i := range entries {
				entries[i] = entryOf(agency)
			}
			write(t, db, j, entries...)
			c, err := j.CheckpointAgency(ctx, agency, signer)
			require.NoError(t, err)
			q := db.Read(ctx).Where("agency_id = ?", agency)
			last := int64(len(entries))
			switch random.IntN(6) {
			case 0: // cut at the end, head and all
				require.NoError(t, q.Where("number = ?", last).Delete(&journal.Row{}).Error)
				require.NoError(t, db.Read(ctx).Exec("UPDATE journal_heads SET number = number - 1, hash = (SELECT hash FROM journal_entries e WHERE e.agency_id = journal_heads.agency_id AND e.number = journal_heads.number - 1) WHERE agency_id = ?", agency).Error)
			case 1: // one entry changed
				require.NoError(t, q.Model(&journal.Row{}).Where("number = 1").Update("actor_id", "somebody").Error)
			case 2: // the checkpoint changed
				c.Number--
			}
			line, err := json.Marshal(c)
			require.NoError(t, err)
			rows, err := j.After(ctx, agency, 0, journal.Filter{}, 100)
			require.NoError(t, err)
			faults, err := j.Compare(ctx, public(), []journal.Checkpoint{*c})
			require.NoError(t, err)
			rep, err := j.Verify(ctx)
			require.NoError(t, err)
			for _, f := range rep.Faults {
				if f.Agency == agency {
					faults = append(faults, f)
				}
			}
			if len(faults) > 0 {
				bad++
				// what one agency's journal lost does not hide the next one's
				require.NoError(t, db.Read(ctx).Exec("DELETE FROM journal_entries WHERE agency_id = ?", agency).Error)
				require.NoError(t, db.Read(ctx).Exec("DELETE FROM journal_heads WHERE agency_id = ?", agency).Error)
			}
			require.Equal(t, len(faults) == 0, outsider(rows, append(line, '\n'), public()), "journal %d: %v", n, faults)
		}
		require.Greater(t, bad, 30)
		require.Less(t, bad, 70)
	})
}

// T08: ten thousand edits by SQL, by somebody who may repair heads and rehash
// what follows, and every one is found with a checkpoint kept elsewhere.
func TestTenThousandEditsAreFound(t *testing.T) {
	edits := []struct {
		name string
		do   func(tx *database.Tx, r *rand.Rand) error
	}{
		{"change", func(tx *database.Tx, r *rand.Rand) error {
			column := []string{"actor_id", "actor_role", "actor_kind", "type", "subject_id", "subject_kind", "case_id", "session_id"}[r.IntN(8)]
			return tx.Exec("UPDATE journal_entries SET "+column+" = ? WHERE number = ?", fmt.Sprint("x", r.IntN(1000)), 1+r.IntN(entriesEdited)).Error
		}},
		{"change and rehash", func(tx *database.Tx, r *rand.Rand) error {
			from := 1 + r.IntN(entriesEdited)
			if err := tx.Exec("UPDATE journal_entries SET actor_id = ? WHERE number = ?", fmt.Sprint("x", r.IntN(1000)), from).Error; err != nil {
				return err
			}
			return rehash(tx, from)
		}},
		{"drop", func(tx *database.Tx, r *rand.Rand) error {
			return tx.Exec("DELETE FROM journal_entries WHERE number = ?", 1+r.IntN(entriesEdited)).Error
		}},
		{"drop, close the gap and rehash", func(tx *database.Tx, r *rand.Rand) error {
			n := 1 + r.IntN(entriesEdited)
			if err := tx.Exec("DELETE FROM journal_entries WHERE number = ?", n).Error; err != nil {
				return err
			}
			for i := n + 1; i <= entriesEdited; i++ {
				if err := tx.Exec("UPDATE journal_entries SET number = ? WHERE number = ?", i-1, i).Error; err != nil {
					return err
				}
			}
			return rehash(tx, 1)
		}},
		{"swap", func(tx *database.Tx, r *rand.Rand) error {
			a := 1 + r.IntN(entriesEdited-1)
			for _, s := range []string{
				fmt.Sprintf("UPDATE journal_entries SET number = -1 WHERE number = %d", a),
				fmt.Sprintf("UPDATE journal_entries SET number = %d WHERE number = %d", a, a+1),
				fmt.Sprintf("UPDATE journal_entries SET number = %d WHERE number = -1", a+1),
			} {
				if err := tx.Exec(s).Error; err != nil {
					return err
				}
			}
			return nil
		}},
		{"truncate with its head", func(tx *database.Tx, r *rand.Rand) error {
			left := r.IntN(entriesEdited)
			if err := tx.Exec("DELETE FROM journal_entries WHERE number > ?", left).Error; err != nil {
				return err
			}
			return rehash(tx, 1)
		}},
		{"insert", func(tx *database.Tx, r *rand.Rand) error {
			return copyEntry(tx, 1+r.IntN(entriesEdited), entriesEdited+1)
		}},
		{"replay in another's place and rehash", func(tx *database.Tx, r *rand.Rand) error {
			from := 1 + r.IntN(entriesEdited)
			to := 1 + (from+r.IntN(entriesEdited-1))%entriesEdited
			if from == to {
				to = 1 + to%entriesEdited
			}
			if err := tx.Exec("DELETE FROM journal_entries WHERE number = ?", to).Error; err != nil {
				return err
			}
			if err := copyEntry(tx, from, to); err != nil {
				return err
			}
			return rehash(tx, 1)
		}},
		{"payload", func(tx *database.Tx, r *rand.Rand) error {
			return tx.Exec("UPDATE journal_payloads SET payload = ? WHERE number = ?", fmt.Appendf(nil, "%d", r.IntN(1000)), 1+r.IntN(entriesEdited)).Error
		}},
	}
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		j := journal.New(db, &bell{rings: map[string]int{}})
		unguard(t, db)
		for i := range entriesEdited {
			e := entryOf(agency)
			e.Subject.ID = fmt.Sprint("subject-", i)
			write(t, db, j, e)
		}
		kept, err := j.Checkpoint(ctx, signer)
		require.NoError(t, err)
		times := 9_000
		if db.Dialect == database.Postgres {
			times = 1_000 // each is a round trip
		}
		random := rand.New(rand.NewPCG(3, 4))
		undo := errors.New("undo")
		for n := range times {
			edit := edits[n%len(edits)]
			err := db.InTx(ctx, func(tx *database.Tx) error {
				if err := edit.do(tx, random); err != nil {
					return err
				}
				rep, err := j.Verify(tx.Context())
				if err != nil {
					return err
				}
				faults, err := j.Compare(tx.Context(), public(), kept)
				if err != nil {
					return err
				}
				if len(rep.Faults)+len(faults) == 0 {
					return fmt.Errorf("%s was not found", edit.name)
				}
				return undo
			})
			require.ErrorIs(t, err, undo)
		}
	})
}

const entriesEdited = 8

// columns of an entry, but its number.
const columns = "at, actor_kind, actor_id, actor_role, type, subject_kind, subject_id, case_id, session_id, payload_hash, prev_hash, hash"

func copyEntry(tx *database.Tx, from, to int) error {
	return tx.Exec("INSERT INTO journal_entries (agency_id, number, "+columns+") SELECT agency_id, ?, "+columns+" FROM journal_entries WHERE number = ?", to, from).Error
}

// rehash repairs the chain from an entry on, and the head, as somebody does who
// knows how it is made.
func rehash(tx *database.Tx, from int) error {
	var rows []journal.Row
	if err := tx.Order("number").Find(&rows, "agency_id = ?", agency).Error; err != nil {
		return err
	}
	prev := make([]byte, sha256.Size)
	for _, r := range rows {
		if r.Number >= int64(from) {
			sum := sha256.Sum256([]byte(strings.Join([]string{
				"genba-journal-1", r.AgencyID, fmt.Sprint(r.Number), r.At.UTC().Format("2006-01-02T15:04:05.000000Z"), string(r.ActorKind), r.ActorID,
				string(r.ActorRole), string(r.Type), string(r.SubjectKind), r.SubjectID, r.CaseID, r.SessionID, hex.EncodeToString(r.PayloadHash), hex.EncodeToString(prev),
			}, "\n")))
			if err := tx.Exec("UPDATE journal_entries SET prev_hash = ?, hash = ? WHERE number = ?", prev, sum[:], r.Number).Error; err != nil {
				return err
			}
			r.Hash = sum[:]
		}
		prev = r.Hash
	}
	return tx.Exec("UPDATE journal_heads SET number = ?, hash = ? WHERE agency_id = ?", len(rows), prev, agency).Error
}

// TestCheckpointByOpenSSL: the signature holds for openssl alone.
func TestCheckpointByOpenSSL(t *testing.T) {
	db := dbtest.Open(t, dbtest.SQLiteDSN(t))
	j := journal.New(db, &bell{rings: map[string]int{}})
	write(t, db, j, entryOf(agency))
	c, err := j.CheckpointAgency(t.Context(), agency, signer)
	require.NoError(t, err)
	dir := t.TempDir()
	pem, err := journal.PublicKeyPEM(public())
	require.NoError(t, err)
	back, err := journal.ParsePublicKey(pem)
	require.NoError(t, err)
	require.Equal(t, public(), back)
	for name, text := range map[string][]byte{"key.pem": pem, "checkpoint.txt": c.Text(), "checkpoint.sig": c.Signature} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	verify := exec.CommandContext(t.Context(), "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "checkpoint.txt", "-sigfile", "checkpoint.sig")
	verify.Dir = dir
	text, err := verify.CombinedOutput()
	require.NoError(t, err, "%s", text)
	print := exec.CommandContext(t.Context(), "sh", "-c", "openssl pkey -pubin -in key.pem -outform DER | openssl dgst -sha256")
	print.Dir = dir
	text, err = print.CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.Contains(t, string(text), strings.ReplaceAll(journal.Fingerprint(public()), " ", ""))
}

// What could not be sent is journaled once, tried again, and said when it works.
func TestCheckpointsLeaveTheMachine(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		j := journal.New(db, &bell{rings: map[string]int{}})
		var sent []int64
		var broken error
		send := func(_ context.Context, batch []journal.Checkpoint) error {
			if broken != nil {
				return broken
			}
			for _, c := range batch {
				if c.AgencyID == agency {
					sent = append(sent, c.Number)
				}
			}
			return nil
		}
		step := func() error {
			write(t, db, j, entryOf(agency))
			_, err := j.Checkpoint(ctx, signer)
			require.NoError(t, err)
			dbtest.ClockOf(db).Advance(10 * time.Second)
			return j.SendCheckpoints(ctx, "file", send)
		}
		write(t, db, j, entryOf(agency))
		_, err := j.Checkpoint(ctx, signer)
		require.NoError(t, err)
		require.NoError(t, step())
		require.Equal(t, []int64{2}, sent, "a new way begins with the newest")
		require.NoError(t, step())
		require.Equal(t, []int64{2, 3}, sent)
		broken = errors.New("the disk is away")
		require.ErrorIs(t, step(), broken)
		require.ErrorIs(t, step(), broken)
		broken = nil
		require.NoError(t, step())
		require.NoError(t, step())
		require.Equal(t, 4, strings.Count(fmt.Sprint(sent), " ")-1, "%v", sent)
		for i := 1; i < len(sent); i++ {
			require.Greater(t, sent[i], sent[i-1])
		}
		rows, err := j.After(ctx, agency, 0, journal.Filter{Types: []journal.Type{journal.CheckpointUnsent, journal.CheckpointSent}}, 10)
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, journal.CheckpointUnsent, rows[0].Type)
		require.Equal(t, journal.CheckpointSent, rows[1].Type)
	})
}
