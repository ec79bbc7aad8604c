package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/problem"
)

func auditor() policy.Actor {
	return policy.Actor{Kind: policy.User, ID: "0197a000-0000-7000-8000-00000000000a", Agency: agency, Role: policy.Manager, Login: "login"}
}

// Whoever follows a person, a case or a file finds what it did, what was done to
// it, and every entry that names it.
func TestFollowFindsEntriesByAndAboutIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		j := journal.New(db, &bell{rings: map[string]int{}})
		person, file, caseID := uuid.NewString(), uuid.NewString(), uuid.NewString()
		by := policy.Actor{Kind: policy.User, ID: person, Role: policy.Dispatcher}
		user := policy.Actor{Kind: policy.User, ID: uuid.NewString(), Role: policy.Supervisor}
		write(t, db, j,
			journal.Entry{Agency: agency, Actor: by, Type: journal.CaseOpened, Subject: journal.Subject{Kind: policy.Case, ID: caseID}, CaseID: caseID},
			journal.Entry{Agency: agency, Actor: user, Type: journal.SessionHandedOver, Subject: journal.Subject{Kind: policy.Session, ID: uuid.NewString()}, CaseID: caseID, Payload: map[string]any{"to": person, "from": []string{user.ID}}},
			journal.Entry{Agency: agency, Actor: user, Type: journal.MediaReceived, Subject: journal.Subject{Kind: policy.Media, ID: file}, CaseID: caseID},
			journal.Entry{Agency: agency, Actor: user, Type: journal.ViewingOpened, Subject: journal.Subject{Kind: policy.Viewing, ID: uuid.NewString()}, Payload: map[string]any{"media": map[string]any{"id": file}}},
			journal.Entry{Agency: "0197a000-0000-7000-8000-0000000000ff", Actor: user, Type: journal.ViewingOpened, Subject: journal.Subject{Kind: policy.Media, ID: file}},
			journal.Entry{Agency: agency, Actor: user, Type: journal.SignedOut, Payload: map[string]any{"free text": "x" + file}},
		)
		follow := func(id string) (types []journal.Type) {
			rows, err := j.Before(t.Context(), agency, 0, journal.Filter{Follow: id}, 100)
			require.NoError(t, err)
			for _, r := range rows {
				types = append(types, r.Type)
			}
			return types
		}
		require.Equal(t, []journal.Type{journal.SessionHandedOver, journal.CaseOpened}, follow(person))
		require.Equal(t, []journal.Type{journal.ViewingOpened, journal.MediaReceived}, follow(file))
		require.Equal(t, []journal.Type{journal.MediaReceived, journal.SessionHandedOver, journal.CaseOpened}, follow(caseID))
		require.Empty(t, follow(uuid.NewString()))
		err := db.InTx(t.Context(), func(tx *database.Tx) error { return j.EmptyPayloads(tx, agency, journal.Filter{CaseID: caseID}) })
		require.NoError(t, err)
		require.Len(t, follow(person), 2, "retention takes away what was said, not that it was about them")
	})
}

// T08, T45: the chain is verified beside the request, against the checkpoints of
// the database and of elsewhere, and the result is journaled.
func TestVerificationFindsWhatWasChanged(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		j := journal.New(db, &bell{rings: map[string]int{}})
		var kept []journal.Checkpoint
		var work []func(context.Context) error
		j.AuditBy(signer, func(context.Context) ([]journal.Checkpoint, error) { return kept, nil },
			func(_ string, f func(context.Context) error) { work = append(work, f) }, nil)
		none, err := j.LastVerification(ctx, agency)
		require.NoError(t, err)
		require.Nil(t, none)
		write(t, db, j, entryOf(agency), entryOf(agency))
		kept, err = j.Checkpoint(ctx, signer)
		require.NoError(t, err)

		verify := func() *journal.Verification {
			t.Helper()
			v, err := j.BeginVerification(ctx, auditor())
			require.NoError(t, err)
			require.Nil(t, v.FinishedAt)
			same, err := j.BeginVerification(ctx, auditor())
			require.NoError(t, err)
			require.Equal(t, v.ID, same.ID, "one at a time")
			require.Len(t, work, 1)
			require.NoError(t, work[0](ctx))
			work = nil
			dbtest.ClockOf(db).Advance(time.Second)
			done, err := j.LastVerification(ctx, agency)
			require.NoError(t, err)
			require.Equal(t, v.ID, done.ID)
			require.NotNil(t, done.FinishedAt)
			require.False(t, done.Failed)
			return done
		}
		v := verify()
		require.Empty(t, v.Faults)
		require.EqualValues(t, 2, v.Entries)
		require.EqualValues(t, 2, v.Checkpoints)
		require.EqualValues(t, 1, v.Elsewhere)
		rows, err := j.Before(ctx, agency, 0, journal.Filter{Types: []journal.Type{journal.JournalVerified}}, 10)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, auditor().ID, rows[0].ActorID)
		require.JSONEq(t, `{"entries":2,"checkpoints":2,"elsewhere":1,"faults":0,"failed":false}`, string(rows[0].Payload))
		other, err := j.LastVerification(ctx, "0197a000-0000-7000-8000-0000000000ff")
		require.NoError(t, err)
		require.Nil(t, other, "another agency's")

		unguard(t, db)
		require.NoError(t, db.Read(ctx).Exec("UPDATE journal_entries SET type = 'SIGNED_OUT' WHERE agency_id = ? AND number = 2", agency).Error)
		v = verify()
		require.NotEmpty(t, v.Faults)
		require.EqualValues(t, 2, v.Faults[0].Number)
	})
}

// fetch fetches an export as a browser does.
func fetch(j *journal.Journal, url string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	j.Exports(func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(problem.Of(err).Status())
		_, _ = w.Write([]byte(problem.Of(err).Reason()))
	}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
	return w
}

// An export is fetched once, by whom may audit still, is journaled, ends in a
// signed checkpoint, and says no more of callers than the page.
func TestExportOfTheJournal(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		j := journal.New(db, &bell{rings: map[string]int{}})
		allowed := true
		j.AuditBy(signer, nil, nil, func(context.Context, string) error {
			if !allowed {
				return problem.New(problem.Unauthenticated)
			}
			return nil
		})
		plain := entryOf(agency)
		plain.Payload = map[string]any{"asked": "=LIVE"}
		secret := entryOf(agency)
		secret.Payload = map[string]any{"number": "+819012345678", "asked": "LIVE"}
		elsewhere := entryOf("0197a000-0000-7000-8000-0000000000ff")
		write(t, db, j, plain, secret, elsewhere)

		_, _, err := j.BeginExport(ctx, auditor(), journal.Filter{}, "XML")
		require.True(t, problem.Is(err, problem.BadInput))
		_, url, err := j.BeginExport(ctx, auditor(), journal.Filter{}, journal.JSONLines)
		require.NoError(t, err)
		require.Equal(t, "GRANT_INVALID", fetch(j, url+"x").Body.String())
		got := fetch(j, url)
		require.Equal(t, http.StatusOK, got.Code)
		require.Contains(t, got.Header().Get("Content-Disposition"), ".jsonl")
		require.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		require.Equal(t, "GRANT_INVALID", fetch(j, url).Body.String(), "once")
		require.NotContains(t, got.Body.String(), "819012345678")
		require.NotContains(t, got.Body.String(), "0000000000ff")

		var lines []map[string]any
		scan := bufio.NewScanner(bytes.NewReader(got.Body.Bytes()))
		for scan.Scan() {
			var l map[string]any
			require.NoError(t, json.Unmarshal(scan.Bytes(), &l))
			lines = append(lines, l)
		}
		require.Len(t, lines, 4, "two entries, the export itself, the checkpoint")
		require.Equal(t, "JOURNAL_EXPORTED", lines[2]["type"])
		require.Equal(t, auditor().ID, lines[2]["actorID"])
		require.JSONEq(t, `{"format":"JSON_LINES","filter":{}}`, lines[2]["payload"].(string))
		require.Equal(t, true, lines[1]["withheld"])
		require.Nil(t, lines[1]["salt"])
		salt, err := hex.DecodeString(lines[0]["salt"].(string))
		require.NoError(t, err)
		sum := sha256.Sum256(append(salt, lines[0]["payload"].(string)...))
		require.Equal(t, lines[0]["payloadHash"], hex.EncodeToString(sum[:]), "what is whole can be checked")
		require.Equal(t, lines[0]["hash"], lines[1]["prevHash"])
		text, err := json.Marshal(lines[3]["checkpoint"])
		require.NoError(t, err)
		var c journal.Checkpoint
		require.NoError(t, json.Unmarshal(text, &c))
		require.True(t, c.Holds(public()))
		require.Equal(t, lines[2]["hash"], hex.EncodeToString(c.Hash), "the checkpoint is of the last entry")

		_, url, err = j.BeginExport(ctx, auditor(), journal.Filter{Types: []journal.Type{journal.JournalExported}}, journal.CSV)
		require.NoError(t, err)
		got = fetch(j, url)
		table, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(got.Body.String(), "\ufeff"))).ReadAll()
		require.NoError(t, err)
		require.Len(t, table, 4, "a header, two exports, the checkpoint")
		require.Equal(t, "number", table[0][0])
		require.Equal(t, "CHECKPOINT", table[3][2])

		_, url, err = j.BeginExport(ctx, auditor(), journal.Filter{}, journal.CSV)
		require.NoError(t, err)
		allowed = false
		require.Equal(t, "UNAUTHENTICATED", fetch(j, url).Body.String(), "who may audit no more")
		allowed = true
		_, url, err = j.BeginExport(ctx, auditor(), journal.Filter{}, journal.CSV)
		require.NoError(t, err)
		dbtest.ClockOf(db).Advance(5 * time.Minute)
		require.Equal(t, "GRANT_INVALID", fetch(j, url).Body.String(), "too late")
	})
}
