package graph

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"genba/server/cases"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/operations"
)

// cohort loads one kind of row for many keys with one statement, without
// waiting for anybody: whoever learns of keys that are likely to be asked for
// (the rows of a page) expects them, and the first one that is asked for brings
// them all.
type cohort[V any] struct {
	load func(ctx context.Context, keys []string) (map[string]V, error)

	mu       sync.Mutex
	expected map[string]struct{}
	got      map[string]V
}

func newCohort[V any](load func(ctx context.Context, keys []string) (map[string]V, error)) *cohort[V] {
	return &cohort[V]{load: load, expected: map[string]struct{}{}, got: map[string]V{}}
}

func (c *cohort[V]) expect(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		if _, there := c.got[k]; !there && k != "" {
			c.expected[k] = struct{}{}
		}
	}
}

// get answers the zero value for a key that has no row.
func (c *cohort[V]) get(ctx context.Context, key string) (V, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, there := c.got[key]; there || key == "" {
		return v, nil
	}
	c.expected[key] = struct{}{}
	keys := make([]string, 0, len(c.expected))
	for k := range c.expected {
		keys = append(keys, k)
	}
	loaded, err := c.load(ctx, keys)
	if err != nil {
		var none V
		return none, err
	}
	for _, k := range keys {
		c.got[k] = loaded[k]
	}
	clear(c.expected)
	return c.got[key], nil
}

// loaders are the cohorts of one answer: a request's, or one event's.
type loaders struct {
	users          *cohort[*identity.User]
	cases          *cohort[*cases.Case]
	sessions       *cohort[*cases.Session]
	sessionsOf     *cohort[[]*cases.Session]
	linksOf        *cohort[[]*cases.Link]
	phonesOf       *cohort[[]*cases.Phone]
	consentsOf     *cohort[[]*cases.Consent]
	tasksOf        *cohort[[]*cases.ContactTask]
	deliveriesOf   *cohort[[]*notify.Delivery]
	lastPositions  *cohort[*cases.Position]
	arriving       *cohort[int]
	staff          *cohort[*identity.StaffMember]
	staffLinksOf   *cohort[[]*cases.StaffLink]
	usageOf        *cohort[*operations.UsageReport]
	credentialsOf  *cohort[[]*identity.Credential]
	enrolmentOf    *cohort[*identity.Enrolment]
	sealedOf       *cohort[*identity.SealedPassword]
	lastSeen       *cohort[*time.Time]
	exportFilesOf  *cohort[[]*evidence.ExportFile]
	whispersOf     *cohort[[]*cases.Whisper]
	sharesOf       *cohort[[]*cases.Share]
	watchersOf     *cohort[[]*evidence.Watcher]
	agencies       *cohort[*identity.Agency]
	named          *cohort[*identity.User]
	notesOf        *cohort[[]*operations.ContactNote]
	contacts       *cohort[*operations.Contact]
	outages        *cohort[*operations.Outage]
	drillCallersOf *cohort[[]*operations.DrillCaller]
	drillCallerIn  *cohort[*operations.DrillCaller]
	// opened are the files that this answer let somebody look at.
	opened sync.Map
	// cursor is the place from which the answer's rows were read.
	cursor atomic.Pointer[journal.Cursor]
}

type loadersKey struct{}

// withLoaders gives each answer loaders of its own, so that an event shows what
// is true when it is delivered.
func (r *Resolver) withLoaders(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	agency := agencyOf(ctx)
	return next(context.WithValue(ctx, loadersKey{}, &loaders{
		users: newCohort(func(ctx context.Context, ids []string) (map[string]*identity.User, error) {
			return r.People.Users(ctx, agency, ids)
		}),
		cases: newCohort(func(ctx context.Context, ids []string) (map[string]*cases.Case, error) {
			return r.Cases.Cases(ctx, agency, ids)
		}),
		sessions: newCohort(func(ctx context.Context, ids []string) (map[string]*cases.Session, error) {
			return r.Cases.Sessions(ctx, agency, ids)
		}),
		sessionsOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.Session, error) {
			byCase, err := r.Cases.SessionsOf(ctx, agency, ids)
			for _, sessions := range byCase {
				expectSessions(ctx, sessions...)
			}
			return byCase, err
		}),
		linksOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.Link, error) {
			return r.Cases.Links(ctx, agency, ids)
		}),
		phonesOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.Phone, error) {
			return r.Cases.Phones(ctx, agency, ids)
		}),
		tasksOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.ContactTask, error) {
			return r.Cases.ContactTasks(ctx, agency, ids)
		}),
		consentsOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.Consent, error) {
			return r.Cases.Consents(ctx, agency, ids)
		}),
		deliveriesOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*notify.Delivery, error) {
			return r.Notify.Deliveries(ctx, agency, ids)
		}),
		lastPositions: newCohort(func(ctx context.Context, ids []string) (map[string]*cases.Position, error) {
			return r.Cases.LastPositions(ctx, agency, ids)
		}),
		whispersOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.Whisper, error) {
			return r.Cases.Whispers(ctx, agency, ids)
		}),
		sharesOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.Share, error) {
			byShare, err := r.Cases.SharesOf(ctx, agency, ids)
			for _, shares := range byShare {
				expectShares(ctx, shares...)
			}
			return byShare, err
		}),
		watchersOf: newCohort(r.Evidence.Watchers),
		agencies:   newCohort(r.People.Agencies),
		named:      newCohort(r.People.Named),
		arriving: newCohort(func(ctx context.Context, ids []string) (map[string]int, error) {
			return r.Evidence.Arriving(ctx, agency, ids)
		}),
		staff: newCohort(func(ctx context.Context, ids []string) (map[string]*identity.StaffMember, error) {
			return r.People.StaffMembers(ctx, agency, ids)
		}),
		staffLinksOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*cases.StaffLink, error) {
			return r.Cases.StaffLinks(ctx, agency, ids)
		}),
		usageOf: newCohort(func(ctx context.Context, ids []string) (map[string]*operations.UsageReport, error) {
			return r.Operations.UsageOf(ctx, agency, ids)
		}),
		credentialsOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*identity.Credential, error) {
			return r.People.CredentialsOf(ctx, agency, ids)
		}),
		enrolmentOf: newCohort(func(ctx context.Context, ids []string) (map[string]*identity.Enrolment, error) {
			return r.People.Enrolments(ctx, agency, ids)
		}),
		sealedOf: newCohort(func(ctx context.Context, ids []string) (map[string]*identity.SealedPassword, error) {
			return r.People.Sealed(ctx, agency, ids)
		}),
		lastSeen: newCohort(func(ctx context.Context, ids []string) (map[string]*time.Time, error) {
			return r.People.LastSeen(ctx, agency, ids)
		}),
		drillCallersOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*operations.DrillCaller, error) {
			return r.Operations.CallersOf(ctx, agency, ids)
		}),
		drillCallerIn: newCohort(func(ctx context.Context, ids []string) (map[string]*operations.DrillCaller, error) {
			return r.Operations.CallersIn(ctx, agency, ids)
		}),
		notesOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*operations.ContactNote, error) {
			return r.Operations.NotesOf(ctx, agency, ids)
		}),
		contacts: newCohort(func(ctx context.Context, ids []string) (map[string]*operations.Contact, error) {
			return r.Operations.ContactsByID(ctx, agency, ids)
		}),
		outages: newCohort(func(ctx context.Context, ids []string) (map[string]*operations.Outage, error) {
			return r.Operations.OutagesByID(ctx, agency, ids)
		}),
		exportFilesOf: newCohort(func(ctx context.Context, ids []string) (map[string][]*evidence.ExportFile, error) {
			return r.Evidence.ExportFiles(ctx, ids)
		}),
	}))
}

// expectUsers tells the loaders what a page of people is likely to ask for.
func expectUsers(ctx context.Context, found ...*identity.User) {
	l := loadersOf(ctx)
	for _, u := range found {
		l.credentialsOf.expect(u.ID)
		l.enrolmentOf.expect(u.ID)
		l.sealedOf.expect(u.ID)
		l.lastSeen.expect(u.ID)
	}
}

func loadersOf(ctx context.Context) *loaders { return ctx.Value(loadersKey{}).(*loaders) }

// expectCases tells the loaders what a page of cases is likely to ask for.
func expectCases(ctx context.Context, found ...*cases.Case) {
	l := loadersOf(ctx)
	for _, k := range found {
		l.sessionsOf.expect(k.ID)
		l.users.expect(k.OpenedBy)
	}
}

// expectSessions tells the loaders what a page of sessions is likely to ask for.
func expectSessions(ctx context.Context, found ...*cases.Session) {
	l := loadersOf(ctx)
	for _, s := range found {
		l.cases.expect(s.CaseID)
		l.users.expect(s.DispatcherID)
		l.linksOf.expect(s.ID)
		l.phonesOf.expect(s.ID)
		l.consentsOf.expect(s.ID)
		l.tasksOf.expect(s.ID)
		l.deliveriesOf.expect(s.ID)
		l.lastPositions.expect(s.ID)
		l.arriving.expect(s.ID)
		l.staff.expect(s.StaffMemberID)
		l.usageOf.expect(s.ID)
		l.whispersOf.expect(s.ID)
		l.sharesOf.expect(s.ID)
	}
}

// expectShares tells the loaders what a list of shares is likely to ask for.
func expectShares(ctx context.Context, found ...*cases.Share) {
	l := loadersOf(ctx)
	for _, s := range found {
		l.users.expect(s.GivenBy)
		l.agencies.expect(s.ToAgencyID, s.AgencyID)
		l.staff.expect(s.ToMemberID)
		l.watchersOf.expect(s.ID)
		l.sessions.expect(s.SessionID)
	}
}
