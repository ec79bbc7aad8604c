package operations_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/operations"
	"genba/server/problem"
)

func kinds(notices []*operations.Notice) (all []operations.NoticeKind) {
	for _, n := range notices {
		all = append(all, n.Kind)
	}
	return all
}

// 第4の5: a pause cites the national police's notice or an unavoidable reason, and
// is shown ahead: to those at work for a week, to callers for an hour.
func TestMaintenanceIsAnnouncedAhead(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		begin := db.Now().Add(3 * 24 * time.Hour)
		window := operations.NewMaintenance{BeginsAt: begin, EndsAt: begin.Add(2 * time.Hour)}
		announce := func(notice, reason string) (*operations.Maintenance, error) {
			window.Notice, window.Reason = notice, reason
			return c.reports.Announce(ctx, c.manager, window)
		}
		_, err := announce("", " ")
		refused(t, err, problem.MaintenanceGround)
		_, err = announce("警察庁 第12号", "停電")
		refused(t, err, problem.MaintenanceGround)
		m, err := announce("警察庁 第12号", "")
		require.NoError(t, err)

		shown := func() (police, callers []operations.NoticeKind) {
			p, err := c.reports.PoliceNotices(ctx, c.agency)
			require.NoError(t, err)
			k, err := c.reports.CallerNotices(ctx, c.agency, false)
			require.NoError(t, err)
			return kinds(p), kinds(k)
		}
		one := []operations.NoticeKind{operations.MaintenanceNotice}
		police, callers := shown()
		require.Equal(t, one, police)
		require.Empty(t, callers, "a pause of another day would only frighten")
		dbtest.ClockOf(db).Advance(3*24*time.Hour - time.Hour)
		police, callers = shown()
		require.Equal(t, one, police)
		require.Equal(t, one, callers)
		others, err := c.reports.PoliceNotices(ctx, c.stranger.Agency)
		require.NoError(t, err)
		require.Empty(t, others)

		_, err = c.reports.EndMaintenance(ctx, c.stranger, m.ID)
		refused(t, err, problem.NotFound)
		_, err = c.reports.EndMaintenance(ctx, c.manager, m.ID)
		require.NoError(t, err)
		police, callers = shown()
		require.Empty(t, append(police, callers...))
		require.Equal(t, 1, c.count(t, journal.MaintenanceEnded))

		// one of whoever runs the installation is everybody's
		national := operations.NewMaintenance{Notice: "警察庁 第13号", BeginsAt: db.Now().Add(time.Hour), EndsAt: db.Now().Add(26 * time.Hour)}
		_, err = c.reports.Announce(ctx, policy.Actor{Kind: policy.Operator, Role: policy.OperatorRole}, national)
		require.NoError(t, err)
		for _, agency := range []string{c.agency, c.stranger.Agency} {
			found, err := c.reports.PoliceNotices(ctx, agency)
			require.NoError(t, err)
			require.Equal(t, one, kinds(found))
			require.Contains(t, found[0].Ja, "運用停止")
		}
		dbtest.ClockOf(db).Advance(26 * time.Hour)
		police, _ = shown()
		require.Empty(t, police, "it is over")
	})
}

// 第10: a fault that the server or a supervisor noticed is closed only once it is
// written down when, whom and how somebody was told.
func TestOutageIsClosedOnlyAfterTelling(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		unit, err := c.reports.AddContact(ctx, c.manager, operations.NewContact{Kind: operations.ForFaults, Organisation: "東北管区警察局福島県情報通信部機動通信課", Telephone: "024-000-0000"})
		require.NoError(t, err)
		require.NoError(t, c.reports.Alarm(ctx, "", operations.Recording))
		dbtest.ClockOf(db).Advance(time.Minute)
		require.NoError(t, c.reports.Alarm(ctx, c.agency, operations.Recording))
		open := true
		found, err := c.reports.Outages(ctx, c.agency, &open, nil, 10)
		require.NoError(t, err)
		require.Len(t, found, 1, "an alarm is open once")
		x := found[0]
		require.True(t, x.Alarm)
		require.Equal(t, 2, x.Seen)
		elsewhere, err := c.reports.Outages(ctx, c.stranger.Agency, &open, nil, 10)
		require.NoError(t, err)
		require.Len(t, elsewhere, 1, "a fault of the installation is everybody's")
		notices, err := c.reports.PoliceNotices(ctx, c.agency)
		require.NoError(t, err)
		require.Equal(t, []operations.NoticeKind{operations.OutageNotice}, kinds(notices))

		_, err = c.reports.OpenOutage(ctx, c.supervisor, operations.OtherPart, " ")
		refused(t, err, problem.ReasonMissing)
		_, err = c.reports.CloseOutage(ctx, c.supervisor, x.ID, "直った")
		refused(t, err, problem.OutageNotTold)
		note := operations.NewContactNote{ContactID: unit.ID, OutageID: x.ID, ToldAt: db.Now(), Way: operations.ByPhone, Person: "当直", Text: "録画できない旨を連絡"}
		_, err = c.reports.NoteContact(ctx, c.stranger, note)
		refused(t, err, problem.NotFound)
		note.ToldAt = db.Now().Add(time.Hour)
		_, err = c.reports.NoteContact(ctx, c.supervisor, note)
		refused(t, err, problem.BadInput)
		note.ToldAt = db.Now()
		_, err = c.reports.NoteContact(ctx, c.supervisor, note)
		require.NoError(t, err)
		_, err = c.reports.CloseOutage(ctx, c.supervisor, x.ID, "")
		refused(t, err, problem.ReasonMissing)
		_, err = c.reports.CloseOutage(ctx, c.stranger, x.ID, "直った")
		refused(t, err, problem.NotFound)
		closed, err := c.reports.CloseOutage(ctx, c.supervisor, x.ID, "直った")
		require.NoError(t, err)
		require.Equal(t, c.supervisor.ID, closed.ClosedBy)
		require.Equal(t, 1, c.count(t, journal.OutageClosed))

		require.NoError(t, c.reports.Alarm(ctx, c.agency, operations.Recording))
		found, err = c.reports.Outages(ctx, c.agency, &open, nil, 10)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.NotEqual(t, x.ID, found[0].ID, "what comes back is another fault")
	})
}

// 第3の1(2): the directory, and who was told what.
func TestContactsKeepTheirLog(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		_, err := c.reports.AddContact(ctx, c.manager, operations.NewContact{Kind: operations.National, Organisation: " "})
		refused(t, err, problem.BadInput)
		k, err := c.reports.AddContact(ctx, c.manager, operations.NewContact{Kind: operations.National, Organisation: "警察庁", Post: "運用管理責任者"})
		require.NoError(t, err)
		_, err = c.reports.NoteContact(ctx, c.manager, operations.NewContactNote{ContactID: k.ID, ToldAt: db.Now(), Way: operations.ByEmail, Text: " "})
		refused(t, err, problem.ReasonMissing)
		_, err = c.reports.NoteContact(ctx, c.manager, operations.NewContactNote{ContactID: k.ID, ToldAt: db.Now(), Way: operations.ByEmail, Text: "月次の報告"})
		require.NoError(t, err)
		_, err = c.reports.RemoveContact(ctx, c.stranger, k.ID)
		refused(t, err, problem.NotFound)
		_, err = c.reports.RemoveContact(ctx, c.manager, k.ID)
		require.NoError(t, err)
		listed, err := c.reports.Contacts(ctx, c.agency)
		require.NoError(t, err)
		require.Empty(t, listed)
		notes, err := c.reports.ContactNotes(ctx, c.agency, nil, 10)
		require.NoError(t, err)
		require.Len(t, notes, 1, "the log stays")
		_, err = c.reports.NoteContact(ctx, c.manager, operations.NewContactNote{ContactID: k.ID, ToldAt: db.Now(), Way: operations.ByEmail, Text: "もう一度"})
		refused(t, err, problem.NotFound)
	})
}

// 第11: who was taught what, officers too, and to whom something is missing.
func TestTrainingTellsWhoIsUntrained(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		today := db.Now().In(time.FixedZone("JST", 9*60*60)).Format(time.DateOnly)
		untrained := func(course string) (ids []string) {
			yes := true
			found, err := c.reports.Trainees(ctx, c.agency, operations.TraineeFilter{Untrained: &yes, CourseID: &course}, "", 100)
			require.NoError(t, err)
			for _, p := range found {
				ids = append(ids, p.ID)
			}
			return ids
		}
		require.ElementsMatch(t, []string{c.manager.ID, c.supervisor.ID, c.dispatcher.ID, c.member.ID}, untrained("SYSTEM"))
		require.NotContains(t, untrained("DRILL"), c.member.ID, "it is for those who sign in")
		train := func(actor policy.Actor, course, day string, users, staff []string) error {
			_, err := c.reports.Train(ctx, actor, operations.NewTraining{Course: course, TrainedOn: day, Teacher: "教養担当", Users: users, Staff: staff})
			return err
		}
		refused(t, train(c.manager, "SYSTEM", "2099-01-01", []string{c.dispatcher.ID}, nil), problem.BadInput)
		refused(t, train(c.manager, "SYSTEM", today, nil, nil), problem.BadInput)
		refused(t, train(c.stranger, "SYSTEM", today, []string{c.dispatcher.ID}, nil), problem.NotFound)
		require.NoError(t, train(c.manager, "SYSTEM", today, []string{c.dispatcher.ID, c.dispatcher.ID}, []string{c.member.ID}))
		require.ElementsMatch(t, []string{c.manager.ID, c.supervisor.ID}, untrained("SYSTEM"))
		records, err := c.reports.TrainingRecords(ctx, c.agency, "", nil, 10)
		require.NoError(t, err)
		require.Len(t, records, 2, "one a person")

		_, err = c.reports.WithdrawTraining(ctx, c.manager, records[0].ID, "")
		refused(t, err, problem.ReasonMissing)
		for _, r := range records {
			if r.PersonID == c.member.ID {
				_, err = c.reports.WithdrawTraining(ctx, c.manager, r.ID, "欠席だった")
				require.NoError(t, err)
			}
		}
		require.Contains(t, untrained("SYSTEM"), c.member.ID)

		own, err := c.reports.AddCourse(ctx, c.manager, operations.NewCourse{Title: "新任研修", Audience: operations.ForStaff, Months: 0})
		require.NoError(t, err)
		require.Equal(t, []string{c.member.ID}, untrained(own.ID))
		require.NoError(t, train(c.manager, own.ID, today, nil, []string{c.member.ID}))
		_, err = c.reports.RetireCourse(ctx, c.manager, "SYSTEM")
		refused(t, err, problem.CourseFixed)
		_, err = c.reports.RetireCourse(ctx, c.stranger, own.ID)
		refused(t, err, problem.NotFound)

		// after a year it has to be taught again; what holds for good does not
		dbtest.ClockOf(db).Advance(370 * 24 * time.Hour)
		require.Contains(t, untrained("SYSTEM"), c.dispatcher.ID)
		require.Empty(t, untrained(own.ID))
		_, err = c.reports.RetireCourse(ctx, c.manager, own.ID)
		require.NoError(t, err)
		refused(t, train(c.manager, own.ID, today, nil, []string{c.member.ID}), problem.NotFound)
		people, gaps, err := c.reports.TrainingGaps(ctx, c.agency)
		require.NoError(t, err)
		require.Equal(t, []int{4, 4}, []int{people, gaps})
	})
}
