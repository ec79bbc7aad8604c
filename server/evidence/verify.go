package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"genba/server/blob"
	"genba/server/problem"
)

const (
	verifyBatch     = 100
	maxVerifyFaults = 100
)

// Fault is one file that is not what was received.
type Fault struct {
	MediaID string
	// Segment is where, counted from 0; -1 for the file as a whole.
	Segment int
	What    string
}

// VerifyReport is what a verification found.
type VerifyReport struct {
	Files int
	Bytes int64
	// Faults are at most the first hundred.
	Faults []Fault
}

// Verify reads every sealed file that is kept and compares each segment, the
// chain and the hash of the plain bytes with what was recorded when it was
// received.
func (e *Evidence) Verify(ctx context.Context) (VerifyReport, error) {
	var rep VerifyReport
	for last := ""; ; {
		var batch []*MediaFile
		q := e.DB.Read(ctx).Where("sha256 IS NOT NULL AND due_at > ?", e.latest())
		if last != "" {
			q = q.Where("id > ?", last)
		}
		if err := q.Order("id").Limit(verifyBatch).Find(&batch).Error; err != nil {
			return rep, fmt.Errorf("verify media files: %w", err)
		}
		for _, m := range batch {
			if err := ctx.Err(); err != nil {
				return rep, err
			}
			fault, err := e.verifyFile(m)
			if err != nil {
				return rep, fmt.Errorf("verify media file %s: %w", m.ID, err)
			}
			rep.Files++
			rep.Bytes += m.Size
			if fault != nil && len(rep.Faults) < maxVerifyFaults {
				rep.Faults = append(rep.Faults, *fault)
			}
			last = m.ID
		}
		if len(batch) < verifyBatch {
			return rep, nil
		}
	}
}

func (e *Evidence) verifyFile(m *MediaFile) (*Fault, error) {
	key, err := e.key(m)
	if problem.Is(err, problem.Gone) || errors.Is(err, blob.ErrNoKey) {
		return &Fault{m.ID, -1, "its key is gone"}, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := e.Store.Reader(blobName(m), key)
	if errors.Is(err, blob.ErrNotFound) {
		return &Fault{m.ID, -1, "its bytes are gone"}, nil
	}
	var damaged *blob.DamagedError
	if errors.As(err, &damaged) {
		return &Fault{m.ID, damaged.Segment, "changed"}, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, newSection(r))
	if errors.As(err, &damaged) {
		return &Fault{m.ID, damaged.Segment, "changed"}, nil
	}
	if err != nil {
		return nil, err
	}
	chain := r.Chain()
	switch {
	case r.Size() < m.Size:
		return &Fault{m.ID, len(r.Segments()), "cut off"}, nil
	case !bytes.Equal(chain[:], m.Chain), !bytes.Equal(sum.Sum(nil), m.SHA256):
		return &Fault{m.ID, -1, "another file than was received"}, nil
	}
	return nil, nil
}
