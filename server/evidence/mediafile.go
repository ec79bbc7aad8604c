package evidence

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/blob"
	"genba/server/identity"
	"genba/server/problem"
)

// Kind is what sort of media file it is.
type Kind string

// The kinds of media file.
const (
	KindRecording Kind = "RECORDING"
	KindPhoto     Kind = "PHOTO"
	KindVideo     Kind = "VIDEO"
	KindSnapshot  Kind = "SNAPSHOT"
)

// Capture is the phone's claim of when a file was taken.
type Capture string

// The claims.
const (
	CaptureNow    Capture = "NOW"
	CaptureBefore Capture = "BEFORE"
)

// State is how far a media file has come. COMPLETE and INCOMPLETE are final,
// and due alike.
type State string

// The states.
const (
	Receiving  State = "RECEIVING"
	Complete   State = "COMPLETE"
	Incomplete State = "INCOMPLETE"
)

// PreviewState is whether a picture can be shown.
type PreviewState string

// The states of a preview.
const (
	PreviewNone       PreviewState = "NONE"
	PreviewPending    PreviewState = "PENDING"
	PreviewReady      PreviewState = "READY"
	PreviewImpossible PreviewState = "IMPOSSIBLE"
)

// Why a file is INCOMPLETE.
const (
	ReasonSessionEnded = "SESSION_ENDED"
	ReasonNotSaved     = "NOT_SAVED"
	ReasonDamaged      = "DAMAGED"
)

// MediaFile is one row of media_files (映像等ファイル, 第2の4).
type MediaFile struct {
	ID        string `gorm:"primaryKey"`
	AgencyID  string
	CaseID    string
	SessionID string
	// PhoneID is the phone that sent it; empty for a snapshot.
	PhoneID string
	// Uploader is who sent it, as the journal names actors.
	UploaderKind policy.Kind
	UploaderID   string
	UploaderRole policy.Role
	Kind         Kind
	Capture      Capture
	State        State
	// Reason says why it is INCOMPLETE.
	Reason      string
	ContentType string
	// DeclaredSize is what was announced, in bytes; Size what was received.
	DeclaredSize int64
	Size         int64
	// SHA256 is of the bytes as received; Chain is the head of the hash chain
	// over the sealed segments, of which there are Segments.
	SHA256         []byte `gorm:"column:sha256"`
	Chain          []byte
	Segments       int
	NameSealed     []byte
	MetadataSealed []byte
	// KeyWrapped is the file's key, wrapped by the key of its due day.
	KeyWrapped    []byte
	Preview       PreviewState
	Width, Height int
	DurationMs    int64
	// Gaps counts the places of a recording where pictures were lost.
	Gaps int
	// Node is the machine that holds it while it is open.
	Node string
	// SourceIDs are the files it was made from.
	SourceIDs  []string `gorm:"serializer:json"`
	CreatedAt  time.Time
	AcquiredAt *time.Time
	DueAt      *time.Time
	DueDay     string
}

// SHA256Hex is the hash as people compare it; empty while receiving.
func (m *MediaFile) SHA256Hex() string { return hex.EncodeToString(m.SHA256) }

func (m *MediaFile) uploader() policy.Actor {
	a := policy.Actor{Kind: m.UploaderKind, ID: m.UploaderID, Agency: m.AgencyID, Role: m.UploaderRole}
	if m.PhoneID != "" {
		a.Session = m.SessionID
	}
	return a
}

func blobName(m *MediaFile) string    { return m.AgencyID + "/" + m.ID }
func previewName(m *MediaFile) string { return blobName(m) + ".preview" }
func headName(m *MediaFile) string    { return blobName(m) + ".head" }

func openKeyName(id string) string         { return openKeys + id }
func dueKeyName(agency, day string) string { return dueKeys + agency + "/" + day }
func blobNames(m *MediaFile) []string      { return []string{blobName(m), previewName(m), headName(m)} }

func mediaOf(name string) (id string) {
	id = name[strings.LastIndexByte(name, '/')+1:]
	id, _, _ = strings.Cut(id, ".")
	return id
}

const (
	openKeys = "open/"
	dueKeys  = "due/"
)

// find reads a row; NotFound where there is none.
func find(q *gorm.DB, id string) (*MediaFile, error) {
	var m MediaFile
	if _, err := identity.ParseID(id); err != nil {
		return nil, problem.Wrap(problem.NotFound, err)
	}
	err := q.Take(&m, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, problem.New(problem.NotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read media file: %w", err)
	}
	return &m, nil
}

// key is the file's own key, from the key store while the file is open, else
// unwrapped. A key whose due day was destroyed is Gone.
func (e *Evidence) key(m *MediaFile) (*blob.Key, error) {
	if m.KeyWrapped == nil {
		key, err := e.Keys.Get(openKeyName(m.ID))
		if err != nil {
			return nil, fmt.Errorf("key of open file: %w", err)
		}
		return key, nil
	}
	day, err := e.Keys.Get(dueKeyName(m.AgencyID, m.DueDay))
	if errors.Is(err, blob.ErrNoKey) {
		return nil, problem.Wrap(problem.Gone, err)
	}
	if err != nil {
		return nil, fmt.Errorf("key of due day: %w", err)
	}
	return day.Unwrap(m.KeyWrapped)
}

// File reads one media file of the actor's agency. NotFound stands for another
// agency's as well; a file that is overdue is Withheld, a purged one Gone.
func (e *Evidence) File(ctx context.Context, actor policy.Actor, id string) (*MediaFile, error) {
	m, err := find(e.DB.Read(ctx), id)
	if problem.Is(err, problem.NotFound) {
		return nil, e.goneOr(ctx, actor, id, err)
	}
	if err != nil {
		return nil, err
	}
	if m.AgencyID != actor.Agency {
		return nil, problem.New(problem.NotFound)
	}
	if e.overdue(m) {
		return nil, problem.New(problem.Withheld)
	}
	return m, nil
}

func (e *Evidence) goneOr(ctx context.Context, actor policy.Actor, id string, other error) error {
	if _, err := identity.ParseID(id); err != nil {
		return other
	}
	var n int64
	err := e.DB.Read(ctx).Model(&ledgerRow{}).Where("media_id = ? AND agency_id = ?", id, actor.Agency).Count(&n).Error
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	if n > 0 {
		return problem.New(problem.Gone)
	}
	return other
}

// overdue is true from a file's due time on, purged or not, whatever the wall
// clock was set back to since.
func (e *Evidence) overdue(m *MediaFile) bool {
	return m.DueAt != nil && !e.latest().Before(*m.DueAt)
}

// Name opens the file's name on the phone; empty where it had none.
func (e *Evidence) Name(m *MediaFile) (string, error) {
	plain, err := e.openSealed(m, m.NameSealed)
	return string(plain), err
}

// Metadata opens what the file says of itself; nil where nothing was read.
func (e *Evidence) Metadata(m *MediaFile) (*CaptureMetadata, error) {
	plain, err := e.openSealed(m, m.MetadataSealed)
	if err != nil || plain == nil {
		return nil, err
	}
	var c CaptureMetadata
	if err := json.Unmarshal(plain, &c); err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	return &c, nil
}

func (e *Evidence) openSealed(m *MediaFile, sealed []byte) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	key, err := e.key(m)
	if err != nil {
		return nil, err
	}
	return key.Open(sealed)
}
