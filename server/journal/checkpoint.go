package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"genba/server/database"
)

// checkpointTime is how a checkpoint writes an instant, as rows do.
const checkpointTime = "2006-01-02T15:04:05.000000Z"

// CheckpointKey names the key in the key store that checkpoints are signed with.
const CheckpointKey = "checkpoint"

// maxCheckpointLine bounds one line of a file of checkpoints.
const maxCheckpointLine = 4096

// Checkpoint says where an agency's journal stood, signed with the key that
// only the running installation has. Kept elsewhere, it shows a journal that
// was cut, forked, or put back to an earlier day.
type Checkpoint struct {
	AgencyID string `gorm:"primaryKey"`
	Number   int64  `gorm:"primaryKey;autoIncrement:false"`
	Hash     []byte
	At       time.Time
	// Previous is the SHA-256 of the text of the agency's checkpoint before this
	// one; zeros for the first.
	Previous  []byte
	Signature []byte
}

// TableName is the table of checkpoints.
func (Checkpoint) TableName() string { return "journal_checkpoints" }

// Text is what is signed: six lines, each ended by a line feed.
func (c Checkpoint) Text() []byte {
	return []byte(strings.Join([]string{
		"genba-checkpoint-1", c.AgencyID, strconv.FormatInt(c.Number, 10), hex.EncodeToString(c.Hash),
		c.At.UTC().Format(checkpointTime), hex.EncodeToString(c.Previous), "",
	}, "\n"))
}

// Holds tells whether the checkpoint was signed by the holder of the key.
func (c Checkpoint) Holds(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, c.Text(), c.Signature)
}

type checkpointLine struct {
	Agency    string `json:"agency"`
	Number    int64  `json:"number"`
	Hash      string `json:"hash"`
	Time      string `json:"time"`
	Previous  string `json:"previous"`
	Signature string `json:"signature"`
}

// MarshalJSON is the line that leaves the machine.
func (c Checkpoint) MarshalJSON() ([]byte, error) {
	return json.Marshal(checkpointLine{
		Agency: c.AgencyID, Number: c.Number, Hash: hex.EncodeToString(c.Hash), Time: c.At.UTC().Format(checkpointTime),
		Previous: hex.EncodeToString(c.Previous), Signature: base64.StdEncoding.EncodeToString(c.Signature),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Checkpoint) UnmarshalJSON(text []byte) error {
	var l checkpointLine
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	at, err1 := time.Parse(checkpointTime, l.Time)
	hash, err2 := hex.DecodeString(l.Hash)
	previous, err3 := hex.DecodeString(l.Previous)
	signature, err4 := base64.StdEncoding.DecodeString(l.Signature)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	*c = Checkpoint{AgencyID: l.Agency, Number: l.Number, Hash: hash, At: at, Previous: previous, Signature: signature}
	return nil
}

// PublicKeyPEM is the key that checks checkpoints, as openssl reads it.
func PublicKeyPEM(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("write public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ParsePublicKey reads what PublicKeyPEM wrote.
func ParsePublicKey(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("read public key: not a PEM file")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("read public key: not an Ed25519 key")
	}
	return public, nil
}

// Fingerprint is what people compare a public key by: the SHA-256 of its DER
// form, as openssl tells it, in groups of four.
func Fingerprint(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	var groups []string
	for text := hex.EncodeToString(sum[:]); text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, " ")
}

// ReadCheckpoints reads a file of checkpoints, one JSON object a line.
func ReadCheckpoints(r io.Reader) ([]Checkpoint, error) {
	var all []Checkpoint
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxCheckpointLine)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var c Checkpoint
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("checkpoint in line %d: %w", n, err)
		}
		all = append(all, c)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return all, nil
}

// Checkpoint signs where each agency's journal stands that grew since its last
// checkpoint. Nothing is journaled: a checkpoint must not make the journal grow.
func (j *Journal) Checkpoint(ctx context.Context, key ed25519.PrivateKey) ([]Checkpoint, error) {
	var grown []string
	err := j.db.Read(ctx).Raw("SELECT h.agency_id FROM journal_heads h WHERE h.number > coalesce(" +
		"(SELECT max(c.number) FROM journal_checkpoints c WHERE c.agency_id = h.agency_id), 0) ORDER BY h.agency_id").Scan(&grown).Error
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var made []Checkpoint
	for _, agency := range grown {
		c, err := j.CheckpointAgency(ctx, agency, key)
		if err != nil {
			return made, err
		}
		if c != nil {
			made = append(made, *c)
		}
	}
	return made, nil
}

// CheckpointAgency signs where one agency's journal stands now, and answers the
// newest checkpoint where nothing happened since; nil for an empty journal.
func (j *Journal) CheckpointAgency(ctx context.Context, agency string, key ed25519.PrivateKey) (*Checkpoint, error) {
	var c Checkpoint
	err := j.db.InTx(ctx, func(tx *database.Tx) error {
		var h head
		if found := tx.Lock().Limit(1).Find(&h, "agency_id = ?", agency); found.Error != nil || found.RowsAffected == 0 {
			return found.Error
		}
		var last Checkpoint
		found := tx.Order("number DESC").Limit(1).Find(&last, "agency_id = ?", agency)
		if found.Error != nil {
			return found.Error
		}
		if found.RowsAffected > 0 && last.Number >= h.Number {
			c = last
			return nil
		}
		previous := [sha256.Size]byte{}
		if found.RowsAffected > 0 {
			previous = sha256.Sum256(last.Text())
		}
		c = Checkpoint{AgencyID: agency, Number: h.Number, Hash: h.Hash, At: tx.Now, Previous: previous[:]}
		c.Signature = ed25519.Sign(key, c.Text())
		return tx.Create(&c).Error
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if c.Number == 0 {
		return nil, nil
	}
	return &c, nil
}

// LastCheckpoint is an agency's newest checkpoint; nil where there is none yet.
func (j *Journal) LastCheckpoint(ctx context.Context, agency string) (*Checkpoint, error) {
	var c Checkpoint
	found := j.db.Read(ctx).Order("number DESC").Limit(1).Find(&c, "agency_id = ?", agency)
	if found.Error != nil {
		return nil, fmt.Errorf("read checkpoint: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return nil, nil
	}
	return &c, nil
}

// NewestCheckpoints are the newest of every agency.
func (j *Journal) NewestCheckpoints(ctx context.Context) ([]Checkpoint, error) {
	var newest []Checkpoint
	err := j.db.Read(ctx).Where("(agency_id, number) IN (SELECT agency_id, max(number) FROM journal_checkpoints GROUP BY agency_id)").
		Order("agency_id").Find(&newest).Error
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return newest, nil
}

// AllCheckpoints reads the checkpoints that the database itself keeps.
func (j *Journal) AllCheckpoints(ctx context.Context, each func([]Checkpoint) error) error {
	for agency, number := "", int64(0); ; {
		var batch []Checkpoint
		q := j.db.Read(ctx)
		if agency != "" {
			q = q.Where("(agency_id, number) > (?, ?)", agency, number)
		}
		if err := q.Order("agency_id, number").Limit(verifyBatch).Find(&batch).Error; err != nil {
			return fmt.Errorf("read checkpoints: %w", err)
		}
		if len(batch) == 0 {
			return nil
		}
		if err := each(batch); err != nil {
			return err
		}
		agency, number = batch[len(batch)-1].AgencyID, batch[len(batch)-1].Number
	}
}

// Compare holds the journal against checkpoints: each must be signed with the
// key, and the entry it names must stand where it stood, with the same hash. It
// finds a journal that was cut, forked, or put back to an earlier day, and
// answers at most 100 faults.
func (j *Journal) Compare(ctx context.Context, key ed25519.PublicKey, checkpoints []Checkpoint) ([]Fault, error) {
	var faults []Fault
	fault := func(c Checkpoint, what string) {
		if len(faults) < maxFaults {
			faults = append(faults, Fault{c.AgencyID, c.Number, what})
		}
	}
	said := map[string][]Checkpoint{}
	for _, c := range checkpoints {
		if !c.Holds(key) {
			fault(c, "the checkpoint was not signed with this key")
			continue
		}
		said[c.AgencyID] = append(said[c.AgencyID], c)
	}
	agencies := make([]string, 0, len(said))
	for a := range said {
		agencies = append(agencies, a)
	}
	slices.Sort(agencies)
	for _, agency := range agencies {
		var last int64
		if err := j.db.Read(ctx).Model(&Row{}).Where("agency_id = ?", agency).Select("coalesce(max(number), 0)").Scan(&last).Error; err != nil {
			return nil, fmt.Errorf("compare with checkpoints: %w", err)
		}
		for batch := range slices.Chunk(said[agency], verifyBatch) {
			hashes, err := j.hashes(ctx, agency, batch)
			if err != nil {
				return nil, err
			}
			for _, c := range batch {
				switch hash, there := hashes[c.Number]; {
				case c.Number > last:
					fault(c, fmt.Sprintf("is missing: the journal ends at entry %d, and at %s it had reached this one; it was cut off, or an older database was put back",
						last, c.At.UTC().Format(time.RFC3339)))
				case !there:
					fault(c, "is missing")
				case !bytes.Equal(hash, c.Hash):
					fault(c, "is another than at "+c.At.UTC().Format(time.RFC3339)+": the journal was forked")
				}
			}
		}
	}
	return faults, nil
}

func (j *Journal) hashes(ctx context.Context, agency string, batch []Checkpoint) (map[int64][]byte, error) {
	numbers := make([]int64, len(batch))
	for i, c := range batch {
		numbers[i] = c.Number
	}
	var rows []Row
	if err := j.db.Read(ctx).Select("number", "hash").Find(&rows, "agency_id = ? AND number IN ?", agency, numbers).Error; err != nil {
		return nil, fmt.Errorf("compare with checkpoints: %w", err)
	}
	hashes := make(map[int64][]byte, len(rows))
	for _, r := range rows {
		hashes[r.Number] = r.Hash
	}
	return hashes, nil
}

// way is how far one way off the machine has carried an agency's checkpoints.
type way struct {
	Way      string `gorm:"primaryKey"`
	AgencyID string `gorm:"primaryKey"`
	Number   int64
	FailedAt *time.Time
}

func (way) TableName() string { return "checkpoint_ways" }

// sendBatch is how many checkpoints are handed to a way at once.
const sendBatch = 500

// SendCheckpoints hands what a way has not carried yet to send, oldest first. A
// way that is new begins with each agency's newest checkpoint. What fails is
// journaled once, tried again with the next call, and journaled when it works
// again (T45).
func (j *Journal) SendCheckpoints(ctx context.Context, name string, send func(context.Context, []Checkpoint) error) error {
	var newest []Checkpoint
	err := j.db.Read(ctx).Raw("SELECT c.agency_id, max(c.number) AS number FROM journal_checkpoints c LEFT JOIN checkpoint_ways w ON w.way = ? AND w.agency_id = c.agency_id "+
		"GROUP BY c.agency_id, w.number HAVING w.number IS NULL OR max(c.number) > w.number ORDER BY c.agency_id", name).Scan(&newest).Error
	if err != nil {
		return fmt.Errorf("send checkpoints: %w", err)
	}
	var failures error
	for _, n := range newest {
		failures = errors.Join(failures, j.sendAgency(ctx, name, n, send))
	}
	return failures
}

func (j *Journal) sendAgency(ctx context.Context, name string, newest Checkpoint, send func(context.Context, []Checkpoint) error) error {
	w := way{Way: name, AgencyID: newest.AgencyID, Number: newest.Number - 1}
	err := j.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&w).Error; err != nil {
			return err
		}
		return tx.Take(&w, "way = ? AND agency_id = ?", name, newest.AgencyID).Error
	})
	for err == nil {
		var pending []Checkpoint
		if err = j.db.Read(ctx).Order("number").Limit(sendBatch).Find(&pending, "agency_id = ? AND number > ?", w.AgencyID, w.Number).Error; err != nil || len(pending) == 0 {
			break
		}
		if failed := send(ctx, pending); failed != nil {
			return errors.Join(fmt.Errorf("send checkpoints by %s: %w", name, failed), j.noteWay(ctx, w, true))
		}
		w.Number = pending[len(pending)-1].Number
		err = j.noteWay(ctx, w, false)
		w.FailedAt = nil
	}
	if err != nil {
		return fmt.Errorf("send checkpoints by %s: %w", name, err)
	}
	return nil
}

// noteWay stores how far a way has come, and journals where it begins to fail
// and where it works again.
func (j *Journal) noteWay(ctx context.Context, w way, failed bool) error {
	return j.db.InTx(ctx, func(tx *database.Tx) error {
		change := map[string]any{"number": gorm.Expr("CASE WHEN number > ? THEN number ELSE ? END", w.Number, w.Number)}
		what := Type("")
		switch {
		case failed && w.FailedAt == nil:
			change["failed_at"], what = tx.Now, CheckpointUnsent
		case !failed && w.FailedAt != nil:
			change["failed_at"], what = nil, CheckpointSent
		}
		if err := tx.Model(&way{}).Where("way = ? AND agency_id = ?", w.Way, w.AgencyID).Updates(change).Error; err != nil {
			return err
		}
		if what != "" {
			j.Append(tx, systemEntry(w.AgencyID, what, map[string]any{"way": w.Way, "number": w.Number}))
		}
		return nil
	})
}
