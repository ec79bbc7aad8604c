package evidence

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"

	"genba/server/journal"
)

const (
	// maxArchiveText bounds what of an archive is read into memory: its lists and
	// signatures.
	maxArchiveText   = 32 << 20
	maxArchiveFaults = 100
	// maxPassphraseWork bounds what a foreign archive may make us compute.
	maxPassphraseWork = 22
)

// ArchiveReport is what a check of an archive found.
type ArchiveReport struct {
	Manifest Manifest
	// Files and Bytes are of the originals.
	Files int
	Bytes int64
	// Entries and Emptied count the journal's; Witnessed are the originals whose
	// hash the journal itself names.
	Entries, Emptied, Witnessed int
	// Fingerprint is of the key that signed; Trusted says that it is the one that
	// the check was given.
	Fingerprint string
	Trusted     bool
	Faults      []string
}

func (r *ArchiveReport) fault(format string, v ...any) {
	if len(r.Faults) < maxArchiveFaults {
		r.Faults = append(r.Faults, fmt.Sprintf(format, v...))
	}
}

// DecryptArchive opens an archive with a passphrase, or with an age identity
// file where identity is not empty.
func DecryptArchive(sealed io.Reader, passphrase, identity string) (io.Reader, error) {
	var keys []age.Identity
	if identity != "" {
		found, err := age.ParseIdentities(strings.NewReader(identity))
		if err != nil {
			return nil, errors.New("read identity: not an age identity file") // age's error may quote it
		}
		keys = found
	} else {
		key, err := age.NewScryptIdentity(strings.ToUpper(strings.TrimSpace(passphrase)))
		if err != nil {
			return nil, fmt.Errorf("passphrase: %w", err)
		}
		key.SetMaxWorkFactor(maxPassphraseWork)
		keys = append(keys, key)
	}
	plain, err := age.Decrypt(sealed, keys...)
	if err != nil {
		return nil, fmt.Errorf("decrypt archive: %w", err)
	}
	return plain, nil
}

// VerifyArchive checks a decrypted archive by itself, without a database: every
// file against the list and the sums, the list's signature, the journal's
// entries and their chain, and the checkpoint's signature. A nil key means that
// only the archive's own is there, which proves no origin.
func VerifyArchive(plain io.Reader, key ed25519.PublicKey) (*ArchiveReport, error) {
	v := &archiveVerifier{report: &ArchiveReport{}, sums: map[string]string{}, sizes: map[string]int64{}, texts: map[string][]byte{}, said: map[string]string{}}
	v.excerpt.Said = v.witness
	t := tar.NewReader(plain)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			v.report.fault("%s is no plain file", h.Name)
			continue
		}
		if err := v.take(h, t); err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
	}
	// What follows the tar must be nothing, and the encryption's end must be there.
	if n, err := io.Copy(io.Discard, plain); err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	} else if n > maxArchiveText {
		v.report.fault("something follows the archive")
	}
	v.judge(key)
	return v.report, nil
}

type archiveVerifier struct {
	report  *ArchiveReport
	sums    map[string]string
	sizes   map[string]int64
	texts   map[string][]byte
	excerpt journal.ExcerptCheck
	said    map[string]string // media id to the hash that the journal names
}

func (v *archiveVerifier) take(h *tar.Header, body io.Reader) error {
	if _, twice := v.sums[h.Name]; twice {
		v.report.fault("%s is there twice", h.Name)
	}
	sum := sha256.New()
	read := io.TeeReader(body, sum)
	switch {
	case strings.HasPrefix(h.Name, archiveJournal):
		if err := v.excerpt.Read(read); err != nil {
			v.report.fault("%s: %v", h.Name, err)
		}
	case !strings.HasPrefix(h.Name, archiveOriginals):
		if h.Size > maxArchiveText {
			v.report.fault("%s is too large", h.Name)
			break
		}
		text, err := io.ReadAll(read)
		if err != nil {
			return err
		}
		v.texts[h.Name] = text
	}
	if _, err := io.Copy(io.Discard, read); err != nil {
		return err
	}
	v.sums[h.Name], v.sizes[h.Name] = hex.EncodeToString(sum.Sum(nil)), h.Size
	return nil
}

// witness notes what the journal says of a file when it was received.
func (v *archiveVerifier) witness(t journal.Type, subject string, payload []byte) {
	if t != journal.MediaReceived && t != journal.MediaIncomplete && t != journal.RecordingSealed {
		return
	}
	var said struct {
		SHA256 string `json:"sha256"`
	}
	if json.Unmarshal(payload, &said) == nil && said.SHA256 != "" {
		v.said[subject] = said.SHA256
	}
}

func (v *archiveVerifier) judge(key ed25519.PublicKey) {
	r := v.report
	own, err := journal.ParsePublicKey(v.texts[archiveKey])
	if err != nil {
		r.fault("%s: %v", archiveKey, err)
		return
	}
	r.Fingerprint, r.Trusted = journal.Fingerprint(own), key != nil
	if key == nil {
		key = own
	} else if !key.Equal(own) {
		r.fault("the archive was made with another key: %s", r.Fingerprint)
	}
	text := v.texts[archiveManifest]
	if !ed25519.Verify(key, text, v.texts[archiveManSig]) {
		r.fault("the signature of %s does not hold", archiveManifest)
	}
	if err := json.Unmarshal(text, &r.Manifest); err != nil || r.Manifest.Format != archiveFormat {
		r.fault("%s is not in the known form", archiveManifest)
		return
	}
	v.judgeSums()
	v.judgeFiles()
	v.judgeJournal(key)
}

// judgeSums holds every file against SHA256SUMS.
func (v *archiveVerifier) judgeSums() {
	listed := map[string]bool{archiveSums: true}
	lines := bufio.NewScanner(bytes.NewReader(v.texts[archiveSums]))
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		listed[name] = true
		switch is, there := v.sums[name]; {
		case !ok:
			v.report.fault("%s is not in the known form", archiveSums)
			return
		case !there:
			v.report.fault("%s is missing", name)
		case is != sum:
			v.report.fault("%s was changed", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.sums)) {
		if !listed[name] {
			v.report.fault("%s is not in %s", name, archiveSums)
		}
	}
}

// judgeFiles holds the originals against the manifest, and against what the
// journal said when they came in.
func (v *archiveVerifier) judgeFiles() {
	listed := map[string]bool{}
	for _, f := range v.report.Manifest.Files {
		listed[f.Path] = true
		is, there := v.sums[f.Path]
		switch {
		case !there:
			v.report.fault("%s is missing", f.Path)
		case is != f.SHA256 || v.sizes[f.Path] != f.Size:
			v.report.fault("%s is not what was received", f.Path)
		default:
			v.report.Files++
			v.report.Bytes += f.Size
		}
		switch said, known := v.said[f.ID]; {
		case known && said != f.SHA256:
			v.report.fault("%s is not what the journal says was received", f.Path)
		case known:
			v.report.Witnessed++
		}
	}
	for _, t := range v.report.Manifest.Tracks {
		listed[t.Path] = true
		if is, there := v.sums[t.Path]; !there {
			v.report.fault("%s is missing", t.Path)
		} else if is != t.SHA256 {
			v.report.fault("%s is not what was written", t.Path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.sums)) {
		if (strings.HasPrefix(name, archiveOriginals) || strings.HasPrefix(name, archiveTracks)) && !listed[name] {
			v.report.fault("%s is not in %s", name, archiveManifest)
		}
	}
}

// judgeJournal holds the excerpt against the manifest and the checkpoint.
func (v *archiveVerifier) judgeJournal(key ed25519.PublicKey) {
	r := v.report
	r.Entries, r.Emptied = v.excerpt.Entries, v.excerpt.Emptied
	for _, f := range v.excerpt.Faults {
		r.fault("journal: %s", f)
	}
	entries := 0
	for _, p := range r.Manifest.Journal.Parts {
		entries += p.Entries
		if v.sums[p.Path] != p.SHA256 {
			r.fault("%s is not what was written", p.Path)
		}
	}
	if entries != r.Entries {
		r.fault("the journal has %d entries instead of %d", r.Entries, entries)
	}
	c := r.Manifest.Journal.Checkpoint
	switch {
	case !bytes.Equal(c.Text(), v.texts[archiveCheckpoint]) || !bytes.Equal(c.Signature, v.texts[archiveCheckSig]):
		r.fault("%s is another checkpoint than the list's", archiveCheckpoint)
	case !c.Holds(key):
		r.fault("the signature of %s does not hold", archiveCheckpoint)
	case v.excerpt.Last > c.Number:
		r.fault("the journal goes beyond the checkpoint")
	case v.excerpt.Last == c.Number && !bytes.Equal(v.excerpt.Hash, c.Hash):
		r.fault("the journal does not lead to the checkpoint")
	}
}
