package cases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	maxWhisper   = 200 // characters: it is read while somebody talks
	maxHandOver  = 200 // sessions in one step
	maxOpenTasks = 100
)

// HandOver describes what goes to whom at the change of shift (第4の2).
type HandOver struct {
	// To is the colleague who goes on.
	To string
	// Sessions are those that go; empty: all that From has not finished.
	Sessions []string
	// From is whose they are; empty: the actor.
	From string
}

// HandOver gives video reports to a colleague: those that are open, and what is
// left to do after ended ones (a supervisor to be told, a wrong recipient to be
// called). A dispatcher hands over their own, a supervisor anybody's.
// NOT_A_COLLEAGUE, NOTHING_TO_HAND_OVER, NOT_FOUND, FORBIDDEN.
func (c *Cases) HandOver(ctx context.Context, actor policy.Actor, in HandOver) ([]*Session, error) {
	if in.From == "" {
		in.From = actor.ID
	}
	if len(in.Sessions) > maxHandOver {
		return nil, problem.New(problem.BadInput)
	}
	var moved []*Session
	err := c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if len(in.Sessions) == 0 {
			moved, err = c.handAll(tx, actor, in.From, in.To)
			return err
		}
		if err := colleague(tx, actor.Agency, in.To); err != nil {
			return err
		}
		var found []*Session
		if err := tx.Lock().Order("id").Find(&found, "agency_id = ? AND id IN ?", actor.Agency, in.Sessions).Error; err != nil {
			return err
		}
		if len(found) != len(in.Sessions) {
			return problem.New(problem.NotFound)
		}
		moved, err = c.give(tx, actor, found, in.To)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("hand over: %w", err)
	}
	if len(moved) == 0 {
		return nil, problem.New(problem.NothingToHandOver)
	}
	return moved, nil
}

// handAll gives all that one user has not finished to another: at the change of
// shift. What a person leaves who was put out is PassOn's matter (第7の2).
func (c *Cases) handAll(tx *database.Tx, actor policy.Actor, from, to string) ([]*Session, error) {
	if actor.Kind == policy.User && from != actor.ID && actor.Role == policy.Dispatcher {
		return nil, problem.New(problem.Forbidden)
	}
	if from == to {
		return nil, problem.New(problem.NotAColleague)
	}
	if err := colleague(tx, actor.Agency, to); err != nil {
		return nil, err
	}
	toCall := tx.Model(&ContactTask{}).Select("session_id").Where("agency_id = ? AND done_at IS NULL", actor.Agency)
	var found []*Session
	err := tx.Lock().Where("agency_id = ? AND dispatcher_id = ?", actor.Agency, from).
		Where("state NOT IN ? OR (reported_at IS NULL AND erased_at IS NULL AND kind = ?) OR id IN (?)", overStates, CallerSession, toCall).
		Order("id").Limit(maxHandOver).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("find what is unfinished: %w", err)
	}
	return c.give(tx, actor, found, to)
}

func (c *Cases) give(tx *database.Tx, actor policy.Actor, sessions []*Session, to string) (moved []*Session, err error) {
	for _, s := range sessions {
		if actor.Kind == policy.User && !s.MayCommand(actor) {
			return nil, problem.New(problem.Forbidden)
		}
		if s.DispatcherID == to {
			continue
		}
		from := s.DispatcherID
		s.DispatcherID = to
		c.journal.Append(tx, s.entry(actor, journal.SessionHandedOver, map[string]any{"from": from, "to": to}))
		if err := c.save(tx, s); err != nil {
			return nil, err
		}
		moved = append(moved, s)
	}
	return moved, nil
}

// colleague refuses who cannot go on with a video report: only supervisors and
// dispatchers of the agency who may sign in can.
func colleague(tx *database.Tx, agency, id string) error {
	var u []identity.User
	if err := tx.Lock().Limit(1).Find(&u, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
		return fmt.Errorf("find colleague: %w", err)
	}
	if len(u) == 0 || u[0].Status != identity.Active || u[0].Role != policy.Supervisor && u[0].Role != policy.Dispatcher {
		return problem.New(problem.NotAColleague)
	}
	return nil
}

// TakeOver makes the supervisor who acts the one who goes on with a video report
// (第4の2). NOT_FOUND, FORBIDDEN, SESSION_ENDED.
func (c *Cases) TakeOver(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		switch {
		case actor.Role != policy.Supervisor:
			return problem.New(problem.Forbidden)
		case s.State.Over():
			return problem.New(problem.SessionEnded)
		case s.DispatcherID == actor.ID:
			return nil
		}
		from := s.DispatcherID
		s.DispatcherID = actor.ID
		c.journal.Append(tx, s.entry(actor, journal.SessionTakenOver, map[string]any{"from": from, "to": actor.ID}))
		return c.save(tx, s)
	})
}

// Whisper is a word from a supervisor that only the dispatcher of the video
// report is shown, and never the caller (第4の2).
type Whisper struct {
	ID        string
	AgencyID  string
	SessionID string
	UserID    string
	Text      string
	At        time.Time
	// ReadAt is when the dispatcher said that they read it.
	ReadAt *time.Time
}

// Whisper leaves a word for the dispatcher. The record says that, not what, was
// whispered. REASON_MISSING, BAD_INPUT, SESSION_ENDED.
func (c *Cases) Whisper(ctx context.Context, actor policy.Actor, id, text string) (*Session, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if tooLong(text, maxWhisper) {
		return nil, problem.New(problem.BadInput)
	}
	return c.command(ctx, actor, id, func(tx *database.Tx, s *Session) error {
		if actor.Role != policy.Supervisor {
			return problem.New(problem.Forbidden)
		}
		if s.State.Over() {
			return problem.New(problem.SessionEnded)
		}
		w := Whisper{ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, UserID: actor.ID, Text: text, At: tx.Now}
		if err := tx.Create(&w).Error; err != nil {
			return fmt.Errorf("whisper: %w", err)
		}
		c.journal.Append(tx, s.entry(actor, journal.Whispered, map[string]any{"whisper": w.ID}))
		return c.save(tx, s)
	})
}

// ReadWhisper notes that the dispatcher has read a word; again changes nothing.
// FORBIDDEN for anybody else.
func (c *Cases) ReadWhisper(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	var w Whisper
	if err := c.db.Read(ctx).Take(&w, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
		return nil, notFound(err)
	}
	return c.command(ctx, actor, w.SessionID, func(tx *database.Tx, s *Session) error {
		if s.DispatcherID != actor.ID {
			return problem.New(problem.Forbidden)
		}
		if err := tx.Lock().Take(&w, "id = ?", id).Error; err != nil {
			return err
		}
		if w.ReadAt != nil {
			return nil
		}
		if err := tx.Model(&w).Update("read_at", tx.Now).Error; err != nil {
			return fmt.Errorf("read whisper: %w", err)
		}
		c.journal.Append(tx, s.entry(actor, journal.WhisperRead, map[string]any{"whisper": w.ID}))
		return c.save(tx, s)
	})
}

// Whispers reads the words left on sessions, oldest first.
func (c *Cases) Whispers(ctx context.Context, agency string, sessionIDs []string) (map[string][]*Whisper, error) {
	return ofSessions(c.db.Read(ctx), agency, sessionIDs, "at, id", func(w *Whisper) string { return w.SessionID })
}

// OpenContactTasks reads who has still to be told that a link went astray
// (第4の3(3)), oldest first, at most 100.
func (c *Cases) OpenContactTasks(ctx context.Context, agency string) ([]*ContactTask, error) {
	var found []*ContactTask
	err := c.db.Read(ctx).Where("agency_id = ? AND done_at IS NULL", agency).Order("opened_at, id").Limit(maxOpenTasks).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read open contact tasks: %w", err)
	}
	return found, nil
}

// OpenCounts counts the open video reports by their dispatcher.
func (c *Cases) OpenCounts(ctx context.Context, agency string) (map[string]int, error) {
	var rows []struct {
		DispatcherID string
		N            int
	}
	err := c.db.Read(ctx).Model(&Session{}).Select("dispatcher_id, count(*) AS n").
		Where("agency_id = ? AND state NOT IN ?", agency, overStates).Group("dispatcher_id").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count open sessions: %w", err)
	}
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.DispatcherID] = r.N
	}
	return counts, nil
}

// eraseWords destroys what supervisors wrote about a case: whispers, notes of
// the duty log that name it, and the grounds of shares.
func (c *Cases) eraseWords(tx *database.Tx, caseID string) error {
	sessions := tx.Model(&Session{}).Select("id").Where("case_id = ?", caseID)
	if err := tx.Model(&Whisper{}).Where("session_id IN (?)", sessions).Update("text", "").Error; err != nil {
		return err
	}
	if err := tx.Model(&Share{}).Where("case_id = ?", caseID).Update("ground", "").Error; err != nil {
		return err
	}
	return tx.Model(&DutyNote{}).Where("case_id = ?", caseID).Updates(map[string]any{"text": "", "erased_at": tx.Now}).Error
}
