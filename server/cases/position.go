package cases

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/problem"
)

// Position is one GPS fix of a session's phone. Fixes are chained, with a salt
// each, so that retention can empty them and the head in the journal stands.
type Position struct {
	ID         string
	AgencyID   string
	Number     int64
	SessionID  string
	PhoneID    string
	Sequence   int
	Latitude   float64 // degrees, WGS 84
	Longitude  float64
	Accuracy   float64  // radius in metres
	Altitude   *float64 // metres above the ellipsoid
	Heading    *float64 // degrees clockwise from north
	Speed      *float64 // metres a second
	CapturedAt time.Time
	ReceivedAt time.Time
	Salt       []byte
	Hash       []byte
}

// Fix is a position as a phone reports it.
type Fix struct {
	Latitude   float64
	Longitude  float64
	Accuracy   float64
	Altitude   *float64
	Heading    *float64
	Speed      *float64
	CapturedAt time.Time
}

const (
	positionPace     = 900 * time.Millisecond // once a second, with a network's jitter
	maxPositions     = 20_000                 // a session: over five hours
	maxPositionSkew  = 48 * time.Hour         // the phone's clock may be off; it is kept as it says
	maxAccuracy      = 1_000_000
	maxAltitude      = 100_000
	maxSpeed         = 10_000
	degreesAllAround = 360
)

func (f Fix) valid(now time.Time) bool {
	in := func(v *float64, low, high float64) bool { return v == nil || *v >= low && *v <= high } // NaN is in no range
	skew := f.CapturedAt.Sub(now).Abs()
	return in(&f.Latitude, -90, 90) && in(&f.Longitude, -180, 180) && in(&f.Accuracy, 0, maxAccuracy) &&
		in(f.Altitude, -maxAltitude, maxAltitude) && in(f.Heading, 0, degreesAllAround) && in(f.Speed, 0, maxSpeed) && skew <= maxPositionSkew
}

// ReportPosition stores one fix of the actor's session. The first one counts as
// accepted media. BAD_INPUT, RATE_LIMITED, QUOTA_FULL and what Accept refuses.
func (c *Cases) ReportPosition(ctx context.Context, actor policy.Actor, f Fix) (*Position, error) {
	if !f.valid(c.db.Now()) {
		return nil, problem.New(problem.BadInput)
	}
	var p *Position
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := c.Accept(tx, actor)
		if err != nil {
			return err
		}
		if s.PositionCount >= maxPositions {
			return problem.New(problem.QuotaFull)
		}
		last, err := lastPosition(tx.DB, s.ID, actor.ID)
		if err != nil {
			return err
		}
		if last != nil && tx.Now.Sub(last.ReceivedAt) < positionPace && !tx.Now.Before(last.ReceivedAt) {
			return problem.New(problem.RateLimited)
		}
		p = &Position{
			ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, PhoneID: actor.ID, Sequence: s.PositionCount + 1,
			Latitude: f.Latitude, Longitude: f.Longitude, Accuracy: f.Accuracy, Altitude: f.Altitude, Heading: f.Heading, Speed: f.Speed,
			CapturedAt: database.Instant(f.CapturedAt), ReceivedAt: tx.Now, Salt: make([]byte, 16),
		}
		_, _ = rand.Read(p.Salt) // never fails
		p.Hash = p.digest(s.PositionHead)
		s.PositionCount, s.PositionHead, s.LocationDeniedAt = p.Sequence, p.Hash, nil
		if err := tx.Model(s).Select("position_count", "position_head", "location_denied_at").Updates(s).Error; err != nil {
			return err
		}
		c.journal.Position(tx, s.AgencyID, func(number int64) error {
			p.Number = number
			return tx.Create(p).Error
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("report position: %w", err)
	}
	return p, nil
}

// digest chains a fix: SHA-256(previous ‖ SHA-256(salt ‖ the fix as JSON)).
func (p *Position) digest(previous []byte) []byte {
	text, err := json.Marshal([]any{
		p.SessionID, p.PhoneID, p.Sequence, bits(&p.Latitude), bits(&p.Longitude), bits(&p.Accuracy), bits(p.Altitude), bits(p.Heading), bits(p.Speed),
		p.CapturedAt.UTC().UnixMicro(), p.ReceivedAt.UTC().UnixMicro(),
	})
	if err != nil {
		panic(err) // whole numbers and text only
	}
	inner := sha256.Sum256(append(append([]byte{}, p.Salt...), text...))
	sum := sha256.Sum256(append(append([]byte{}, previous...), inner[:]...))
	return sum[:]
}

// bits writes a float so that both engines and every verifier agree on it.
func bits(v *float64) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%016x", math.Float64bits(*v))
}

// VerifyPositions walks a session's chain of fixes and tells at which sequence
// it breaks, 0 where it holds to the head. Of an erased session only the head
// is left, and nothing to check.
func (c *Cases) VerifyPositions(ctx context.Context, s *Session) (int, error) {
	if s.ErasedAt != nil {
		return 0, nil
	}
	var head []byte
	var found []*Position
	if err := c.db.Read(ctx).Order("sequence").Find(&found, "session_id = ?", s.ID).Error; err != nil {
		return 0, fmt.Errorf("read positions: %w", err)
	}
	for i, p := range found {
		want := p.digest(head)
		if p.Sequence != i+1 || string(want) != string(p.Hash) {
			return i + 1, nil
		}
		head = p.Hash
	}
	if string(head) != string(s.PositionHead) {
		return len(found) + 1, nil
	}
	return 0, nil
}

// Broken is a session whose chain of fixes does not hold, and where.
type Broken struct {
	SessionID string
	Sequence  int
}

const verifyBatch = 500

// VerifyAllPositions walks the chain of fixes of every session that has one.
func (c *Cases) VerifyAllPositions(ctx context.Context) (sessions int, broken []Broken, err error) {
	for last := ""; ; {
		var batch []*Session
		q := c.db.Read(ctx).Where("position_count > 0")
		if last != "" {
			q = q.Where("id > ?", last)
		}
		if err := q.Order("id").Limit(verifyBatch).Find(&batch).Error; err != nil {
			return sessions, broken, fmt.Errorf("read sessions: %w", err)
		}
		if len(batch) == 0 {
			return sessions, broken, nil
		}
		for _, s := range batch {
			sessions, last = sessions+1, s.ID
			at, err := c.VerifyPositions(ctx, s)
			if err != nil {
				return sessions, broken, err
			}
			if at > 0 {
				broken = append(broken, Broken{s.ID, at})
			}
		}
	}
}

func lastPosition(q *gorm.DB, sessionID, phoneID string) (*Position, error) {
	var found []*Position
	if err := q.Order("sequence DESC").Limit(1).Find(&found, "session_id = ? AND phone_id = ?", sessionID, phoneID).Error; err != nil {
		return nil, fmt.Errorf("read last position: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// LastPositions reads the newest fix of each session.
func (c *Cases) LastPositions(ctx context.Context, agency string, sessionIDs []string) (map[string]*Position, error) {
	q := c.db.Read(ctx)
	var found []*Position
	err := q.Where("agency_id = ? AND session_id IN ?", agency, sessionIDs).
		Where("sequence = (SELECT position_count FROM sessions WHERE sessions.id = positions.session_id)").Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read last positions: %w", err)
	}
	bySession := make(map[string]*Position, len(found))
	for _, p := range found {
		bySession[p.SessionID] = p
	}
	return bySession, nil
}

// Positions reads a session's fixes, newest first, below a sequence (0: from
// the newest), at most limit.
func (c *Cases) Positions(ctx context.Context, agency, sessionID string, below, limit int) ([]*Position, error) {
	q := c.db.Read(ctx).Where("agency_id = ? AND session_id = ?", agency, sessionID)
	if below > 0 {
		q = q.Where("sequence < ?", below)
	}
	var found []*Position
	if err := q.Order("sequence DESC").Limit(limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	return found, nil
}

// MovedSince lists the sessions of an agency that reported positions after a
// number in the agency's order of fixes.
func (c *Cases) MovedSince(ctx context.Context, agency string, number int64) ([]string, error) {
	var ids []string
	err := c.db.Read(ctx).Model(&Position{}).Distinct("session_id").Where("agency_id = ? AND number > ?", agency, number).Pluck("session_id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("read moved sessions: %w", err)
	}
	return ids, nil
}
