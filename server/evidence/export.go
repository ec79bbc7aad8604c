package evidence

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// ExportGround is why files are kept beyond their due time (第6の4).
type ExportGround string

// The grounds: exactly these three.
const (
	// GroundDisclosure is 法令に基づく開示要請.
	GroundDisclosure ExportGround = "DISCLOSURE"
	// GroundIllegalAct is 違法行為.
	GroundIllegalAct ExportGround = "ILLEGAL_ACT"
	// GroundOther is その他特別の理由.
	GroundOther ExportGround = "OTHER"
)

// ExportState is how far a request has come.
type ExportState string

// The states. REFUSED, EXPIRED, RETURNED and DISPOSED are final.
const (
	ExportIsRequested ExportState = "REQUESTED"
	ExportIsApproved  ExportState = "APPROVED"
	ExportIsRefused   ExportState = "REFUSED"
	ExportIsWritten   ExportState = "WRITTEN"
	ExportIsReceipted ExportState = "RECEIPTED"
	ExportIsReturned  ExportState = "RETURNED"
	ExportIsDisposed  ExportState = "DISPOSED"
	// ExportIsExpired is a request whose files were all purged before they were
	// written: purge waits for nobody.
	ExportIsExpired ExportState = "EXPIRED"
)

// ExportAlarm is how loudly an open request calls.
type ExportAlarm string

// The alarms: at once, and 48 and 6 hours before the first file is due.
const (
	AlarmRequested ExportAlarm = "REQUESTED"
	Alarm48        ExportAlarm = "DUE_48H"
	Alarm6         ExportAlarm = "DUE_6H"
)

// Approver is as whom somebody decides.
type Approver string

// The manager (運用管理責任者), or the deputy in the manager's place.
const (
	AsManager Approver = "MANAGER"
	AsDeputy  Approver = "DEPUTY"
)

// Bounds of an export.
const (
	// MaxExportFiles bounds the files of one request.
	MaxExportFiles = 200
	maxExportText  = 200
	maxExportWords = 1000
	maxMedium      = 64
	// maxReturnDays bounds how far ahead a medium's return may be set.
	maxReturnDays = 366
)

// ExportRequest asks that files be kept on a medium that the organisation owns
// (第6の4, 第6の5).
type ExportRequest struct {
	ID       string `gorm:"primaryKey"`
	AgencyID string
	CaseID   string
	Ground   ExportGround
	// Law and Document belong to GroundDisclosure, Incident to GroundIllegalAct,
	// Description to GroundOther.
	Law, Document, Incident, Description string
	// Medium is the asset number of the medium.
	Medium      string
	PermittedID string
	RequestedBy string
	RequestedAt time.Time
	State       ExportState
	// FirstDueAt is when the first of its files is due.
	FirstDueAt time.Time
	Alarm      ExportAlarm
	DecidedBy  string
	DecidedAs  Approver
	DecidedAt  *time.Time
	// Refusal says why it was refused.
	Refusal   string
	WrittenAt *time.Time
	// ArchiveSHA256 and ArchiveSize are of the archive as it was read back from
	// the medium.
	ArchiveSHA256 []byte `gorm:"column:archive_sha256"`
	ArchiveSize   int64
	// Receiver is who took the medium.
	Receiver    string
	ReceiptBy   string
	ReceiptedAt *time.Time
	// ReturnBy is when the medium shall be back.
	ReturnBy    *time.Time
	ClosedBy    string
	ClosedAt    *time.Time
	ClosingNote string
	ChangedAt   time.Time
}

// ArchiveHex is the archive's hash as people compare it; empty until it is
// written.
func (r *ExportRequest) ArchiveHex() string { return hex.EncodeToString(r.ArchiveSHA256) }

// Open tells whether the request still waits for somebody before its files go.
func (r *ExportRequest) Open() bool {
	return r.State == ExportIsRequested || r.State == ExportIsApproved
}

// Overdue tells whether the medium should have been back by now.
func (r *ExportRequest) Overdue(now time.Time) bool {
	return r.State == ExportIsReceipted && r.ReturnBy != nil && now.After(*r.ReturnBy)
}

// ExportFile is one file of a request, as it was when it was asked for.
type ExportFile struct {
	ExportID   string `gorm:"primaryKey"`
	MediaID    string `gorm:"primaryKey"`
	Position   int
	SessionID  string
	Kind       Kind
	Size       int64
	SHA256     []byte `gorm:"column:sha256"`
	AcquiredAt time.Time
	DueAt      time.Time
	// PurgedAt is when it was purged before it was written.
	PurgedAt *time.Time
}

// SHA256Hex is the hash as people compare it.
func (f *ExportFile) SHA256Hex() string { return hex.EncodeToString(f.SHA256) }

// NewExport describes a request.
type NewExport struct {
	CaseID                               string
	FileIDs                              []string
	Ground                               ExportGround
	Law, Document, Incident, Description string
	Medium                               string
	PermittedID                          string
}

// check refuses what is not exactly one ground with what it asks for.
func (in *NewExport) check() error {
	for _, s := range []*string{&in.Law, &in.Document, &in.Incident, &in.Description, &in.Medium} {
		*s = strings.TrimSpace(*s)
	}
	given := func(s string) bool { return s != "" && plainText(s, maxExportText) }
	none := func(all ...string) bool { return strings.Join(all, "") == "" }
	var fits bool
	switch in.Ground {
	case GroundDisclosure:
		fits = given(in.Law) && given(in.Document) && none(in.Incident, in.Description)
	case GroundIllegalAct:
		fits = given(in.Incident) && none(in.Law, in.Document, in.Description)
	case GroundOther:
		fits = in.Description != "" && plainText(in.Description, maxExportWords) && none(in.Law, in.Document, in.Incident)
	}
	if !fits {
		return problem.New(problem.ExportGround)
	}
	slices.Sort(in.FileIDs)
	in.FileIDs = slices.Compact(in.FileIDs)
	if in.Medium == "" || !plainText(in.Medium, maxMedium) || len(in.FileIDs) == 0 || len(in.FileIDs) > MaxExportFiles {
		return problem.New(problem.BadInput)
	}
	return nil
}

// RequestExport asks for an export. EXPORT_GROUND, EXPORT_FILE_UNFIT,
// PERSON_UNFIT, NOT_FOUND, MISDIRECTED, WITHHELD.
func (e *Evidence) RequestExport(ctx context.Context, actor policy.Actor, in NewExport) (*ExportRequest, error) {
	if actor.Kind != policy.User {
		return nil, problem.New(problem.Forbidden)
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	files, err := e.exportable(ctx, actor, in)
	if err != nil {
		return nil, err
	}
	if err := e.permissible(ctx, actor.Agency, in.PermittedID); err != nil {
		return nil, err
	}
	r := &ExportRequest{
		ID: identity.NewID(), AgencyID: actor.Agency, CaseID: in.CaseID, Ground: in.Ground, Law: in.Law, Document: in.Document,
		Incident: in.Incident, Description: in.Description, Medium: in.Medium, PermittedID: in.PermittedID, RequestedBy: actor.ID,
		State: ExportIsRequested, FirstDueAt: *files[0].DueAt, Alarm: AlarmRequested,
	}
	err = e.DB.InTx(ctx, func(tx *database.Tx) error {
		rows := make([]ExportFile, 0, len(files))
		for i, m := range files {
			var still MediaFile
			if err := tx.Lock().Take(&still, "id = ?", m.ID).Error; err != nil {
				if errors.Is(err, gorm.ErrRecordNotFound) {
					return problem.New(problem.Gone)
				}
				return err
			}
			if m.DueAt.Before(r.FirstDueAt) {
				r.FirstDueAt = *m.DueAt
			}
			rows = append(rows, ExportFile{
				ExportID: r.ID, MediaID: m.ID, Position: i + 1, SessionID: m.SessionID, Kind: m.Kind, Size: m.Size, SHA256: m.SHA256,
				AcquiredAt: *m.AcquiredAt, DueAt: *m.DueAt,
			})
		}
		r.RequestedAt, r.ChangedAt = tx.Now, tx.Now
		r.Alarm = alarmAt(r.FirstDueAt, tx.Now)
		if err := tx.Create(r).Error; err != nil {
			return err
		}
		if err := tx.Create(&rows).Error; err != nil {
			return err
		}
		e.Journal.Append(tx, r.entry(actor, journal.ExportRequested, map[string]any{
			"ground": r.Ground, "law": r.Law, "document": r.Document, "incident": r.Incident, "description": r.Description,
			"medium": r.Medium, "permitted": r.PermittedID, "files": in.FileIDs, "firstDueAt": r.FirstDueAt,
		}))
		e.Journal.Append(tx, r.entry(policy.SystemActor(), journal.ExportAlarm, map[string]any{"alarm": r.Alarm, "firstDueAt": r.FirstDueAt}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("request export: %w", err)
	}
	return r, nil
}

// exportable reads the files of a request in the order of their acquisition.
func (e *Evidence) exportable(ctx context.Context, actor policy.Actor, in NewExport) ([]*MediaFile, error) {
	files := make([]*MediaFile, 0, len(in.FileIDs))
	for _, id := range in.FileIDs {
		m, err := e.File(ctx, actor, id)
		if err != nil {
			return nil, err
		}
		if err := e.visible(ctx, actor, m); err != nil {
			return nil, err
		}
		if m.CaseID != in.CaseID || m.State == Receiving || m.SHA256 == nil || m.KeyWrapped == nil || m.DueAt == nil {
			return nil, problem.New(problem.ExportFileUnfit)
		}
		files = append(files, m)
	}
	slices.SortFunc(files, func(a, b *MediaFile) int {
		if c := a.AcquiredAt.Compare(*b.AcquiredAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return files, nil
}

// permissible refuses whom no export may be permitted to: only those who
// operate receiving terminals write one (第5の2).
func (e *Evidence) permissible(ctx context.Context, agency, user string) error {
	found, err := e.Identity.Users(ctx, agency, []string{user})
	if err != nil {
		return err
	}
	u := found[user]
	switch {
	case u == nil:
		return problem.New(problem.NotFound)
	case u.Status != identity.Active, u.Role != policy.Supervisor && u.Role != policy.Dispatcher:
		return problem.New(problem.PersonUnfit)
	}
	return nil
}

func (r *ExportRequest) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{
		Agency: r.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Export, ID: r.ID}, CaseID: r.CaseID, Payload: payload,
	}
}

// changeExport locks a request and saves what change made of it.
func (e *Evidence) changeExport(ctx context.Context, actor policy.Actor, id string, change func(*database.Tx, *ExportRequest) error) (*ExportRequest, error) {
	var r ExportRequest
	err := e.DB.InTx(ctx, func(tx *database.Tx) error {
		err := tx.Lock().Take(&r, "id = ? AND agency_id = ?", id, actor.Agency).Error
		if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && !r.shownTo(actor) {
			return problem.New(problem.NotFound)
		}
		if err != nil {
			return err
		}
		if err := change(tx, &r); err != nil {
			return err
		}
		r.ChangedAt = tx.Now
		return tx.Save(&r).Error
	})
	if err != nil {
		return nil, fmt.Errorf("change export: %w", err)
	}
	return &r, nil
}

// shownTo tells who sees a request: managers and supervisors all of the
// agency's, a dispatcher those they asked for or are permitted to write.
func (r *ExportRequest) shownTo(actor policy.Actor) bool {
	return actor.Role != policy.Dispatcher || r.RequestedBy == actor.ID || r.PermittedID == actor.ID
}

// Decision approves a request with another touch of the passkey, or refuses it
// with the reason.
type Decision struct {
	Approve      bool
	Refusal      string
	Confirmation identity.Confirmation
}

// DecideExport approves or refuses a request (第6の5): the manager does, or a
// deputy within their time, never the requester and never the person permitted.
// EXPORT_OWN_REQUEST, EXPORT_NOT_DEPUTY, EXPORT_STATE, REASON_MISSING,
// CONFIRMATION_MISSING, CONFIRMATION_REFUSED.
func (e *Evidence) DecideExport(ctx context.Context, actor policy.Actor, id string, d Decision) (*ExportRequest, error) {
	approve, refusal := d.Approve, strings.TrimSpace(d.Refusal)
	if !plainText(refusal, maxExportText) {
		return nil, problem.New(problem.BadInput)
	}
	if approve { // a touch is asked for only where it could decide something
		r, err := e.Export(ctx, actor, id)
		if err != nil {
			return nil, err
		}
		if _, err := e.approver(ctx, actor, r); err != nil {
			return nil, err
		}
		if r.State != ExportIsRequested {
			return nil, problem.New(problem.ExportState)
		}
		if err := e.Identity.Confirm(ctx, actor, identity.ApproveExport, id, d.Confirmation); err != nil {
			return nil, err
		}
	}
	return e.changeExport(ctx, actor, id, func(tx *database.Tx, r *ExportRequest) error {
		as, err := e.approver(tx.Context(), actor, r)
		switch {
		case err != nil:
			return err
		case r.State != ExportIsRequested:
			return problem.New(problem.ExportState)
		case !approve && refusal == "":
			return problem.New(problem.ReasonMissing)
		}
		r.DecidedBy, r.DecidedAs, r.DecidedAt = actor.ID, as, &tx.Now
		what := journal.ExportApproved
		if approve {
			if err := e.permissible(tx.Context(), r.AgencyID, r.PermittedID); err != nil {
				return err
			}
			r.State = ExportIsApproved
		} else {
			r.State, r.Refusal, what = ExportIsRefused, refusal, journal.ExportRefused
		}
		e.Journal.Append(tx, r.entry(actor, what, map[string]any{"as": as, "reason": refusal, "permitted": r.PermittedID, "medium": r.Medium}))
		return nil
	})
}

// approver tells as whom the actor may decide.
func (e *Evidence) approver(ctx context.Context, actor policy.Actor, r *ExportRequest) (Approver, error) {
	if actor.ID == r.RequestedBy || actor.ID == r.PermittedID {
		return "", problem.New(problem.ExportOwnRequest)
	}
	if actor.Role == policy.Manager {
		return AsManager, nil
	}
	deputy, err := e.Identity.IsDeputy(ctx, actor.Agency, actor.ID)
	if err != nil {
		return "", err
	}
	if !deputy {
		return "", problem.New(problem.ExportNotDeputy)
	}
	return AsDeputy, nil
}

// MayDecide tells whether the actor could decide the request now.
func (e *Evidence) MayDecide(ctx context.Context, actor policy.Actor, r *ExportRequest) (bool, error) {
	if r.State != ExportIsRequested {
		return false, nil
	}
	_, err := e.approver(ctx, actor, r)
	if problem.Is(err, problem.ExportOwnRequest) || problem.Is(err, problem.ExportNotDeputy) {
		return false, nil
	}
	return err == nil, err
}

// MayWrite tells whether the actor could write the request now.
func (r *ExportRequest) MayWrite(actor policy.Actor) bool { return r.writable(actor) == nil }

// ExportReceipt says who took the medium.
type ExportReceipt struct {
	Receiver string
	// At is when; zero is now. ReturnBy is when the medium shall be back.
	At       *time.Time
	ReturnBy *time.Time
}

// ReceiptExport records who took the medium and when it shall be back (第6の5).
// EXPORT_STATE, BAD_INPUT.
func (e *Evidence) ReceiptExport(ctx context.Context, actor policy.Actor, id string, in ExportReceipt) (*ExportRequest, error) {
	in.Receiver = strings.TrimSpace(in.Receiver)
	if in.Receiver == "" || !plainText(in.Receiver, maxExportText) {
		return nil, problem.New(problem.BadInput)
	}
	return e.changeExport(ctx, actor, id, func(tx *database.Tx, r *ExportRequest) error {
		if r.State != ExportIsWritten {
			return problem.New(problem.ExportState)
		}
		at := tx.Now
		if in.At != nil {
			at = database.Instant(*in.At)
		}
		if at.After(tx.Now) || r.WrittenAt == nil || at.Before(r.WrittenAt.Truncate(time.Minute)) {
			return problem.New(problem.BadInput)
		}
		if in.ReturnBy != nil {
			by := database.Instant(*in.ReturnBy)
			if !by.After(at) || by.After(at.AddDate(0, 0, maxReturnDays)) {
				return problem.New(problem.BadInput)
			}
			r.ReturnBy = &by
		}
		r.State, r.Receiver, r.ReceiptBy, r.ReceiptedAt = ExportIsReceipted, in.Receiver, actor.ID, &at
		e.Journal.Append(tx, r.entry(actor, journal.ExportReceipted, map[string]any{"receiver": r.Receiver, "at": at, "returnBy": r.ReturnBy, "medium": r.Medium}))
		return nil
	})
}

// CloseExport records that the medium came back, or was disposed of, and how
// (第6の5). EXPORT_STATE, REASON_MISSING for a disposal that does not say how.
func (e *Evidence) CloseExport(ctx context.Context, actor policy.Actor, id string, disposed bool, note string) (*ExportRequest, error) {
	note = strings.TrimSpace(note)
	switch {
	case disposed && note == "":
		return nil, problem.New(problem.ReasonMissing)
	case !plainText(note, maxExportText):
		return nil, problem.New(problem.BadInput)
	}
	return e.changeExport(ctx, actor, id, func(tx *database.Tx, r *ExportRequest) error {
		if r.State != ExportIsWritten && r.State != ExportIsReceipted {
			return problem.New(problem.ExportState)
		}
		r.State = ExportIsReturned
		if disposed {
			r.State = ExportIsDisposed
		}
		r.ClosedBy, r.ClosedAt, r.ClosingNote = actor.ID, &tx.Now, note
		e.Journal.Append(tx, r.entry(actor, journal.ExportMediumClosed, map[string]any{"state": r.State, "note": note, "medium": r.Medium}))
		return nil
	})
}

// alarmAt is how loudly a request whose first file is due then calls now.
func alarmAt(due, now time.Time) ExportAlarm {
	switch left := due.Sub(now); {
	case left <= 6*time.Hour:
		return Alarm6
	case left <= 48*time.Hour:
		return Alarm48
	}
	return AlarmRequested
}

// AlarmExports raises the alarm of every open request whose first file is due
// in 48 or in 6 hours, once each. Call it every minute.
func (e *Evidence) AlarmExports(ctx context.Context) (raised int, err error) {
	now := e.DB.Now()
	err = e.DB.InTx(ctx, func(tx *database.Tx) error {
		raised = 0
		var near []ExportRequest
		q := tx.LockFree().Where("state IN ?", []ExportState{ExportIsRequested, ExportIsApproved})
		q = q.Where("(first_due_at <= ? AND alarm = ?) OR (first_due_at <= ? AND alarm <> ?)", now.Add(48*time.Hour), AlarmRequested, now.Add(6*time.Hour), Alarm6)
		if err := q.Order("id").Limit(purgeBatch).Find(&near).Error; err != nil {
			return err
		}
		for _, r := range near {
			r.Alarm = alarmAt(r.FirstDueAt, now)
			if err := tx.Model(&r).Updates(map[string]any{"alarm": r.Alarm, "changed_at": tx.Now}).Error; err != nil {
				return err
			}
			e.Journal.Append(tx, r.entry(policy.SystemActor(), journal.ExportAlarm, map[string]any{"alarm": r.Alarm, "firstDueAt": r.FirstDueAt}))
			raised++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("raise export alarms: %w", err)
	}
	return raised, nil
}

// lose tells the open requests, in the transaction of the purge, that one of
// their files is gone before it was written. A request of which nothing is left
// has expired: purge never waits (第6の4).
func (e *Evidence) lose(tx *database.Tx, m *MediaFile) error {
	var open []ExportRequest
	err := tx.Lock().Order("id").Where("state IN ?", []ExportState{ExportIsRequested, ExportIsApproved}).
		Find(&open, "id IN (?)", tx.Model(&ExportFile{}).Select("export_id").Where("media_id = ? AND purged_at IS NULL", m.ID)).Error
	if err != nil {
		return fmt.Errorf("look for exports of a purged file: %w", err)
	}
	for _, r := range open {
		if err := e.loseFrom(tx, &r, m); err != nil {
			return fmt.Errorf("mark lost file of export: %w", err)
		}
	}
	return nil
}

func (e *Evidence) loseFrom(tx *database.Tx, r *ExportRequest, m *MediaFile) error {
	if err := tx.Model(&ExportFile{}).Where("export_id = ? AND media_id = ?", r.ID, m.ID).Update("purged_at", tx.Now).Error; err != nil {
		return err
	}
	var left int64
	if err := tx.Model(&ExportFile{}).Where("export_id = ? AND purged_at IS NULL", r.ID).Count(&left).Error; err != nil {
		return err
	}
	entry := r.entry(policy.SystemActor(), journal.ExportFileLost, map[string]any{"media": m.ID, "left": left})
	entry.SessionID = m.SessionID
	e.Journal.Append(tx, entry)
	change := map[string]any{"changed_at": tx.Now}
	if left == 0 {
		change["state"] = ExportIsExpired
		e.Journal.Append(tx, r.entry(policy.SystemActor(), journal.ExportExpired, nil))
	}
	return tx.Model(r).Updates(change).Error
}

// ExportFilter narrows a list of requests. Empty fields do not narrow.
type ExportFilter struct {
	CaseID *string
	States []ExportState
	// Overdue asks for those whose medium should be back by now.
	Overdue *bool
	// Permitted asks for those that the user may write.
	PermittedID *string
}

// Exports lists the requests that the actor sees, newest first, at most limit,
// after a place.
func (e *Evidence) Exports(ctx context.Context, actor policy.Actor, f ExportFilter, after *Place, limit int) ([]*ExportRequest, error) {
	q := e.DB.Read(ctx).Where("agency_id = ?", actor.Agency)
	if actor.Role == policy.Dispatcher {
		q = q.Where("(requested_by = ? OR permitted_id = ?)", actor.ID, actor.ID)
	}
	q = where(q, "case_id = ?", f.CaseID)
	q = where(q, "permitted_id = ?", f.PermittedID)
	if len(f.States) > 0 {
		q = q.Where("state IN ?", f.States)
	}
	if f.Overdue != nil {
		overdue := "(state = ? AND return_by IS NOT NULL AND return_by < ?)"
		if !*f.Overdue {
			overdue = "NOT " + overdue
		}
		q = q.Where(overdue, ExportIsReceipted, e.DB.Now())
	}
	if after != nil {
		q = q.Where("(requested_at, id) < (?, ?)", database.Instant(after.At), after.ID)
	}
	var found []*ExportRequest
	if err := q.Order("requested_at DESC, id DESC").Limit(limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list exports: %w", err)
	}
	return found, nil
}

// Export reads one request that the actor sees. NOT_FOUND.
func (e *Evidence) Export(ctx context.Context, actor policy.Actor, id string) (*ExportRequest, error) {
	if _, err := identity.ParseID(id); err != nil {
		return nil, problem.Wrap(problem.NotFound, err)
	}
	var r ExportRequest
	found := e.DB.Read(ctx).Limit(1).Find(&r, "id = ? AND agency_id = ?", id, actor.Agency)
	if found.Error != nil {
		return nil, fmt.Errorf("read export: %w", found.Error)
	}
	if found.RowsAffected == 0 || !r.shownTo(actor) {
		return nil, problem.New(problem.NotFound)
	}
	return &r, nil
}

// FindExport reads one request of any agency, for the command line. NOT_FOUND.
func (e *Evidence) FindExport(ctx context.Context, id string) (*ExportRequest, error) {
	var r ExportRequest
	if _, err := identity.ParseID(id); err != nil {
		return nil, problem.Wrap(problem.NotFound, err)
	}
	found := e.DB.Read(ctx).Limit(1).Find(&r, "id = ?", id)
	if found.Error != nil {
		return nil, fmt.Errorf("read export: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return nil, problem.New(problem.NotFound)
	}
	return &r, nil
}

// ExportFiles reads the files of requests, in their order.
func (e *Evidence) ExportFiles(ctx context.Context, exports []string) (map[string][]*ExportFile, error) {
	var found []*ExportFile
	if err := e.DB.Read(ctx).Where("export_id IN ?", exports).Order("export_id, position").Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read files of exports: %w", err)
	}
	byExport := make(map[string][]*ExportFile, len(exports))
	for _, f := range found {
		byExport[f.ExportID] = append(byExport[f.ExportID], f)
	}
	return byExport, nil
}

// plainText tells whether a text is one that both engines keep as it is.
func plainText(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && !strings.ContainsRune(s, 0)
}
