package evidence

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"html/template"
	"io"
	"strings"
	texttemplate "text/template"
	"time"

	"genba/policy"
	"genba/server/cases"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// The names inside an archive. Everything is a plain file in one tar, in this
// order: the words, the journal, the originals, the tracks, then what was
// computed of them.
const (
	archiveCheck      = "CHECK.txt"
	archiveJournal    = "journal/"
	archiveCheckpoint = "checkpoint.txt"
	archiveCheckSig   = "checkpoint.sig"
	archiveKey        = "checkpoint-key.pem"
	archiveOriginals  = "originals/"
	archiveManifest   = "manifest.json"
	archiveManSig     = "manifest.sig"
	archiveIndex      = "index.html"
	archiveSums       = "SHA256SUMS"

	archiveFormat = "genba-export-1"
	archiveMode   = 0o444
)

// originalTypes are the endings of originals; what is not here gets none.
var originalTypes = map[string]string{
	"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/heic": ".heic", "image/heif": ".heif", "image/avif": ".avif",
	"video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov", "video/3gpp": ".3gp", "video/3gpp2": ".3g2",
}

// Marks are the classes of what an export holds (第6の2).
var Marks = []string{"機密性2(中)", "完全性2(高)", "可用性1(低)"}

// Manifest is manifest.json: what an archive holds, and how it came to be.
type Manifest struct {
	Format  string          `json:"format"`
	Marks   []string        `json:"marks"`
	Agency  manifestAgency  `json:"agency"`
	Case    manifestCase    `json:"case"`
	Export  manifestExport  `json:"export"`
	Files   []ManifestFile  `json:"files"`
	Missing []manifestLost  `json:"missing"`
	Tracks  []manifestTrack `json:"tracks"`
	Journal manifestJournal `json:"journal"`
	// Key is the fingerprint of the key that checkpoint and manifest are signed with.
	Key string `json:"keyFingerprint"`
}

type manifestAgency struct {
	ID     string `json:"id"`
	Code   string `json:"code"`
	NameJa string `json:"nameJa"`
	NameEn string `json:"nameEn"`
}

type manifestCase struct {
	ID           string    `json:"id"`
	Number       string    `json:"number"`
	Class        string    `json:"class"`
	Municipality string    `json:"municipality"`
	Place        string    `json:"place"`
	Drill        bool      `json:"drill"`
	OpenedAt     time.Time `json:"openedAt"`
}

type manifestPerson struct {
	ID   string      `json:"id"`
	Name string      `json:"name"`
	Role policy.Role `json:"role"`
}

type manifestExport struct {
	ID          string         `json:"id"`
	Ground      ExportGround   `json:"ground"`
	Law         string         `json:"law,omitempty"`
	Document    string         `json:"documentNumber,omitempty"`
	Incident    string         `json:"incidentNumber,omitempty"`
	Description string         `json:"description,omitempty"`
	Medium      string         `json:"medium"`
	RequestedBy manifestPerson `json:"requestedBy"`
	RequestedAt time.Time      `json:"requestedAt"`
	ApprovedBy  manifestPerson `json:"approvedBy"`
	ApprovedAs  Approver       `json:"approvedAs"`
	ApprovedAt  time.Time      `json:"approvedAt"`
	PermittedTo manifestPerson `json:"permittedTo"`
	Writing     string         `json:"writing"`
	WrittenFrom time.Time      `json:"writtenFrom"`
}

// ManifestFile is one original.
type ManifestFile struct {
	Path   string `json:"path"`
	ID     string `json:"id"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`

	Kind        Kind    `json:"kind"`
	Capture     Capture `json:"capture"`
	State       State   `json:"state"`
	Reason      string  `json:"reason,omitempty"`
	ContentType string  `json:"contentType"`
	// Name is the file's name on the phone.
	Name     string           `json:"name,omitempty"`
	Metadata *CaptureMetadata `json:"metadata,omitempty"`
	// ClockDifferenceSeconds is the server's time of receipt less the time that
	// the file itself gives; nothing where it gives none.
	ClockDifferenceSeconds *int64   `json:"clockDifferenceSeconds,omitempty"`
	Session                string   `json:"session"`
	SenderKind             string   `json:"senderKind"`
	Sources                []string `json:"sources,omitempty"`
	// SegmentChain is the head of the hash chain under which the file was sealed,
	// piece by piece, as it came in.
	SegmentChain string     `json:"segmentChain"`
	Segments     int        `json:"segments"`
	Gaps         int        `json:"gaps,omitempty"`
	ReceivedFrom time.Time  `json:"receivedFrom"`
	AcquiredAt   *time.Time `json:"acquiredAt"`
	DueAt        *time.Time `json:"dueAt"`
}

type manifestLost struct {
	ID     string `json:"id"`
	Kind   Kind   `json:"kind"`
	SHA256 string `json:"sha256"`
	// PurgedAt is when it was purged; nothing where it is only withheld.
	PurgedAt *time.Time `json:"purgedAt,omitempty"`
}

type manifestPart struct {
	Path    string `json:"path"`
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	Entries int    `json:"entries"`
}

type manifestJournal struct {
	Parts      []manifestPart     `json:"parts"`
	Checkpoint journal.Checkpoint `json:"checkpoint"`
}

// archive is one tar being written; sums are of what it holds so far.
type archive struct {
	tar  *tar.Writer
	now  time.Time
	sums bytes.Buffer
}

// add writes one file of known size and answers its hash.
func (a *archive) add(name string, size int64, body io.Reader) ([]byte, error) {
	err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: archiveMode, ModTime: a.now, Format: tar.FormatPAX})
	if err != nil {
		return nil, fmt.Errorf("write archive: %w", err)
	}
	sum := sha256.New()
	if n, err := io.Copy(io.MultiWriter(a.tar, sum), io.LimitReader(body, size)); err != nil || n < size {
		return nil, errors.Join(fmt.Errorf("write %s into archive: %d of %d bytes", name, n, size), err)
	}
	if name != archiveSums {
		fmt.Fprintf(&a.sums, "%x  %s\n", sum.Sum(nil), name)
	}
	return sum.Sum(nil), nil
}

func (a *archive) text(name string, text []byte) ([]byte, error) {
	return a.add(name, int64(len(text)), bytes.NewReader(text))
}

// contents is all that an archive is made of.
type contents struct {
	export  *ExportRequest
	writing *exportWriting
	agency  *identity.Agency
	kase    *cases.Case
	people  map[string]*identity.User
	files   []*ExportFile
	key     ed25519.PrivateKey
	point   *journal.Checkpoint
}

// gather reads what an archive says, and signs where the journal stands after
// the entry of this very writing.
func (e *Evidence) gather(ctx context.Context, r *ExportRequest, w *exportWriting) (*contents, error) {
	c := &contents{export: r, writing: w}
	var err error
	if c.agency, err = e.Identity.Agency(ctx, r.AgencyID); err != nil {
		return nil, err
	}
	found, err := e.Cases.Cases(ctx, r.AgencyID, []string{r.CaseID})
	if err != nil {
		return nil, err
	}
	if c.kase = found[r.CaseID]; c.kase == nil {
		return nil, problem.New(problem.NotFound)
	}
	if c.people, err = e.Identity.Users(ctx, r.AgencyID, []string{r.RequestedBy, r.DecidedBy, r.PermittedID}); err != nil {
		return nil, err
	}
	files, err := e.ExportFiles(ctx, []string{r.ID})
	if err != nil {
		return nil, err
	}
	c.files = files[r.ID]
	if c.key, err = e.Keys.Signer(journal.CheckpointKey); err != nil {
		return nil, err
	}
	if c.point, err = e.Journal.CheckpointAgency(ctx, r.AgencyID, c.key); err != nil {
		return nil, err
	}
	if c.point == nil {
		return nil, errors.New("export: the journal is empty")
	}
	return c, nil
}

func (c *contents) person(id string) manifestPerson {
	u := c.people[id]
	if u == nil {
		return manifestPerson{ID: id}
	}
	return manifestPerson{ID: id, Name: u.DisplayName, Role: u.Role}
}

// writeArchive writes everything as one tar into out, in bounded memory: no file
// is held as a whole. open opens an original for as long as it may be read.
func (e *Evidence) writeArchive(ctx context.Context, out io.Writer, c *contents, open func(*MediaFile) (io.ReadCloser, error)) (err error) {
	a := &archive{tar: tar.NewWriter(out), now: c.writing.OpenedAt.Truncate(time.Second)}
	public, _ := c.key.Public().(ed25519.PublicKey)
	pem, err := journal.PublicKeyPEM(public)
	if err != nil {
		return err
	}
	m := c.manifest(journal.Fingerprint(public))
	check, err := renderCheck(&m)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{archiveCheck, check}, {archiveKey, pem}, {archiveCheckpoint, c.point.Text()}, {archiveCheckSig, c.point.Signature}} {
		if _, err := a.text(f.name, f.text); err != nil {
			return err
		}
	}
	err = e.Journal.Excerpt(ctx, c.export.AgencyID, c.export.CaseID, c.point.Number, func(lines []byte, entries int) error {
		name := fmt.Sprintf("%s%04d.jsonl", archiveJournal, len(m.Journal.Parts)+1)
		sum, err := a.text(name, lines)
		m.Journal.Parts = append(m.Journal.Parts, manifestPart{Path: name, SHA256: hex.EncodeToString(sum), Size: int64(len(lines)), Entries: entries})
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range c.files {
		if err := e.writeOriginal(ctx, a, &m, f, open); err != nil {
			return err
		}
	}
	if len(m.Files) == 0 {
		return problem.New(problem.Gone)
	}
	if err := e.writeTracks(ctx, a, &m); err != nil {
		return err
	}
	return c.close(a, &m)
}

// writeOriginal writes one file's bytes exactly as they were received, and
// refuses bytes that are not those.
func (e *Evidence) writeOriginal(ctx context.Context, a *archive, m *Manifest, f *ExportFile, open func(*MediaFile) (io.ReadCloser, error)) error {
	lost := manifestLost{ID: f.MediaID, Kind: f.Kind, SHA256: f.SHA256Hex(), PurgedAt: f.PurgedAt}
	media, err := find(e.DB.Read(ctx), f.MediaID)
	if problem.Is(err, problem.NotFound) || err == nil && e.overdue(media) {
		m.Missing = append(m.Missing, lost)
		return nil
	}
	if err != nil {
		return err
	}
	name, err := e.Name(media)
	if err != nil {
		return err
	}
	said, err := e.Metadata(media)
	if err != nil {
		return err
	}
	body, err := open(media)
	if err != nil {
		return err
	}
	defer body.Close()
	in := manifestFile(media, name, said)
	in.Path = fmt.Sprintf("%s%04d-%s%s", archiveOriginals, f.Position, media.ID, originalTypes[media.ContentType])
	sum, err := a.add(in.Path, media.Size, body)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, media.SHA256) {
		return fmt.Errorf("media file %s is not what was received: its hash differs", media.ID)
	}
	m.Files = append(m.Files, in)
	return nil
}

func manifestFile(m *MediaFile, name string, said *CaptureMetadata) ManifestFile {
	f := ManifestFile{
		ID: m.ID, SHA256: m.SHA256Hex(), Size: m.Size, Kind: m.Kind, Capture: m.Capture, State: m.State, Reason: m.Reason, ContentType: m.ContentType,
		Name: name, Metadata: said, Session: m.SessionID, SenderKind: string(m.UploaderKind), Sources: m.SourceIDs,
		SegmentChain: hex.EncodeToString(m.Chain), Segments: m.Segments, Gaps: m.Gaps, ReceivedFrom: m.CreatedAt, AcquiredAt: m.AcquiredAt, DueAt: m.DueAt,
	}
	if said != nil && said.CapturedAt != nil && m.AcquiredAt != nil {
		difference := int64(m.AcquiredAt.Sub(*said.CapturedAt).Seconds())
		f.ClockDifferenceSeconds = &difference
	}
	return f
}

func (c *contents) manifest(fingerprint string) Manifest {
	r := c.export
	m := Manifest{
		Format: archiveFormat, Marks: Marks, Key: fingerprint, Files: []ManifestFile{}, Missing: []manifestLost{}, Tracks: []manifestTrack{},
		Agency: manifestAgency{c.agency.ID, c.agency.Code, c.agency.NameJa, c.agency.NameEn},
		Case: manifestCase{
			ID: c.kase.ID, Number: c.kase.Number, Class: string(c.kase.Class), Municipality: c.kase.Municipality, Place: c.kase.Place,
			Drill: c.kase.Drill, OpenedAt: c.kase.OpenedAt,
		},
		Export: manifestExport{
			ID: r.ID, Ground: r.Ground, Law: r.Law, Document: r.Document, Incident: r.Incident, Description: r.Description, Medium: r.Medium,
			RequestedBy: c.person(r.RequestedBy), RequestedAt: r.RequestedAt, ApprovedBy: c.person(r.DecidedBy), ApprovedAs: r.DecidedAs,
			PermittedTo: c.person(r.PermittedID), Writing: c.writing.ID, WrittenFrom: c.writing.OpenedAt,
		},
		Journal: manifestJournal{Parts: []manifestPart{}, Checkpoint: *c.point},
	}
	if r.DecidedAt != nil {
		m.Export.ApprovedAt = *r.DecidedAt
	}
	return m
}

// close writes what was computed of the rest: the manifest and its signature,
// the summary, the pages to print, the sums.
func (c *contents) close(a *archive, m *Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	text = append(text, '\n')
	if _, err := a.text(archiveManifest, text); err != nil {
		return err
	}
	if _, err := a.text(archiveManSig, ed25519.Sign(c.key, text)); err != nil {
		return err
	}
	page, err := renderIndex(m)
	if err != nil {
		return err
	}
	if _, err := a.text(archiveIndex, page); err != nil {
		return err
	}
	prints, err := renderPrints(m)
	if err != nil {
		return err
	}
	if prints != nil {
		if _, err := a.text(archivePrints, prints); err != nil {
			return err
		}
	}
	if _, err := a.text(archiveSums, bytes.Clone(a.sums.Bytes())); err != nil {
		return err
	}
	return a.tar.Close()
}

//go:embed archive_index.html
var indexText string

//go:embed archive_check.txt
var checkText string

var tokyoTime = "2006-01-02 15:04:05 JST"

var archiveWords = map[string]any{
	"jst": func(t any) string {
		switch t := t.(type) {
		case time.Time:
			return t.In(tokyo).Format(tokyoTime)
		case *time.Time:
			if t != nil {
				return t.In(tokyo).Format(tokyoTime)
			}
		}
		return "-"
	},
	"ground": func(g ExportGround) string {
		return map[ExportGround]string{
			GroundDisclosure: "法令に基づく開示要請 / Disclosure required by law", GroundIllegalAct: "違法行為 / Illegal act",
			GroundOther: "その他特別の理由 / Other special reason",
		}[g]
	},
	"kind": func(k Kind) string {
		return map[Kind]string{KindPhoto: "写真 / Photo", KindVideo: "動画 / Video", KindRecording: "録画 / Recording", KindSnapshot: "静止画 / Still"}[k]
	},
	"inc": func(i int) int { return i + 1 },
	"as": func(a Approver) string {
		return map[Approver]string{AsManager: "運用管理責任者 / Manager", AsDeputy: "職務代行者 / Deputy"}[a]
	},
	"minutes": func(seconds *int64) string {
		if seconds == nil {
			return "-"
		}
		return (time.Duration(*seconds) * time.Second).String()
	},
}

var (
	indexTemplate = template.Must(template.New("index").Funcs(archiveWords).Parse(indexText))
	checkTemplate = texttemplate.Must(texttemplate.New("check").Funcs(archiveWords).Parse(checkText))
)

func renderIndex(m *Manifest) ([]byte, error) {
	var b bytes.Buffer
	if err := indexTemplate.Execute(&b, m); err != nil {
		return nil, fmt.Errorf("write summary: %w", err)
	}
	return b.Bytes(), nil
}

// renderCheck ends its lines as Windows does, where it is read most.
func renderCheck(m *Manifest) ([]byte, error) {
	var b bytes.Buffer
	if err := checkTemplate.Execute(&b, m); err != nil {
		return nil, fmt.Errorf("write instructions: %w", err)
	}
	return []byte("\ufeff" + strings.ReplaceAll(b.String(), "\n", "\r\n")), nil
}

// counted hashes and counts what passes.
type counted struct {
	w    io.Writer
	sum  hash.Hash
	size int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.sum.Write(p[:n])
	c.size += int64(n)
	return n, err
}
