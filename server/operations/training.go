package operations

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Audience is whom a course is for.
type Audience string

// The audiences: those who sign in, officers in the field, both.
const (
	ForUsers     Audience = "USERS"
	ForStaff     Audience = "STAFF"
	ForEverybody Audience = "EVERYBODY"
)

// PersonKind tells people who sign in from officers in the field.
type PersonKind string

// The kinds of people.
const (
	UserPerson  PersonKind = "USER"
	StaffPerson PersonKind = "STAFF"
)

const (
	maxCourseTitle = 100
	maxCourses     = 30
	maxMonths      = 60
	maxTrained     = 200     // people of one record
	maxPeople      = 20_000  // of an agency; more are not listed
	peopleBatch    = 500     // read at once
	drillCourse    = "DRILL" // what taking part in a drill counts as
)

// Course is something that has to be taught (第11).
type Course struct {
	// ID is a fixed word for the courses that every agency has.
	ID        string
	AgencyID  string
	Title     string
	TitleEn   string `gorm:"-"`
	Audience  Audience
	Months    int // how long it holds; 0: for good
	AddedAt   time.Time
	RetiredAt *time.Time
}

// Fixed tells whether every agency has it.
func (c *Course) Fixed() bool { return c.AgencyID == "" }

// fixedCourses is what everybody has to know about the system (第11).
var fixedCourses = []*Course{
	{ID: "SYSTEM", Title: "システムの利用方法", TitleEn: "Using the system", Audience: ForEverybody, Months: 12},
	{ID: "RULES", Title: "運用管理要領", TitleEn: "The directive", Audience: ForEverybody, Months: 12},
	{ID: "SECURITY", Title: "情報セキュリティと個人情報", TitleEn: "Information security and personal data", Audience: ForEverybody, Months: 12},
	{ID: drillCourse, Title: "映像通報の訓練", TitleEn: "Video report drill", Audience: ForUsers, Months: 12},
}

func (c *Course) isFor(k PersonKind) bool {
	return c.Audience == ForEverybody || (c.Audience == ForUsers) == (k == UserPerson)
}

// Courses reads what an agency's people have to be taught.
func (o *Operations) Courses(ctx context.Context, agency string) ([]*Course, error) {
	var own []*Course
	err := o.db.Read(ctx).Where("agency_id = ? AND retired_at IS NULL", agency).Order("id").Limit(maxCourses).Find(&own).Error
	if err != nil {
		return nil, fmt.Errorf("read courses: %w", err)
	}
	for _, c := range own {
		c.TitleEn = c.Title
	}
	return append(slices.Clone(fixedCourses), own...), nil
}

// NewCourse describes a course of an agency's own.
type NewCourse struct {
	Title    string
	Audience Audience
	Months   int
}

// AddCourse adds one. BAD_INPUT.
func (o *Operations) AddCourse(ctx context.Context, actor policy.Actor, in NewCourse) (*Course, error) {
	title := trimmed(in.Title)
	if err := short(title, maxCourseTitle); err != nil {
		return nil, err
	}
	if title == "" || in.Months < 0 || in.Months > maxMonths {
		return nil, problem.New(problem.BadInput)
	}
	c := &Course{ID: identity.NewID(), AgencyID: actor.Agency, Title: title, TitleEn: title, Audience: in.Audience, Months: in.Months}
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		var n int64
		if err := tx.Model(&Course{}).Where("agency_id = ? AND retired_at IS NULL", c.AgencyID).Count(&n).Error; err != nil {
			return err
		}
		if n >= maxCourses {
			return problem.New(problem.BadInput)
		}
		c.AddedAt = tx.Now
		if err := tx.Create(c).Error; err != nil {
			return err
		}
		o.journal.Append(tx, trainingEntry(actor, journal.CourseAdded, c.ID, map[string]any{"title": title, "audience": c.Audience, "months": c.Months}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add course: %w", err)
	}
	return c, nil
}

func trainingEntry(actor policy.Actor, t journal.Type, id string, payload any) journal.Entry {
	return journal.Entry{Agency: actor.Agency, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Training, ID: id}, Payload: payload}
}

// RetireCourse takes one of the agency's own away; its records stay. NOT_FOUND,
// COURSE_FIXED.
func (o *Operations) RetireCourse(ctx context.Context, actor policy.Actor, id string) (*Course, error) {
	if fixedCourse(id) != nil {
		return nil, problem.New(problem.CourseFixed)
	}
	if _, err := identity.ParseID(id); err != nil {
		return nil, err
	}
	var c Course
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&c, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if c.RetiredAt != nil {
			return nil
		}
		c.RetiredAt = &tx.Now
		if err := tx.Save(&c).Error; err != nil {
			return err
		}
		o.journal.Append(tx, trainingEntry(actor, journal.CourseRetired, c.ID, nil))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("retire course: %w", err)
	}
	c.TitleEn = c.Title
	return &c, nil
}

func fixedCourse(id string) *Course {
	for _, c := range fixedCourses {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// TrainingRecord says that one person was taught a course on a day (第11).
type TrainingRecord struct {
	ID          string
	AgencyID    string
	Course      string
	PersonKind  PersonKind
	PersonID    string
	TrainedOn   string // YYYY-MM-DD in Japan
	Teacher     string
	RecordedBy  string
	RecordedAt  time.Time
	WithdrawnAt *time.Time
	WithdrawnBy string
	Withdrawal  string
}

// NewTraining describes who was taught what, when and by whom.
type NewTraining struct {
	Course    string
	TrainedOn string
	Teacher   string
	Users     []string
	Staff     []string
}

// Train records training, of many people at once. BAD_INPUT, NOT_FOUND for a
// course or a person that is not there.
func (o *Operations) Train(ctx context.Context, actor policy.Actor, in NewTraining) ([]*TrainingRecord, error) {
	teacher := trimmed(in.Teacher)
	if err := short(teacher, maxContactField); err != nil {
		return nil, err
	}
	day, err := time.ParseInLocation(time.DateOnly, in.TrainedOn, tokyo)
	if err != nil || day.After(o.db.Now()) || len(in.Users)+len(in.Staff) == 0 || len(in.Users)+len(in.Staff) > maxTrained {
		return nil, problem.New(problem.BadInput)
	}
	var records []*TrainingRecord
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		if fixedCourse(in.Course) == nil {
			if _, err := identity.ParseID(in.Course); err != nil {
				return err
			}
			var c Course
			if err := tx.Take(&c, "id = ? AND agency_id = ? AND retired_at IS NULL", in.Course, actor.Agency).Error; err != nil {
				return notFound(err)
			}
		}
		users, err := o.people.Users(tx.Context(), actor.Agency, in.Users)
		if err != nil {
			return err
		}
		staff, err := o.people.StaffMembers(tx.Context(), actor.Agency, in.Staff)
		if err != nil {
			return err
		}
		for _, id := range in.Users {
			if users[id] == nil || users[id].Status == identity.Removed {
				return problem.New(problem.NotFound)
			}
		}
		for _, id := range in.Staff {
			if staff[id] == nil || staff[id].RemovedAt != nil {
				return problem.New(problem.NotFound)
			}
		}
		records = append(o.train(tx, actor, in, teacher, UserPerson, in.Users), o.train(tx, actor, in, teacher, StaffPerson, in.Staff)...)
		return tx.Create(records).Error
	})
	if err != nil {
		return nil, fmt.Errorf("record training: %w", err)
	}
	return records, nil
}

func (o *Operations) train(tx *database.Tx, actor policy.Actor, in NewTraining, teacher string, kind PersonKind, ids []string) (records []*TrainingRecord) {
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		r := &TrainingRecord{
			ID: identity.NewID(), AgencyID: actor.Agency, Course: in.Course, PersonKind: kind, PersonID: id,
			TrainedOn: in.TrainedOn, Teacher: teacher, RecordedBy: actor.ID, RecordedAt: tx.Now,
		}
		records = append(records, r)
		o.journal.Append(tx, trainingEntry(actor, journal.TrainingRecorded, r.ID, map[string]any{
			"course": r.Course, "kind": r.PersonKind, "person": r.PersonID, "trainedOn": r.TrainedOn, "teacher": r.Teacher,
		}))
	}
	return records
}

// WithdrawTraining says that a record is wrong. It stays, and counts no more.
// REASON_MISSING, NOT_FOUND.
func (o *Operations) WithdrawTraining(ctx context.Context, actor policy.Actor, id, reason string) (*TrainingRecord, error) {
	reason, err := said(reason)
	if err != nil {
		return nil, err
	}
	var r TrainingRecord
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&r, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if r.WithdrawnAt != nil {
			return nil
		}
		r.WithdrawnAt, r.WithdrawnBy, r.Withdrawal = &tx.Now, actor.ID, reason
		if err := tx.Save(&r).Error; err != nil {
			return err
		}
		o.journal.Append(tx, trainingEntry(actor, journal.TrainingWithdrawn, r.ID, map[string]any{"course": r.Course, "reason": reason}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("withdraw training: %w", err)
	}
	return &r, nil
}

// TrainingRecords reads an agency's records, newest first, after a place, at
// most limit; of one person where personID is not empty.
func (o *Operations) TrainingRecords(ctx context.Context, agency, personID string, after *Place, limit int) ([]*TrainingRecord, error) {
	q := o.db.Read(ctx).Where("agency_id = ?", agency)
	if personID != "" {
		q = q.Where("person_id = ?", personID)
	}
	var found []*TrainingRecord
	if err := ordered(q, "recorded_at", after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list training: %w", err)
	}
	return found, nil
}

// Trainee is one person and where they stand with what they have to be taught.
type Trainee struct {
	Kind    PersonKind
	ID      string
	Name    string
	Unit    string // 所属; empty for those who sign in
	Role    *policy.Role
	Courses []*CourseState
}

// Untrained tells whether something is missing or has run out.
func (t *Trainee) Untrained() bool {
	return slices.ContainsFunc(t.Courses, func(c *CourseState) bool { return !c.Valid })
}

// CourseState is where one person stands with one course.
type CourseState struct {
	Course     *Course
	TrainedOn  *string
	ValidUntil *string // the last day; nil: for good, or never taught
	Valid      bool
}

// TraineeFilter narrows a list of people. Empty fields do not narrow.
type TraineeFilter struct {
	// Untrained keeps those to whom something, or the course, is missing.
	Untrained *bool
	CourseID  *string
	Kind      *PersonKind
	Text      *string
}

// Trainees lists everybody who has to be taught (第11): those who sign in, then
// officers by unit and name; it goes on after a person's id, at most limit.
func (o *Operations) Trainees(ctx context.Context, agency string, f TraineeFilter, after string, limit int) ([]*Trainee, error) {
	courses, err := o.Courses(ctx, agency)
	if err != nil {
		return nil, err
	}
	if f.CourseID != nil {
		courses = slices.DeleteFunc(courses, func(c *Course) bool { return c.ID != *f.CourseID })
	}
	people, err := o.everybody(ctx, agency)
	if err != nil {
		return nil, err
	}
	last, err := o.lastTraining(ctx, agency)
	if err != nil {
		return nil, err
	}
	today := o.db.Now().In(tokyo).Format(time.DateOnly)
	found := []*Trainee{}
	for _, p := range people {
		for _, c := range courses {
			if c.isFor(p.Kind) {
				p.Courses = append(p.Courses, c.state(last[taught{p.ID, c.ID}], today))
			}
		}
		if f.keep(p) {
			found = append(found, p)
		}
	}
	if after != "" {
		at := slices.IndexFunc(found, func(p *Trainee) bool { return p.ID == after })
		found = found[at+1:]
	}
	return found[:min(len(found), limit)], nil
}

func (f *TraineeFilter) keep(p *Trainee) bool {
	switch {
	case f.Untrained != nil && *f.Untrained != p.Untrained(), f.Kind != nil && *f.Kind != p.Kind, f.CourseID != nil && len(p.Courses) == 0:
		return false
	case f.Text != nil && trimmed(*f.Text) != "":
		text := strings.ToLower(trimmed(*f.Text))
		return strings.Contains(strings.ToLower(p.Name), text) || strings.Contains(strings.ToLower(p.Unit), text)
	}
	return true
}

// state is where somebody stands who was last taught on a day; "" never was.
func (c *Course) state(trainedOn, today string) *CourseState {
	s := &CourseState{Course: c}
	day, err := time.ParseInLocation(time.DateOnly, trainedOn, tokyo)
	if err != nil {
		return s
	}
	s.TrainedOn, s.Valid = &trainedOn, true
	if c.Months > 0 {
		until := day.AddDate(0, c.Months, 0).Format(time.DateOnly)
		s.ValidUntil, s.Valid = &until, today <= until
	}
	return s
}

func (o *Operations) everybody(ctx context.Context, agency string) ([]*Trainee, error) {
	var people []*Trainee
	for after := ""; len(people) < maxPeople; {
		users, err := o.people.ListUsers(ctx, agency, after, peopleBatch)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			after = u.ID
			if u.Status != identity.Removed {
				people = append(people, &Trainee{Kind: UserPerson, ID: u.ID, Name: u.DisplayName, Role: &u.Role})
			}
		}
		if len(users) < peopleBatch {
			break
		}
	}
	own := len(people)
	for after := ""; len(people) < maxPeople; {
		staff, err := o.people.ListStaff(ctx, agency, "", after, peopleBatch)
		if err != nil {
			return nil, err
		}
		for _, m := range staff {
			after = m.ID
			people = append(people, &Trainee{Kind: StaffPerson, ID: m.ID, Name: m.Name, Unit: m.Unit})
		}
		if len(staff) < peopleBatch {
			break
		}
	}
	slices.SortStableFunc(people[own:], func(a, b *Trainee) int {
		return strings.Compare(a.Unit+"\x00"+a.Name, b.Unit+"\x00"+b.Name)
	})
	return people, nil
}

type taught struct{ person, course string }

// lastTraining is the last day on which each person was taught each course.
func (o *Operations) lastTraining(ctx context.Context, agency string) (map[taught]string, error) {
	var rows []struct{ PersonID, Course, Day string }
	err := o.db.Read(ctx).Model(&TrainingRecord{}).Select("person_id, course, MAX(trained_on) AS day").
		Where("agency_id = ? AND withdrawn_at IS NULL", agency).Group("person_id, course").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read training: %w", err)
	}
	last := make(map[taught]string, len(rows))
	for _, r := range rows {
		last[taught{r.PersonID, r.Course}] = r.Day
	}
	return last, nil
}

// TrainingGaps counts how many people an agency has, and how many of them are
// missing something.
func (o *Operations) TrainingGaps(ctx context.Context, agency string) (people, untrained int, err error) {
	all, err := o.Trainees(ctx, agency, TraineeFilter{}, "", maxPeople)
	for _, t := range all {
		if t.Untrained() {
			untrained++
		}
	}
	return len(all), untrained, err
}
