package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"genba/policy"
	"genba/server/database"
	"genba/server/problem"
)

// Format is how an export of the journal is written.
type Format string

// The formats.
const (
	CSV       Format = "CSV"
	JSONLines Format = "JSON_LINES"
)

// ExportPath is where an export of the journal is fetched.
const ExportPath = "/journal/"

const (
	exportLife  = 5 * time.Minute
	exportKept  = 24 * time.Hour
	grantBytes  = 32
	byteOrder   = "\ufeff" // spreadsheets take the text for UTF-8 by it
	checkedLast = "CHECKPOINT"
)

// Export is what somebody may fetch of the journal, once. What identifies a
// caller stands in it no more than on the page.
type Export struct {
	ID        string
	AgencyID  string
	AskedBy   string
	Login     string
	GrantHash []byte
	Format    Format
	Filter    Filter `gorm:"serializer:json"`
	ExpiresAt time.Time
	UsedAt    *time.Time
}

// TableName is the table of exports.
func (Export) TableName() string { return "journal_exports" }

// BeginExport lets the actor fetch their agency's journal, all of it or what the
// filter selects, and journals who asked for what. The answer names the address,
// which is good once and for five minutes. BAD_INPUT.
func (j *Journal) BeginExport(ctx context.Context, actor policy.Actor, f Filter, format Format) (e *Export, url string, err error) {
	if format != CSV && format != JSONLines {
		return nil, "", problem.New(problem.BadInput)
	}
	grant := make([]byte, grantBytes)
	_, _ = rand.Read(grant) // never fails
	text := base64.RawURLEncoding.EncodeToString(grant)
	hash := sha256.Sum256([]byte(text))
	e = &Export{ID: uuid.Must(uuid.NewV7()).String(), AgencyID: actor.Agency, AskedBy: actor.ID, Login: actor.Login, GrantHash: hash[:], Format: format, Filter: f}
	err = j.db.InTx(ctx, func(tx *database.Tx) error {
		e.ExpiresAt = tx.Now.Add(exportLife)
		if err := tx.Where("expires_at < ?", tx.Now.Add(-exportKept)).Delete(&Export{}).Error; err != nil {
			return err
		}
		if err := tx.Create(e).Error; err != nil {
			return err
		}
		j.Append(tx, Entry{
			Agency: e.AgencyID, Actor: actor, Type: JournalExported, Subject: Subject{Kind: policy.Journal, ID: e.AgencyID},
			Payload: map[string]any{"format": format, "filter": f},
		})
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("export journal: %w", err)
	}
	return e, ExportPath + e.ID + "?grant=" + text, nil
}

// Exports serves what BeginExport allowed.
func (j *Journal) Exports(writeProblem func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			writeProblem(w, r, problem.New(problem.MethodNotAllowed))
			return
		}
		e, err := j.spend(r.Context(), strings.TrimPrefix(r.URL.Path, ExportPath), r.URL.Query().Get("grant"))
		if err == nil {
			err = j.mayStill(r.Context(), e)
		}
		if err != nil {
			writeProblem(w, r, err)
			return
		}
		name, kind := "genba-journal-"+j.db.Now().In(japan).Format("20060102-150405"), "application/x-ndjson"
		if e.Format == CSV {
			name, kind = name+".csv", "text/csv; charset=utf-8"
		} else {
			name += ".jsonl"
		}
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if err := j.WriteExport(r.Context(), e, w); err != nil {
			panic(http.ErrAbortHandler) // what was cut off must not look whole
		}
	})
}

var japan = time.FixedZone("JST", 9*60*60)

// spend takes an export's one use. GRANT_INVALID.
func (j *Journal) spend(ctx context.Context, id, grant string) (*Export, error) {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return nil, problem.New(problem.GrantInvalid)
	}
	var e Export
	hash := sha256.Sum256([]byte(grant))
	err := j.db.InTx(ctx, func(tx *database.Tx) error {
		found := tx.Lock().Limit(1).Find(&e, "id = ?", id)
		if found.Error != nil {
			return found.Error
		}
		if found.RowsAffected == 0 || subtle.ConstantTimeCompare(hash[:], e.GrantHash) != 1 || e.UsedAt != nil || !tx.Now.Before(e.ExpiresAt) {
			return problem.New(problem.GrantInvalid)
		}
		return tx.Model(&e).Update("used_at", tx.Now).Error
	})
	if err != nil {
		return nil, fmt.Errorf("spend grant of export: %w", err)
	}
	return &e, nil
}

func (j *Journal) mayStill(ctx context.Context, e *Export) error {
	if j.audit.still == nil {
		return nil
	}
	return j.audit.still(ctx, e.Login)
}

// exportLine is an entry as it leaves: every field that its hash covers, and
// what it says as far as the page shows it. Salt stands where the payload is
// whole, so that its hash can be checked; withheld where something was left out.
type exportLine struct {
	excerptLine

	Withheld bool `json:"withheld,omitempty"`
}

// WriteExport writes what an export selects, oldest first, and the signed
// checkpoint that covers it as the last line.
func (j *Journal) WriteExport(ctx context.Context, e *Export, w io.Writer) error {
	at, err := j.At(ctx, e.AgencyID)
	if err != nil {
		return err
	}
	var out exportWriter = &jsonExport{w: w}
	if e.Format == CSV {
		out = &csvExport{w: w}
	}
	for last := int64(0); ; {
		if err := j.mayStill(ctx, e); err != nil {
			return err
		}
		rows, stored, err := j.exportBatch(ctx, e, last, at.Entries)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			l, err := r.export(stored)
			if err != nil {
				return err
			}
			if err := out.entry(l); err != nil {
				return err
			}
		}
		last = rows[len(rows)-1].Number
	}
	var c *Checkpoint
	if j.audit.key != nil {
		if c, err = j.CheckpointAgency(ctx, e.AgencyID, j.audit.key); err != nil {
			return err
		}
	}
	return out.end(c)
}

func (j *Journal) exportBatch(ctx context.Context, e *Export, after, until int64) ([]Row, map[int64]payloadRow, error) {
	q := j.db.Read(ctx)
	var rows []Row
	err := e.Filter.apply(q.Where("agency_id = ? AND number > ? AND number <= ?", e.AgencyID, after, until)).Order("number").Limit(excerptBatch).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	numbers := make([]int64, len(rows))
	for n, r := range rows {
		numbers[n] = r.Number
	}
	var stored []payloadRow
	if err := q.Find(&stored, "agency_id = ? AND number IN ?", e.AgencyID, numbers).Error; err != nil {
		return nil, nil, fmt.Errorf("export journal: %w", err)
	}
	byNumber := make(map[int64]payloadRow, len(stored))
	for _, p := range stored {
		byNumber[p.Number] = p
	}
	return rows, byNumber, nil
}

func (r Row) export(stored map[int64]payloadRow) (exportLine, error) {
	p, there := stored[r.Number]
	l := exportLine{excerptLine: r.excerpt(p, there)}
	if !there {
		return l, nil
	}
	shown, err := Shown(p.Payload)
	if err != nil {
		return l, err
	}
	var whole bytes.Buffer
	if err := json.Compact(&whole, p.Payload); err != nil {
		return l, fmt.Errorf("export journal: %w", err)
	}
	if same, err := sameJSON(whole.Bytes(), []byte(shown)); err != nil {
		return l, err
	} else if !same {
		l.Salt, l.Payload, l.Withheld = nil, &shown, true
	}
	return l, nil
}

// sameJSON tells whether two objects say the same.
func sameJSON(a, b []byte) (bool, error) {
	var one, other any
	if err := errors.Join(json.Unmarshal(a, &one), json.Unmarshal(b, &other)); err != nil {
		return false, fmt.Errorf("export journal: %w", err)
	}
	x, err1 := json.Marshal(one)
	y, err2 := json.Marshal(other)
	return bytes.Equal(x, y), errors.Join(err1, err2)
}

type exportWriter interface {
	entry(l exportLine) error
	end(c *Checkpoint) error
}

type jsonExport struct{ w io.Writer }

func (x *jsonExport) entry(l exportLine) error { return json.NewEncoder(x.w).Encode(l) }

// lastLine is the last one of an export.
type lastLine struct {
	Checkpoint *Checkpoint `json:"checkpoint"`
}

func (x *jsonExport) end(c *Checkpoint) error { return json.NewEncoder(x.w).Encode(lastLine{c}) }

type csvExport struct {
	w     io.Writer
	rows  *csv.Writer
	begun bool
}

func (x *csvExport) begin() error {
	if x.begun {
		return nil
	}
	x.begun = true
	if _, err := io.WriteString(x.w, byteOrder); err != nil {
		return err
	}
	x.rows = csv.NewWriter(x.w)
	x.rows.UseCRLF = true
	return x.rows.Write([]string{"number", "at", "type", "actorKind", "actorRole", "actorID", "subjectKind", "subjectID", "caseID", "sessionID", "payload", "withheld", "payloadHash", "prevHash", "hash"})
}

func (x *csvExport) entry(l exportLine) error {
	if err := x.begin(); err != nil {
		return err
	}
	payload := ""
	if l.Payload != nil {
		payload = *l.Payload
	}
	err := x.rows.Write([]string{
		strconv.FormatInt(l.Number, 10), l.At, l.Type, l.ActorKind, l.ActorRole, l.ActorID, l.SubjectKind, l.SubjectID, l.CaseID, l.SessionID,
		payload, strconv.FormatBool(l.Withheld), l.PayloadHash, l.PrevHash, l.Hash,
	})
	x.rows.Flush()
	return errors.Join(err, x.rows.Error())
}

func (x *csvExport) end(c *Checkpoint) error {
	if err := x.begin(); err != nil {
		return err
	}
	if c != nil {
		text, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("export journal: %w", err)
		}
		row := make([]string, 15)
		row[0], row[1], row[2], row[10], row[14] = strconv.FormatInt(c.Number, 10), c.At.UTC().Format(checkpointTime), checkedLast, string(text), hex.EncodeToString(c.Hash)
		if err := x.rows.Write(row); err != nil {
			return err
		}
	}
	x.rows.Flush()
	return x.rows.Error()
}
