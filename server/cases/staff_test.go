package cases_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

var privatePermission = cases.Permission{Name: "所属 長", Post: "福島署長", Number: "第12号", Date: "2026-11-01"}

// officer is somebody in the field with a phone.
type officer struct {
	*phone
	member *identity.StaffMember
	link   *cases.StaffLink
}

func (c *centre) manager() policy.Actor {
	return policy.Actor{Kind: policy.User, ID: c.supervisor.ID, Agency: c.agency, Role: policy.Manager}
}

func (c *centre) enlist(t require.TestingT, unit, name string) *identity.StaffMember {
	m, err := c.people.RegisterStaff(ctx, c.manager(), identity.NewStaffMember{Unit: unit, Name: name, Number: "A-1"})
	require.NoError(t, err)
	return m
}

func (c *centre) sheet(t require.TestingT, m *identity.StaffMember) string {
	_, code, err := c.rooms.IssueSheet(ctx, c.manager(), cases.NewSheet{MemberID: m.ID, Device: cases.IssuedDevice})
	require.NoError(t, err)
	return code
}

func (c *centre) register(p *phone, code string) (*cases.StaffLink, error) {
	l, token, err := c.rooms.RegisterPhone(ctx, cases.RegisterPhone{
		Code: code, PublicKey: p.publicKey(), RulesVersion: "2026-11", RulesLanguage: "ja", System: "canary-system", Browser: "canary-browser",
	})
	if err == nil {
		p.token = token
	}
	return l, err
}

// officer is one whose phone is registered and matched.
func (c *centre) officer(t require.TestingT) *officer {
	o := &officer{phone: newPhone(t), member: c.enlist(t, "福島署", "canary-officer")}
	var err error
	o.link, err = c.register(o.phone, c.sheet(t, o.member))
	require.NoError(t, err)
	o.link, err = c.rooms.MatchPhone(ctx, c.manager(), o.link.ID, o.link.MatchNumber)
	require.NoError(t, err)
	c.recognise(t, o)
	return o
}

func (c *centre) recognise(t require.TestingT, o *officer) {
	var err error
	o.actor, err = c.rooms.RecogniseStaff(ctx, o.token)
	require.NoError(t, err)
}

func (c *centre) staffCode(t require.TestingT) string {
	_, err := c.rooms.RotateStaffCodes(ctx)
	require.NoError(t, err)
	code, err := c.rooms.StaffCode(ctx, c.agency)
	require.NoError(t, err)
	require.NotNil(t, code)
	return code.Code
}

func (c *centre) start(t require.TestingT, o *officer, change func(*cases.StaffStart)) (*cases.Session, error) {
	nonce, err := c.rooms.Challenge(ctx, o.link.ID)
	require.NoError(t, err)
	in := cases.StaffStart{Nonce: nonce, Signature: o.sign(nonce), Code: c.staffCode(t), WithinResponse: true, NoOtherPath: true, Asked: cases.LiveMode}
	if change != nil {
		change(&in)
	}
	s, _, token, err := c.rooms.StartStaff(ctx, o.actor, in)
	if err == nil {
		o.token = token
		c.recognise(t, o)
	}
	return s, err
}

func otherCode(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// 第4の4(1)ア: one sheet, one phone, matched face to face.
func TestStaffRegistration(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		m := c.enlist(t, "福島署", "佐藤")
		code := c.sheet(t, m)

		shown, err := c.rooms.Registration(ctx, strings.ToLower(code[:4]+"-"+code[4:8]+" "+code[8:]))
		require.NoError(t, err, "as typed from the paper")
		require.Equal(t, cases.IssuedDevice, shown.Device)
		require.Len(t, shown.Rules, 2)

		p := newPhone(t)
		l, err := c.register(p, code)
		require.NoError(t, err)
		require.Equal(t, cases.StaffPending, l.State)
		require.Len(t, l.MatchNumber, 4)
		_, err = c.register(newPhone(t), code)
		refused(t, err, problem.RegistrationUnusable)
		_, err = c.rooms.Registration(ctx, code)
		refused(t, err, problem.RegistrationUnusable)

		o := &officer{phone: p, member: m, link: l}
		c.recognise(t, o)
		_, err = c.start(t, o, nil)
		refused(t, err, problem.StaffLinkPending)

		wrong := "0000"
		if l.MatchNumber == wrong {
			wrong = "1111"
		}
		_, err = c.rooms.MatchPhone(ctx, c.manager(), l.ID, wrong)
		refused(t, err, problem.MatchWrong)
		_, err = c.rooms.MatchPhone(ctx, c.foreigner, l.ID, l.MatchNumber)
		refused(t, err, problem.NotFound)
		l, err = c.rooms.MatchPhone(ctx, c.manager(), l.ID, l.MatchNumber)
		require.NoError(t, err)
		require.Equal(t, cases.StaffActive, l.State)
		_, err = c.start(t, o, nil)
		require.NoError(t, err)

		dump := c.dump(t)
		require.NotContains(t, dump, code)
		require.NotContains(t, dump, c.staffCode(t))
	})
}

func TestStaffRegistrationEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		m := c.enlist(t, "福島署", "佐藤")

		old := c.sheet(t, m)
		code := c.sheet(t, m)
		_, err := c.register(newPhone(t), old)
		refused(t, err, problem.RegistrationUnusable)

		dbtest.ClockOf(db).Advance(10 * time.Minute)
		_, err = c.register(newPhone(t), code)
		refused(t, err, problem.RegistrationUnusable)

		l, err := c.register(newPhone(t), c.sheet(t, m))
		require.NoError(t, err)
		for range 3 {
			_, err = c.rooms.MatchPhone(ctx, c.manager(), l.ID, "x")
			refused(t, err, problem.MatchWrong)
		}
		_, err = c.rooms.MatchPhone(ctx, c.manager(), l.ID, l.MatchNumber)
		refused(t, err, problem.RegistrationUnusable)

		l, err = c.register(newPhone(t), c.sheet(t, m))
		require.NoError(t, err)
		dbtest.ClockOf(db).Advance(10 * time.Minute)
		n, err := c.rooms.ExpireStaff(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = c.rooms.MatchPhone(ctx, c.manager(), l.ID, l.MatchNumber)
		refused(t, err, problem.RegistrationUnusable)

		_, err = c.rooms.RemoveStaffMember(ctx, c.manager(), m.ID)
		require.NoError(t, err)
		_, _, err = c.rooms.IssueSheet(ctx, c.manager(), cases.NewSheet{MemberID: m.ID, Device: cases.IssuedDevice})
		refused(t, err, problem.NotFound)
	})
}

// 第4の4(2)エ: a private phone only with the permission of the head of unit.
func TestPrivatePhoneNeedsPermission(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		m := c.enlist(t, "福島署", "佐藤")
		for _, missing := range []func(*cases.Permission){
			func(p *cases.Permission) { p.Name = " " }, func(p *cases.Permission) { p.Post = "" },
			func(p *cases.Permission) { p.Number = "" }, func(p *cases.Permission) { p.Date = "" },
			func(p *cases.Permission) { p.Date = "2026-11-24" }, // tomorrow
		} {
			given := privatePermission
			missing(&given)
			_, _, err := c.rooms.IssueSheet(ctx, c.manager(), cases.NewSheet{MemberID: m.ID, Device: cases.PrivateDevice, Permission: given})
			refused(t, err, problem.PermissionMissing)
		}
		_, code, err := c.rooms.IssueSheet(ctx, c.manager(), cases.NewSheet{MemberID: m.ID, Device: cases.PrivateDevice, Permission: privatePermission})
		require.NoError(t, err)
		l, err := c.register(newPhone(t), code)
		require.NoError(t, err)
		require.Equal(t, cases.PrivateDevice, l.Device)
		require.Equal(t, privatePermission, l.Permission)
	})
}

// 第4の4(1)ウ, (2)アク: the phone's key, the code and both declarations.
func TestStaffStart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		o := c.officer(t)
		_, err := c.start(t, o, func(in *cases.StaffStart) { in.NoOtherPath = false })
		refused(t, err, problem.DeclarationMissing)
		_, err = c.start(t, o, func(in *cases.StaffStart) { in.WithinResponse = false })
		refused(t, err, problem.DeclarationMissing)
		_, err = c.start(t, o, func(in *cases.StaffStart) { in.Signature = newPhone(t).sign(in.Nonce) })
		refused(t, err, problem.SignatureInvalid)
		_, err = c.start(t, o, func(in *cases.StaffStart) { in.Nonce = "x" })
		refused(t, err, problem.NonceInvalid)
		_, err = c.start(t, o, func(in *cases.StaffStart) { in.Code = otherCode(in.Code) })
		refused(t, err, problem.CodeWrong)

		before := o.token
		s, err := c.start(t, o, nil)
		require.NoError(t, err)
		require.Equal(t, cases.StaffSession, s.Kind)
		require.Equal(t, cases.CodeOK, s.State)
		require.Empty(t, s.DispatcherID)
		require.NotNil(t, s.DeclaredAt)
		require.Empty(t, c.caseOf(t, s.CaseID).OpenedBy)
		_, err = c.rooms.RecogniseStaff(ctx, before)
		refused(t, err, problem.Unauthenticated)

		require.Equal(t, policy.StaffPhone, o.actor.Kind)
		require.Equal(t, s.ID, o.actor.Session)
		require.NoError(t, c.report(o.phone))
		require.Equal(t, cases.Connected, c.session(t, s.ID).State)
		rows, err := c.journal.After(ctx, c.agency, 0, journal.Filter{SessionID: s.ID}, 100)
		require.NoError(t, err)
		for _, r := range rows {
			require.Equal(t, policy.StaffPhone, r.ActorKind, r.Type)
		}

		again, err := c.start(t, o, nil)
		require.NoError(t, err)
		require.Equal(t, s.ID, again.ID, "one that is open goes on")

		_, err = c.rooms.AskMode(ctx, c.dispatcher, s.ID, cases.PhotoMode)
		refused(t, err, problem.Forbidden)
		taken, err := c.rooms.TakeStaff(ctx, c.dispatcher, s.ID)
		require.NoError(t, err)
		require.Equal(t, c.dispatcher.ID, taken.DispatcherID)
		_, err = c.rooms.TakeStaff(ctx, c.colleague, s.ID)
		refused(t, err, problem.AlreadyTaken)
		_, err = c.rooms.TakeStaff(ctx, c.foreigner, s.ID)
		refused(t, err, problem.NotFound)
		_, err = c.rooms.AskMode(ctx, c.dispatcher, s.ID, cases.PhotoMode)
		require.NoError(t, err)

		require.NoError(t, c.rooms.EndOwn(ctx, o.actor))
		require.Equal(t, cases.Ended, c.session(t, s.ID).State)
		refused(t, c.report(o.phone), problem.SessionEnded)
		next, err := c.start(t, o, nil)
		require.NoError(t, err)
		require.NotEqual(t, s.ID, next.ID)
	})
}

// 第4の4(1)ウ: five wrong codes, and the phone waits; each is seen at the centre.
func TestStaffCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		o := c.officer(t)
		code := c.staffCode(t)
		for range 5 {
			_, err := c.start(t, o, func(in *cases.StaffStart) { in.Code = otherCode(in.Code) })
			refused(t, err, problem.CodeWrong)
		}
		_, err := c.start(t, o, nil)
		refused(t, err, problem.RateLimited)
		rows, err := c.journal.After(ctx, c.agency, 0, journal.Filter{Types: []journal.Type{journal.StaffCodeRefused}}, 100)
		require.NoError(t, err)
		require.Len(t, rows, 5)
		dbtest.ClockOf(db).Advance(10 * time.Minute)
		_, err = c.start(t, o, nil)
		require.NoError(t, err)

		fresh, err := c.rooms.ReissueStaffCode(ctx, c.supervisor)
		require.NoError(t, err)
		require.Len(t, fresh.Code, 6)
		if fresh.Code != code {
			_, err = c.start(t, o, func(in *cases.StaffStart) { in.Code = code })
			refused(t, err, problem.CodeWrong)
		}
		// it changes at the agency's hour in Japan: midnight at first
		require.Equal(t, "2026-11-23T15:00:00Z", fresh.ExpiresAt.Format(time.RFC3339))
		dbtest.ClockOf(db).SetWall(fresh.ExpiresAt)
		none, err := c.rooms.StaffCode(ctx, c.agency)
		require.NoError(t, err)
		require.Nil(t, none)
		n, err := c.rooms.RotateStaffCodes(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, n, "both agencies")
		c.settings(t, func(s *identity.Settings) { s.StaffCodeHour = 9 })
		fresh, err = c.rooms.ReissueStaffCode(ctx, c.supervisor)
		require.NoError(t, err)
		require.Equal(t, "2026-11-24T00:00:00Z", fresh.ExpiresAt.Format(time.RFC3339))
	})
}

// An officer's report comes into the case that a dispatcher said, once.
func TestStaffAssignment(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		o := c.officer(t)
		k := c.open(t)
		_, err := c.rooms.AssignStaff(ctx, c.foreigner, k.ID, o.member.ID)
		refused(t, err, problem.NotFound)
		_, err = c.rooms.AssignStaff(ctx, c.dispatcher, k.ID, o.member.ID)
		require.NoError(t, err)
		s, err := c.start(t, o, nil)
		require.NoError(t, err)
		require.Equal(t, k.ID, s.CaseID)
		require.Equal(t, c.dispatcher.ID, s.DispatcherID)
		require.Equal(t, 1, c.caseOf(t, k.ID).OpenSessions)
		require.NoError(t, c.rooms.EndOwn(ctx, o.actor))
		s, err = c.start(t, o, nil)
		require.NoError(t, err)
		require.NotEqual(t, k.ID, s.CaseID)
		require.NoError(t, c.rooms.EndOwn(ctx, o.actor))

		_, err = c.rooms.AssignStaff(ctx, c.dispatcher, k.ID, o.member.ID)
		require.NoError(t, err)
		dbtest.ClockOf(db).Advance(time.Hour)
		s, err = c.start(t, o, nil)
		require.NoError(t, err)
		require.NotEqual(t, k.ID, s.CaseID, "an assignment waits an hour")
		dbtest.ClockOf(db).Advance(10 * time.Minute)
		_, err = c.rooms.ExpireStaff(ctx)
		require.NoError(t, err)
		require.Equal(t, cases.Expired, c.session(t, s.ID).State, "nothing ever came")
	})
}

// T04: a copy of the phone's storage, cookie and all, is out as soon as the
// phone itself proves its key, and can start nothing.
func TestCopiedStaffProfileIsRefused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		o := c.officer(t)
		thief := &officer{phone: newPhone(t), member: o.member, link: o.link} // all but the key
		thief.token, thief.actor = o.token, o.actor
		_, err := c.start(t, thief, nil)
		refused(t, err, problem.SignatureInvalid)
		nonce, err := c.rooms.Challenge(ctx, o.link.ID)
		require.NoError(t, err)
		_, _, err = c.rooms.ResumePhone(ctx, o.link.ID, nonce, thief.sign(nonce))
		refused(t, err, problem.SignatureInvalid)

		nonce, err = c.rooms.Challenge(ctx, o.link.ID)
		require.NoError(t, err)
		_, o.token, err = c.rooms.ResumePhone(ctx, o.link.ID, nonce, o.sign(nonce))
		require.NoError(t, err)
		_, err = c.rooms.RecogniseStaff(ctx, thief.token)
		refused(t, err, problem.Unauthenticated)
		_, _, err = c.rooms.ResumePhone(ctx, o.link.ID, nonce, o.sign(nonce))
		refused(t, err, problem.NonceInvalid)

		unknown, err := c.rooms.Challenge(ctx, identity.NewID())
		require.NoError(t, err)
		_, _, err = c.rooms.ResumePhone(ctx, identity.NewID(), unknown, o.sign(unknown))
		refused(t, err, problem.NonceInvalid)
		dbtest.ClockOf(db).Advance(12 * time.Hour)
		_, err = c.rooms.RecogniseStaff(ctx, o.token)
		refused(t, err, problem.Unauthenticated)
	})
}

// 第4の4(2)ウカ: suspended by the supervisor, revoked by the manager; what is sent
// is cut, and the phone is told to wipe itself.
func TestStaffSuspendAndRevoke(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		o := c.officer(t)
		var over, cut []string
		c.rooms.OnOver(func(id string) { over = append(over, id) })
		c.rooms.OnCut(func(id string) { cut = append(cut, id) })
		s, err := c.start(t, o, nil)
		require.NoError(t, err)
		require.NoError(t, c.report(o.phone))

		_, err = c.rooms.Suspend(ctx, c.foreigner, o.link.ID)
		refused(t, err, problem.NotFound)
		l, err := c.rooms.Suspend(ctx, c.supervisor, o.link.ID)
		require.NoError(t, err)
		require.Equal(t, cases.StaffSuspended, l.State)
		require.Equal(t, []string{s.ID}, over)
		require.Equal(t, []string{o.link.ID}, cut)
		require.Equal(t, cases.Revoked, c.session(t, s.ID).State)
		refused(t, c.report(o.phone), problem.SessionEnded)
		c.recognise(t, o)
		_, err = c.start(t, o, nil)
		refused(t, err, problem.StaffLinkSuspended)

		links, err := c.rooms.RevokeStaff(ctx, c.manager(), []string{o.link.ID}, cases.RevokedLeak)
		require.NoError(t, err)
		require.True(t, links[0].Wipe())
		_, err = c.start(t, o, nil)
		refused(t, err, problem.StaffLinkRevoked)
		c.recognise(t, o) // it learns of it
		require.NoError(t, c.rooms.RemovePhone(ctx, o.actor))
		_, err = c.rooms.RecogniseStaff(ctx, o.token)
		refused(t, err, problem.Unauthenticated)
		l, err = c.rooms.StaffLink(ctx, c.agency, o.link.ID)
		require.NoError(t, err)
		require.Empty(t, l.PublicKey)
		require.NotNil(t, l.WipedAt)
		nonce, err := c.rooms.Challenge(ctx, o.link.ID)
		require.NoError(t, err)
		_, _, err = c.rooms.ResumePhone(ctx, o.link.ID, nonce, o.sign(nonce))
		refused(t, err, problem.NonceInvalid)
	})
}

// 第4の4(2)カ: before transfers, by unit, all at once or none.
func TestStaffBulkRevoke(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		a, b := c.officer(t), c.officer(t)
		units, err := c.people.StaffUnits(ctx, c.agency)
		require.NoError(t, err)
		require.Equal(t, []*identity.StaffUnit{{Name: "福島署", Members: 2}}, units)
		unit := "福島署"
		active := cases.StaffActive
		links, err := c.rooms.ListStaffLinks(ctx, c.agency, cases.StaffLinkFilter{Unit: &unit, State: &active}, "", 10)
		require.NoError(t, err)
		require.Len(t, links, 2)
		_, err = c.rooms.RevokeStaff(ctx, c.manager(), []string{a.link.ID, identity.NewID()}, cases.RevokedTransfer)
		refused(t, err, problem.NotFound)
		l, err := c.rooms.StaffLink(ctx, c.agency, a.link.ID)
		require.NoError(t, err)
		require.Equal(t, cases.StaffActive, l.State)
		_, err = c.rooms.RevokeStaff(ctx, c.manager(), []string{a.link.ID, b.link.ID}, cases.RevokedTransfer)
		require.NoError(t, err)
		links, err = c.rooms.ListStaffLinks(ctx, c.agency, cases.StaffLinkFilter{Unit: &unit, State: &active}, "", 10)
		require.NoError(t, err)
		require.Empty(t, links)
	})
}

// 第4の4(2)イ: the rules are accepted again every year.
func TestStaffRulesAreAcceptedYearly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		o := c.officer(t)
		due := true
		list := func() int {
			links, err := c.rooms.ListStaffLinks(ctx, c.agency, cases.StaffLinkFilter{RulesDue: &due}, "", 10)
			require.NoError(t, err)
			return len(links)
		}
		require.Zero(t, list())
		dbtest.ClockOf(db).Advance(340 * 24 * time.Hour)
		require.Equal(t, 1, list(), "a month ahead")
		dbtest.ClockOf(db).Advance(25 * 24 * time.Hour)
		nonce, err := c.rooms.Challenge(ctx, o.link.ID)
		require.NoError(t, err)
		_, o.token, err = c.rooms.ResumePhone(ctx, o.link.ID, nonce, o.sign(nonce))
		require.NoError(t, err)
		_, err = c.start(t, o, nil)
		refused(t, err, problem.RulesOutdated)
		_, err = c.rooms.AcceptRules(ctx, o.actor, "2020-01", "ja")
		refused(t, err, problem.RulesOutdated)
		_, err = c.rooms.AcceptRules(ctx, o.actor, "2026-11", "en")
		require.NoError(t, err)
		require.Zero(t, list())
		_, err = c.start(t, o, nil)
		require.NoError(t, err)
	})
}
