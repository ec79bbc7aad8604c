// Package operations owns what keeps reception going and answered for: the
// reports that officers owe about their use of video (第4の4(1)イ) and about
// leaked links (第4の4(2)ウ), with their order and their deadlines; when reception
// stops (第4の5); faults and whom they are told to (第10); what everybody was
// taught, and drills (第11). What a staff link is and may do belongs to cases, and
// how a caller of a drill is played to drill.
package operations

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	maxText       = 500 // characters
	batch         = 100
	retentionDays = 8 // what belongs to no case goes with the day that its own would
)

// tokyo is where days begin.
var tokyo = time.FixedZone("JST", 9*60*60)

// Operations is the room. It is safe for concurrent use.
type Operations struct {
	db      *database.DB
	journal *journal.Journal
	people  *identity.Identity
	cases   *cases.Cases
	stage   DrillStage // nil: nobody is played
}

// New opens the room: it joins a use that was reported before to its video
// report, closes leak reports when their links are revoked, and erases the
// reports' texts with the case's facts.
func New(db *database.DB, j *journal.Journal, people *identity.Identity, c *cases.Cases) *Operations {
	o := &Operations{db: db, journal: j, people: people, cases: c}
	c.OnStaffStarted(o.joinUsage)
	c.OnStaffRevoked(o.linkRevoked)
	c.OnErase(o.eraseUsage)
	c.GuardDrills(o.guardDrill)
	c.OnReal(o.yield)
	return o
}

// said reads a text that has to be there.
func said(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", problem.New(problem.ReasonMissing)
	}
	return text, tooLong(text)
}

func tooLong(text string) error {
	if utf8.RuneCountInString(text) > maxText || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return problem.New(problem.BadInput)
	}
	return nil
}

func notFound(err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.Wrap(problem.NotFound, err)
	}
	return err
}

// Place is where a page of a list goes on: the time and id of its last row.
type Place struct {
	At time.Time
	ID string
}

// page goes on after a place, newest first.
func page(q *gorm.DB, after *Place, limit int) *gorm.DB { return ordered(q, "filed_at", after, limit) }

// ordered does the same by a column of time.
func ordered(q *gorm.DB, column string, after *Place, limit int) *gorm.DB {
	if after != nil {
		q = q.Where("("+column+", id) < (?, ?)", database.Instant(after.At), after.ID)
	}
	return q.Order(column + " DESC, id DESC").Limit(limit)
}

func trimmed(text string) string { return strings.TrimSpace(text) }

// forgotten is the instant before which what was filed has outlived its days
// (design: texts without a case go on D+8).
func forgotten(now time.Time) time.Time {
	y, m, d := now.In(tokyo).Date()
	return time.Date(y, m, d-retentionDays+1, 0, 0, 0, 0, tokyo).UTC()
}
