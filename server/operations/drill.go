package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	maxDrillTitle   = 100
	maxDrillCallers = 6 // of one drill
	maxDrillNumbers = 100
)

// Drill is an exercise (訓練, 第11) that a supervisor started. Its cases are marked
// everywhere and are in no statistics.
type Drill struct {
	ID        string
	AgencyID  string
	Title     string
	StartedBy string
	StartedAt time.Time
	EndedAt   *time.Time
	EndedBy   string
	Ending    DrillEnding
	Remark    string
}

// DrillEnding is why a drill is over.
type DrillEnding string

// The endings of a drill.
const (
	DrillDone      DrillEnding = "DONE"
	DrillRestarted DrillEnding = "RESTARTED" // the server began anew, and nobody plays any more
)

// DrillNumber is a real phone that messages of a drill may go to.
type DrillNumber struct {
	ID        string
	AgencyID  string
	Number    string
	Label     string
	AddedBy   string
	AddedAt   time.Time
	RemovedAt *time.Time
}

// CallerState is where a played caller stands.
type CallerState string

// The states of a played caller.
const (
	CallerWaiting CallerState = "WAITING" // for a link
	CallerPlaying CallerState = "PLAYING"
	CallerPaused  CallerState = "PAUSED" // a real call goes first
	CallerOver    CallerState = "OVER"
)

// Failure is what goes wrong on demand.
type Failure string

// The failures.
const (
	LateSMS      Failure = "LATE_SMS"
	CameraDenied Failure = "CAMERA_DENIED"
	WeakNetwork  Failure = "WEAK_NETWORK"
)

// DrillCaller is a caller whom the server plays. What is sent to the number
// leaves the machine never.
type DrillCaller struct {
	ID        string
	AgencyID  string
	DrillID   string
	CaseID    string
	Script    string
	Number    string
	Failures  string // joined by commas
	State     CallerState
	SessionID string
	PausedFor string
	ChangedAt time.Time
}

// Fails lists what goes wrong.
func (k *DrillCaller) Fails() []Failure {
	all := []Failure{}
	for _, f := range strings.Split(k.Failures, ",") {
		if f != "" {
			all = append(all, Failure(f))
		}
	}
	return all
}

// About is what they call about.
func (k *DrillCaller) About() *Script { return scriptOf(k.Script) }

// Does tells whether something goes wrong.
func (k *DrillCaller) Does(f Failure) bool { return slices.Contains(k.Fails(), f) }

// Script is what a played caller calls about.
type Script struct {
	ID           string
	TitleJa      string
	TitleEn      string
	Class        cases.Class
	Municipality string
	Place        string
	Story        string // what they say on the phone
}

// Scripts are the calls that can be played.
var Scripts = []*Script{
	{
		ID: "TRAFFIC", TitleJa: "交差点の追突事故", TitleEn: "Rear-end collision at a junction", Class: cases.Traffic,
		Municipality: "福島市", Place: "国道4号 仮想町交差点",
		Story: "【訓練】「追突された。けがはなさそうだが、前の車から煙のようなものが見える。」スマートフォンから通報中。",
	},
	{
		ID: "FLOOD", TitleJa: "冠水した道路で動けない車", TitleEn: "Car stranded on a flooded road", Class: cases.Information,
		Municipality: "福島市", Place: "県道 仮想橋のたもと",
		Story: "【訓練】「道路が冠水して、白い車が動けなくなっている。中に人がいるかは分からない。」高い所から見ている。",
	},
	{
		ID: "WALKER", TitleJa: "道に迷ったと思われる高齢者", TitleEn: "Elderly person who seems lost", Class: cases.Welfare,
		Municipality: "福島市", Place: "仮想公園の遊歩道",
		Story: "【訓練】「お年寄りがふらふら歩いている。声をかけたが、自分の家が分からないようだ。」そばで見守っている。",
	},
}

func scriptOf(id string) *Script {
	for _, s := range Scripts {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// playedNumber is the number of the n-th played caller. It is written like one of
// a mobile phone; nothing is ever sent to it.
func playedNumber(n int) string { return fmt.Sprintf("+819010000%03d", n) }

// NewDrill describes a drill and whom the server plays in it.
type NewDrill struct {
	Title   string
	Callers []NewDrillCaller
}

// NewDrillCaller is one caller to be played, and what goes wrong.
type NewDrillCaller struct {
	Script   string
	Failures []Failure
}

// DrillStage is who plays the callers of drills; app fills it.
type DrillStage interface {
	Pause(caller string)
	Resume(caller string)
	Stop(caller string)
}

// UseStage names who plays the callers.
func (o *Operations) UseStage(s DrillStage) { o.stage = s }

func drillEntry(actor policy.Actor, agency string, t journal.Type, id string, payload any) journal.Entry {
	return journal.Entry{Agency: agency, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Drill, ID: id}, Payload: payload}
}

// StartDrill opens a marked case for each caller of the drill (第11). One drill
// runs at a time. DRILL_RUNNING, BAD_INPUT.
func (o *Operations) StartDrill(ctx context.Context, actor policy.Actor, in NewDrill) (*Drill, error) {
	title := trimmed(in.Title)
	if err := short(title, maxDrillTitle); err != nil {
		return nil, err
	}
	if title == "" || len(in.Callers) > maxDrillCallers {
		return nil, problem.New(problem.BadInput)
	}
	d := &Drill{ID: identity.NewID(), AgencyID: actor.Agency, Title: title, StartedBy: actor.ID}
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		var a identity.Agency
		if err := tx.Lock().Select("id").Take(&a, "id = ?", actor.Agency).Error; err != nil { // two at once take turns
			return notFound(err)
		}
		var running int64
		if err := tx.Model(&Drill{}).Where("agency_id = ? AND ended_at IS NULL", actor.Agency).Count(&running).Error; err != nil {
			return err
		}
		if running > 0 {
			return problem.New(problem.DrillRunning)
		}
		d.StartedAt = tx.Now
		if err := tx.Create(d).Error; err != nil {
			return err
		}
		o.journal.Append(tx, drillEntry(actor, d.AgencyID, journal.DrillStarted, d.ID, map[string]any{"title": title, "callers": len(in.Callers)}))
		for n, c := range in.Callers {
			s := scriptOf(c.Script)
			if s == nil {
				return problem.New(problem.BadInput)
			}
			k, err := o.cases.OpenIn(tx, actor, cases.NewCase{Class: s.Class, Municipality: s.Municipality, Place: s.Place, Notes: s.Story, Drill: true})
			if err != nil {
				return err
			}
			var fails []string
			for _, f := range c.Failures {
				fails = append(fails, string(f))
			}
			caller := &DrillCaller{
				ID: identity.NewID(), AgencyID: d.AgencyID, DrillID: d.ID, CaseID: k.ID, Script: s.ID, Number: playedNumber(n + 1),
				Failures: strings.Join(fails, ","), State: CallerWaiting, ChangedAt: tx.Now,
			}
			if err := tx.Create(caller).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("start drill: %w", err)
	}
	return d, nil
}

// EndDrill ends a drill: nobody is played any more, its open video reports end,
// and whoever received one of them has a record of training. NOT_FOUND,
// DRILL_OVER.
func (o *Operations) EndDrill(ctx context.Context, actor policy.Actor, id, remark string) (*Drill, error) {
	remark = trimmed(remark)
	if err := tooLong(remark); err != nil {
		return nil, err
	}
	var d Drill
	var open []*cases.Session
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&d, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if d.EndedAt != nil {
			return problem.New(problem.DrillOver)
		}
		d.EndedAt, d.EndedBy, d.Ending, d.Remark = &tx.Now, actor.ID, DrillDone, remark
		if err := tx.Save(&d).Error; err != nil {
			return err
		}
		o.journal.Append(tx, drillEntry(actor, d.AgencyID, journal.DrillEnded, d.ID, map[string]any{"ending": d.Ending, "remark": remark}))
		callers, err := o.finish(tx, d.ID)
		if err != nil {
			return err
		}
		var caseIDs []string
		for _, c := range callers {
			caseIDs = append(caseIDs, c.CaseID)
		}
		byCase, err := o.cases.SessionsOf(tx.Context(), d.AgencyID, caseIDs)
		if err != nil {
			return err
		}
		var took []string
		for _, sessions := range byCase {
			for _, s := range sessions {
				if !s.State.Over() {
					open = append(open, s)
				}
				if s.LinkSentAt != nil && s.DispatcherID != "" && !slices.Contains(took, s.DispatcherID) {
					took = append(took, s.DispatcherID)
				}
			}
		}
		if len(took) == 0 {
			return nil
		}
		records := o.train(tx, actor, NewTraining{Course: drillCourse, TrainedOn: tx.Now.In(tokyo).Format(time.DateOnly)}, d.Title, UserPerson, took)
		return tx.Create(records).Error
	})
	if err != nil {
		return nil, fmt.Errorf("end drill: %w", err)
	}
	for _, s := range open {
		if _, err := o.cases.End(ctx, actor, s.ID, cases.OtherReason); err != nil {
			return nil, fmt.Errorf("end drill's video report: %w", err)
		}
	}
	return &d, nil
}

// finish ends all callers of a drill.
func (o *Operations) finish(tx *database.Tx, drillID string) ([]*DrillCaller, error) {
	var callers []*DrillCaller
	if err := tx.Lock().Order("id").Find(&callers, "drill_id = ?", drillID).Error; err != nil {
		return nil, err
	}
	for _, c := range callers {
		c.State, c.PausedFor, c.ChangedAt = CallerOver, "", tx.Now
		if err := tx.Save(c).Error; err != nil {
			return nil, err
		}
	}
	tx.AfterCommit(func() {
		for _, c := range callers {
			if o.stage != nil {
				o.stage.Stop(c.ID)
			}
		}
	})
	return callers, nil
}

// EndRestartedDrills ends what ran when the server stopped: nobody plays its
// callers any more.
func (o *Operations) EndRestartedDrills(ctx context.Context) error {
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		var running []*Drill
		if err := tx.Lock().Find(&running, "ended_at IS NULL").Error; err != nil {
			return err
		}
		for _, d := range running {
			d.EndedAt, d.Ending = &tx.Now, DrillRestarted
			if err := tx.Save(d).Error; err != nil {
				return err
			}
			if _, err := o.finish(tx, d.ID); err != nil {
				return err
			}
			o.journal.Append(tx, drillEntry(policy.SystemActor(), d.AgencyID, journal.DrillEnded, d.ID, map[string]any{"ending": d.Ending}))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end drills: %w", err)
	}
	return nil
}

// guardDrill lets messages of a drill go to its played caller and to listed
// numbers, and nowhere else. DRILL_NUMBER, DRILL_OVER.
func (o *Operations) guardDrill(tx *database.Tx, k *cases.Case, number, email string) error {
	if email != "" || number == "" {
		return problem.New(problem.DrillNumber)
	}
	var played []*DrillCaller
	if err := tx.Limit(1).Find(&played, "case_id = ? AND number = ?", k.ID, number).Error; err != nil {
		return fmt.Errorf("read drill: %w", err)
	}
	if len(played) > 0 {
		var d Drill
		if err := tx.Take(&d, "id = ?", played[0].DrillID).Error; err != nil {
			return fmt.Errorf("read drill: %w", err)
		}
		if d.EndedAt != nil {
			return problem.New(problem.DrillOver)
		}
		return nil
	}
	var listed int64
	if err := tx.Model(&DrillNumber{}).Where("agency_id = ? AND number = ? AND removed_at IS NULL", k.AgencyID, number).Count(&listed).Error; err != nil {
		return fmt.Errorf("read drill numbers: %w", err)
	}
	if listed == 0 {
		return problem.New(problem.DrillNumber)
	}
	return nil
}

// Played finds the caller whom the server plays as the receiver of a message: nil
// where the message is for a real phone. From then on the caller is playing, unless
// the drill is over.
func (o *Operations) Played(ctx context.Context, agency, sessionID, number string) (c *DrillCaller, err error) {
	s, err := o.cases.Session(ctx, agency, sessionID)
	if err != nil {
		return nil, err
	}
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		var found []*DrillCaller
		if err := tx.Lock().Limit(1).Find(&found, "case_id = ? AND number = ?", s.CaseID, number).Error; err != nil || len(found) == 0 {
			return err
		}
		c = found[0]
		var d Drill
		if err := tx.Take(&d, "id = ?", c.DrillID).Error; err != nil || d.EndedAt != nil {
			return err
		}
		c.State, c.SessionID, c.PausedFor, c.ChangedAt = CallerPlaying, s.ID, "", tx.Now
		if err := tx.Save(c).Error; err != nil {
			return err
		}
		e := drillEntry(policy.SystemActor(), c.AgencyID, journal.DrillPlayed, c.DrillID, map[string]any{"caller": c.ID, "script": c.Script, "failures": c.Fails()})
		e.CaseID, e.SessionID = c.CaseID, c.SessionID
		o.journal.Append(tx, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find played caller: %w", err)
	}
	return c, nil
}

// PlayOver notes that a caller is played no more. One that gave way stays so.
func (o *Operations) PlayOver(ctx context.Context, callerID string) error {
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		return tx.Model(&DrillCaller{}).Where("id = ? AND state = ?", callerID, CallerPlaying).
			Updates(map[string]any{"state": CallerOver, "changed_at": tx.Now}).Error
	})
	if err != nil {
		return fmt.Errorf("end played caller: %w", err)
	}
	return nil
}

// yield makes the played callers of a dispatcher give way who turned to a real
// case: the real call goes first (第11).
func (o *Operations) yield(tx *database.Tx, actor policy.Actor) error {
	var playing []*DrillCaller
	if err := tx.Find(&playing, "agency_id = ? AND state = ?", actor.Agency, CallerPlaying).Error; err != nil || len(playing) == 0 {
		return err
	}
	var ids []string
	for _, c := range playing {
		ids = append(ids, c.SessionID)
	}
	sessions, err := o.cases.Sessions(tx.Context(), actor.Agency, ids)
	if err != nil {
		return err
	}
	for _, c := range playing {
		if s := sessions[c.SessionID]; s == nil || s.DispatcherID != actor.ID || s.State.Over() {
			continue
		}
		c.State, c.PausedFor, c.ChangedAt = CallerPaused, "REAL_CALL", tx.Now
		if err := tx.Save(c).Error; err != nil {
			return err
		}
		e := drillEntry(actor, c.AgencyID, journal.DrillPaused, c.DrillID, map[string]any{"caller": c.ID, "for": c.PausedFor})
		e.CaseID, e.SessionID = c.CaseID, c.SessionID
		o.journal.Append(tx, e)
		id := c.ID
		tx.AfterCommit(func() {
			if o.stage != nil {
				o.stage.Pause(id)
			}
		})
	}
	return nil
}

// ResumeCaller lets a caller who gave way go on. NOT_FOUND, DRILL_OVER.
func (o *Operations) ResumeCaller(ctx context.Context, actor policy.Actor, id string) (*Drill, error) {
	var d Drill
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		var c DrillCaller
		if err := tx.Lock().Take(&c, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if err := tx.Take(&d, "id = ?", c.DrillID).Error; err != nil {
			return err
		}
		if d.EndedAt != nil {
			return problem.New(problem.DrillOver)
		}
		if c.State != CallerPaused {
			return nil
		}
		c.State, c.PausedFor, c.ChangedAt = CallerPlaying, "", tx.Now
		if err := tx.Save(&c).Error; err != nil {
			return err
		}
		e := drillEntry(actor, c.AgencyID, journal.DrillResumed, c.DrillID, map[string]any{"caller": c.ID})
		e.CaseID, e.SessionID = c.CaseID, c.SessionID
		o.journal.Append(tx, e)
		tx.AfterCommit(func() {
			if o.stage != nil {
				o.stage.Resume(c.ID)
			}
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("resume played caller: %w", err)
	}
	return &d, nil
}

// Drills reads an agency's drills, newest first, after a place, at most limit.
func (o *Operations) Drills(ctx context.Context, agency string, after *Place, limit int) ([]*Drill, error) {
	var found []*Drill
	if err := ordered(o.db.Read(ctx).Where("agency_id = ?", agency), "started_at", after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list drills: %w", err)
	}
	return found, nil
}

// CallersOf reads the played callers of drills.
func (o *Operations) CallersOf(ctx context.Context, agency string, drillIDs []string) (map[string][]*DrillCaller, error) {
	var found []*DrillCaller
	if err := o.db.Read(ctx).Order("id").Find(&found, "agency_id = ? AND drill_id IN ?", agency, drillIDs).Error; err != nil {
		return nil, fmt.Errorf("read played callers: %w", err)
	}
	byDrill := map[string][]*DrillCaller{}
	for _, c := range found {
		byDrill[c.DrillID] = append(byDrill[c.DrillID], c)
	}
	return byDrill, nil
}

// CallersIn reads the played callers of cases.
func (o *Operations) CallersIn(ctx context.Context, agency string, caseIDs []string) (map[string]*DrillCaller, error) {
	var found []*DrillCaller
	if err := o.db.Read(ctx).Find(&found, "agency_id = ? AND case_id IN ?", agency, caseIDs).Error; err != nil {
		return nil, fmt.Errorf("read played callers: %w", err)
	}
	byCase := make(map[string]*DrillCaller, len(found))
	for _, c := range found {
		byCase[c.CaseID] = c
	}
	return byCase, nil
}

// AddDrillNumber lists a real phone that messages of drills may go to.
// NUMBER_INVALID, ALREADY_EXISTS, BAD_INPUT.
func (o *Operations) AddDrillNumber(ctx context.Context, actor policy.Actor, number, label string) (*DrillNumber, error) {
	label = trimmed(label)
	if err := short(label, maxDrillTitle); err != nil {
		return nil, err
	}
	if label == "" {
		return nil, problem.New(problem.BadInput)
	}
	e164, err := cases.NormaliseMobile(number)
	if err != nil {
		return nil, err
	}
	n := &DrillNumber{ID: identity.NewID(), AgencyID: actor.Agency, Number: e164, Label: label, AddedBy: actor.ID}
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		var all int64
		if err := tx.Model(&DrillNumber{}).Where("agency_id = ? AND removed_at IS NULL", n.AgencyID).Count(&all).Error; err != nil {
			return err
		}
		if all >= maxDrillNumbers {
			return problem.New(problem.BadInput)
		}
		n.AddedAt = tx.Now
		if err := tx.Create(n).Error; err != nil {
			return err
		}
		o.journal.Append(tx, drillEntry(actor, n.AgencyID, journal.DrillNumberAdded, n.ID, map[string]any{"number": n.Number, "label": n.Label}))
		return nil
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, problem.Wrap(problem.AlreadyExists, err)
	}
	if err != nil {
		return nil, fmt.Errorf("list drill number: %w", err)
	}
	return n, nil
}

// RemoveDrillNumber takes a number off the list. Repeating it changes nothing.
// NOT_FOUND.
func (o *Operations) RemoveDrillNumber(ctx context.Context, actor policy.Actor, id string) (*DrillNumber, error) {
	var n DrillNumber
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&n, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if n.RemovedAt != nil {
			return nil
		}
		n.RemovedAt = &tx.Now
		if err := tx.Save(&n).Error; err != nil {
			return err
		}
		o.journal.Append(tx, drillEntry(actor, n.AgencyID, journal.DrillNumberRemoved, n.ID, nil))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("remove drill number: %w", err)
	}
	return &n, nil
}

// DrillNumbers reads the list.
func (o *Operations) DrillNumbers(ctx context.Context, agency string) ([]*DrillNumber, error) {
	var found []*DrillNumber
	if err := o.db.Read(ctx).Order("id").Limit(maxDrillNumbers).Find(&found, "agency_id = ? AND removed_at IS NULL", agency).Error; err != nil {
		return nil, fmt.Errorf("read drill numbers: %w", err)
	}
	return found, nil
}
