package graph_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"genba/policy"
	"genba/server/database/dbtest"
	"genba/server/identity"
)

// value makes an argument of a type. choose, when it is not nil, gives the
// values of ids and texts by their path ("input.caseID"); of what may be left
// out only what choose wants is given.
func value(t *ast.Type, path string, choose func(path string, t *ast.Type) any) any {
	if choose != nil {
		if v := choose(path, t); v != nil {
			return v
		}
	}
	if t.Elem != nil {
		return []any{value(t.Elem, path, choose)}
	}
	switch t.NamedType {
	case "ID":
		return identity.NewID()
	case "String", "Cursor":
		return "x"
	case "Int", "Int64":
		return 1
	case "Float":
		return 1.5
	case "Boolean":
		return true
	case "Time":
		return dbtest.Start.Format("2006-01-02T15:04:05Z07:00")
	case "Date":
		return "2026-11-23"
	}
	d := schema.Types[t.NamedType]
	if d.Kind == ast.Enum {
		return d.EnumValues[0].Name
	}
	object := map[string]any{}
	for _, f := range d.Fields {
		at := path + "." + f.Name
		wanted := f.Type.NonNull && f.DefaultValue == nil
		if !wanted && choose != nil {
			wanted = wants(f.Type, at, choose)
		}
		if wanted {
			object[f.Name] = value(f.Type, at, choose)
		}
	}
	return object
}

// wants tells whether choose gives something at or below the path.
func wants(t *ast.Type, path string, choose func(string, *ast.Type) any) bool {
	if choose(path, t) != nil {
		return true
	}
	d := schema.Types[t.Name()]
	if d == nil || d.Kind != ast.InputObject {
		return false
	}
	return slices.ContainsFunc(d.Fields, func(f *ast.FieldDefinition) bool { return wants(f.Type, path+"."+f.Name, choose) })
}

// operation is a document that asks for one root field.
func operation(root *ast.Definition, f *ast.FieldDefinition, selection string, choose func(string, *ast.Type) any) (string, map[string]any) {
	var declared, given []string
	variables := map[string]any{}
	for _, a := range f.Arguments {
		if (a.Type.NonNull && a.DefaultValue == nil) || choose != nil && wants(a.Type, a.Name, choose) {
			declared = append(declared, "$"+a.Name+": "+a.Type.String())
			given = append(given, a.Name+": $"+a.Name)
			variables[a.Name] = value(a.Type, a.Name, choose)
		}
	}
	brackets := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return "(" + strings.Join(list, ", ") + ")"
	}
	return strings.ToLower(root.Name) + brackets(declared) + " { " + f.Name + brackets(given) + " " + selection + " }", variables
}

// right is what one @can asks for.
type right struct {
	object policy.Object
	action policy.Action
}

func rightsOf(lists ...ast.DirectiveList) (rights []right) {
	for _, list := range lists {
		if d := list.ForName("can"); d != nil {
			rights = append(rights, right{policy.Object(d.Arguments.ForName("object").Value.Raw), policy.Action(d.Arguments.ForName("action").Value.Raw)})
		}
	}
	return rights
}

func has(p *policy.Policy, a policy.Actor, rights []right) bool {
	return !slices.ContainsFunc(rights, func(r right) bool { return !p.Can(a, a.Agency, r.object, r.action) })
}

// way is how a field of some type can be asked for: the root field and the
// selection below it.
type way struct {
	root   *ast.Definition
	field  *ast.FieldDefinition
	below  []*ast.FieldDefinition
	rights []right
}

func (w way) last() *ast.FieldDefinition {
	if len(w.below) == 0 {
		return w.field
	}
	return w.below[len(w.below)-1]
}

func (w way) then(on *ast.Definition, f *ast.FieldDefinition) way {
	w.below = append(slices.Clone(w.below), f)
	w.rights = append(slices.Clone(w.rights), rightsOf(on.Directives, f.Directives)...)
	return w
}

func (w way) selection() string {
	if isLeaf(w.field) {
		return ""
	}
	text := "{ __typename }"
	for _, f := range slices.Backward(w.below) {
		if isLeaf(f) {
			text = "{ " + f.Name + " }"
		} else {
			text = "{ " + f.Name + " " + text + " }"
		}
	}
	return text
}

func (w way) name() string {
	name := w.root.Name + "." + w.field.Name
	for _, f := range w.below {
		name += "." + f.Name
	}
	return name
}

func isLeaf(f *ast.FieldDefinition) bool { return schema.Types[f.Type.Name()].Kind != ast.Object }

// ways finds a shortest way to every field of every type, and to every root
// field.
func ways() (all []way) {
	reached := map[string]bool{}
	var queue []way
	for _, root := range roots {
		for _, f := range rootFields(root) {
			queue = append(queue, way{root: root, field: f, rights: rightsOf(f.Directives)})
		}
	}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		all = append(all, w)
		if isLeaf(w.last()) {
			continue
		}
		on := schema.Types[w.last().Type.Name()]
		for _, f := range on.Fields {
			if name := on.Name + "." + f.Name; !strings.HasPrefix(f.Name, "__") && !reached[name] {
				reached[name] = true
				queue = append(queue, w.then(on, f))
			}
		}
	}
	return all
}

func TestWaysReachEveryField(t *testing.T) {
	reached := map[string]bool{}
	for _, w := range ways() {
		if len(w.below) == 0 {
			reached[w.root.Name+"."+w.field.Name] = true
			continue
		}
		on := w.field
		if len(w.below) > 1 {
			on = w.below[len(w.below)-2]
		}
		reached[on.Type.Name()+"."+w.last().Name] = true
	}
	for _, d := range definitions() {
		for _, f := range d.Fields {
			if d.Kind == ast.Object && !strings.HasPrefix(f.Name, "__") {
				require.True(t, reached[d.Name+"."+f.Name], "%s.%s", d.Name, f.Name)
			}
		}
	}
}

// actors are one of every kind, of one agency.
func (h *house) actors(a *agency) []*visitor {
	phone := tokenHolder(a, policy.Caller, policy.CallerRole)
	phone.actor.Session = identity.NewID()
	staff := tokenHolder(a, policy.StaffPhone, policy.StaffPhoneRole)
	staff.actor.Session, staff.actor.Login = identity.NewID(), identity.NewID()
	all := []*visitor{nobody, phone, staff, tokenHolder(a, policy.Analyst, policy.AnalystRole), tokenHolder(a, policy.Service, policy.ServiceRole)}
	all = append(all, h.operator())
	locked := *h.who(a, policy.Supervisor)
	locked.token, locked.name, locked.actor.Role = "", "LOCKED", policy.LockedRole
	all = append(all, &locked)
	key := newKey(h.t)
	all = append(all, &visitor{name: "UNENROLLED", page: "console", enrols: &key})
	for _, role := range []policy.Role{policy.Manager, policy.Supervisor, policy.Dispatcher} {
		v := *h.who(a, role)
		v.token = "" // the actor itself: signing out does not end the others' sign-in
		all = append(all, &v)
		for _, desk := range policy.Desks { // wherever they sit
			there := v
			there.actor.Desk, there.name = desk, v.name+" at "+string(desk)
			switch {
			case role == policy.Supervisor && desk != v.actor.Desk, role == policy.Dispatcher && desk == policy.Admin:
				all = append(all, &there)
			case role == policy.Manager && desk.Receives():
				there.actor.Grant, there.name = policy.ReceptionGrant, there.name+" with reception"
				all = append(all, &there)
			}
		}
	}
	return all
}

// operator is somebody who runs the installation, signed in.
func (h *house) operator() *visitor {
	h.t.Helper()
	if h.runs == nil {
		_, _, err := h.people.RegisterOperator(h.ctx(), "operator", "運用 次郎", password)
		require.NoError(h.t, err)
		token, actor, err := h.people.SignIn(h.ctx(), identity.OperatorsCode, "operator", password)
		require.NoError(h.t, err)
		h.runs = &visitor{name: "OPERATOR", actor: actor, page: "console", token: token}
	}
	v := *h.runs
	v.token = ""
	return &v
}

// T10, generated from the schema: every field of every type, on a shortest way
// to it, asked for by every kind of actor, in an agency and elsewhere, signed out,
// locked and on a browser that is not enrolled: refused exactly where the policy
// says no, and nothing of the other agency in any answer.
func TestEveryFieldFollowsThePolicy(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		theirs := h.furnish(h.other)
		actors, all := h.actors(h.own), ways()
		kinds, cells := map[policy.Role]bool{}, 0
		for _, v := range actors {
			kinds[v.actor.Role] = true
			t.Run(v.name, func(t *testing.T) {
				for _, w := range all {
					query, variables := operation(w.root, w.field, w.selection(), nil)
					a := h.do(v, query, variables)
					cells++
					for kind, id := range theirs.ids() {
						require.NotContains(t, string(a.body), id, "%s of another agency, by %s", kind, w.name())
					}
					expected := ""
					switch {
					case v.enrols != nil:
						if w.field.Directives.ForName("unenrolled") == nil {
							expected = "TERMINAL_UNKNOWN"
						}
					case has(h.policy, v.actor, w.rights):
						// only people sign in and out: the room says so
						if w.field.Name == "signOut" && v.actor.Kind != policy.User && v.actor.Kind != policy.Operator {
							expected = "FORBIDDEN"
						}
						// who belongs to no agency has nothing to confirm: the same
						if w.field.Name == "beginConfirmation" && v.actor.Kind == policy.Operator {
							expected = "FORBIDDEN"
						}
					case v == nobody:
						expected = "UNAUTHENTICATED"
					case v.actor.Role == policy.LockedRole:
						expected = "SCREEN_LOCKED"
					default:
						expected = "FORBIDDEN"
					}
					if expected != "" {
						require.Equal(t, expected, a.reason(), "%s: %s", w.name(), a.body)
						require.Nil(t, a.at(w.field.Name), w.name())
						continue
					}
					require.NotContains(t, []string{"FORBIDDEN", "UNAUTHENTICATED"}, a.reason(), "%s: %s", w.name(), a.body)
					switch v.actor.Kind {
					case policy.User, policy.Caller, policy.StaffPhone, policy.Operator, policy.Nobody, "":
						require.NotEqual(t, "INTERNAL", a.reason(), "%s: %s", w.name(), a.body)
					default: // the table knows them; nothing can sign in as one yet
					}
				}
			})
		}
		require.Equal(t, len(actors)*len(all), cells, "every cell of the matrix")
		for _, role := range policy.Roles {
			require.True(t, kinds[role] || role == policy.SystemRole, "%s is missing", role) // the house asks itself nothing
		}
	})
}

// slots are the paths of every ID in a root field's arguments.
func slots(f *ast.FieldDefinition) (paths []string) {
	var walk func(t *ast.Type, path string)
	walk = func(t *ast.Type, path string) {
		if t.Name() == "ID" {
			paths = append(paths, path)
		} else if d := schema.Types[t.Name()]; d.Kind == ast.InputObject {
			for _, f := range d.Fields {
				walk(f.Type, path+"."+f.Name)
			}
		}
	}
	for _, a := range f.Arguments {
		walk(a.Type, a.Name)
	}
	return paths
}

// things are the ids of one of everything in an agency.
type things struct {
	export, deputy string

	caseID, session, phone, media, user, viewing, task, terminal, grant string
	caller                                                              *visitor
	staff

	person, removed, credential, fingerprint string

	whisper, share, elsewhere string
	shown                     string // to the officer

	running
}

func (h *house) furnish(a *agency) things {
	h.t.Helper()
	d := h.who(a, policy.Dispatcher)
	var is things
	is.session, is.caller = h.report1(d)
	is.caseID = h.must(d, `query($id: ID!) { session(id: $id) { case { id } } }`, map[string]any{"id": is.session}).text("session", "case", "id")
	is.phone, is.user = is.caller.actor.ID, d.actor.ID
	is.media = h.upload(is.caller)
	is.viewing = h.mustInput(d, "watch", "WatchInput", "viewing { id }", map[string]any{"sessionID": is.session}).text("watch", "viewing", "id")
	terminal, err := h.people.AddTerminal(h.ctx(), policy.SystemActor(), a.ID, identity.NewTerminal{Kind: policy.Tablet, Number: "7"}, newKey(h.t), false)
	require.NoError(h.t, err)
	is.terminal = terminal.ID
	is.grant = h.reception(a)
	misdirected, _ := h.newSession(d)
	is.task = h.misdirect(d, misdirected)
	is.staff = h.furnishStaff(a)
	is.person, is.removed = h.enrol(a, "person"), h.enrol(a, "removed")
	m := h.who(a, policy.Manager)
	h.mustInput(m, "removeUser", "RemoveUserInput", "user { id }", map[string]any{"userID": is.removed, "reason": "異動"})
	is.fingerprint = h.must(m, "{ fingerprintTasks { id } }", nil).text("fingerprintTasks", "0", "id")
	keys, err := h.people.CredentialsOf(h.ctx(), a.ID, []string{is.person})
	require.NoError(h.t, err)
	is.credential = keys[is.person][0].ID
	is.export = h.requestExport(d, is.caseID, is.media, d.actor.ID)
	is.deputy = h.appoint(h.who(a, policy.Manager), h.who(a, policy.Supervisor).actor.ID)
	h.supervise(a, &is)
	is.running = h.furnishRunning(a, is.person)
	return is
}

// reception gives a manager of the agency the dispatcher's rights, as the
// operator does.
func (h *house) reception(a *agency) string {
	h.t.Helper()
	boss, err := h.people.Register(h.ctx(), policy.SystemActor(), a.ID, identity.NewUser{UserName: "deputy", DisplayName: "次席", Role: policy.Manager, Password: password, PasswordReason: "test"})
	require.NoError(h.t, err)
	g, err := h.people.GrantReception(h.ctx(), policy.SystemActor(), a.ID, identity.NewReception{UserID: boss.ID, RuleNumber: "1", RuleDate: "2026-11-01", Until: h.db.Now().Add(1000 * 3600e9)})
	require.NoError(h.t, err)
	return g.ID
}

// misdirect marks a link as gone astray, and gives the task to tell whoever got it.
func (h *house) misdirect(d *visitor, session string) string {
	h.t.Helper()
	return h.mustInput(d, "reportMisdirected", "ReportMisdirectedInput", "session { contactTasks { id } }", map[string]any{"sessionID": session}).text("reportMisdirected", "session", "contactTasks", "0", "id")
}

// report1 is a video report whose phone reported one position.
func (h *house) report1(d *visitor) (string, *visitor) {
	h.t.Helper()
	session, secret := h.newSession(d)
	phone := h.join(secret)
	h.report(phone, 37.75)
	return session, phone
}

func (is things) ids() map[string]string {
	return map[string]string{
		"whisper": is.whisper, "share": is.share, "shown": is.shown,
		"maintenance": is.maintenance, "outage": is.outage, "contact": is.contact, "course": is.course, "training": is.training,
		"drill": is.drill, "played": is.played, "listed": is.listed,
		"export": is.export, "deputy": is.deputy,
		"case": is.caseID, "session": is.session, "phone": is.phone, "media": is.media, "user": is.user, "viewing": is.viewing, "task": is.task,
		"member": is.member, "staff link": is.link, "usage report": is.usage, "leak report": is.leak, "staff session": is.staffSession,
		"terminal": is.terminal, "grant": is.grant,
		"person": is.person, "removed": is.removed, "credential": is.credential, "fingerprint": is.fingerprint,
	}
}

// fitting is the id of the kind that a slot means.
func (is things) fitting(field, slot string) string {
	name := slot[strings.LastIndexByte(slot, '.')+1:]
	switch {
	case name == "drillID":
		return is.drill
	case name == "callerID":
		return is.played
	case name == "numberID":
		return is.listed
	case name == "script":
		return "TRAFFIC"
	case name == "maintenanceID":
		return is.maintenance
	case name == "outageID":
		return is.outage
	case name == "contactID":
		return is.contact
	case name == "courseID":
		return is.course
	case name == "recordID":
		return is.training
	case name == "userIDs", name == "personID":
		return is.person
	case name == "staffIDs":
		return is.member
	case name == "whisperID":
		return is.whisper
	case name == "shareID", field == "sharedReport":
		return is.share
	case name == "agencyID":
		return is.elsewhere
	case name == "sessionIDs":
		return is.session
	case name == "toUserID", name == "fromUserID":
		return is.user
	case name == "caseID", name == "id" && field == "case":
		return is.caseID
	case name == "sessionID", name == "id" && strings.HasPrefix(field, "session"), name == "subjectID":
		return is.session
	case name == "memberID", name == "memberIDs", name == "id" && field == "staffMember":
		return is.member
	case name == "linkID", name == "linkIDs", name == "phoneID" && strings.HasSuffix(field, "StaffPhone"):
		return is.link
	case name == "reportID" && strings.HasSuffix(field, "LeakReport"):
		return is.leak
	case name == "reportID":
		return is.usage
	case name == "taskID":
		return is.task
	case name == "exportID", name == "id" && field == "exportRequest":
		return is.export
	case name == "writingID", name == "deputyID":
		return is.deputy
	case name == "mediaFileIDs":
		return is.media
	case name == "permittedID":
		return is.user
	case name == "phoneID":
		return is.phone
	case name == "mediaFileID", name == "sourceID", name == "resume", name == "id" && field == "mediaFile":
		return is.media
	case name == "userID" && field == "removeUser": // nobody is removed by the way
		return is.removed
	case name == "userID":
		return is.person
	case name == "credentialID":
		return is.credential
	case name == "fingerprintTaskID":
		return is.fingerprint
	case name == "dispatcherID", name == "actorID":
		return is.user
	case name == "terminalID":
		return is.terminal
	case name == "grantID":
		return is.grant
	}
	panic(field + " " + slot)
}

// tree selects every field that the actor may have, down to a depth.
func tree(p *policy.Policy, a policy.Actor, t *ast.Type, depth int) string {
	d := schema.Types[t.Name()]
	if d.Kind != ast.Object {
		return ""
	}
	fields := []string{"__typename"}
	for _, f := range d.Fields {
		if strings.HasPrefix(f.Name, "__") || !has(p, a, rightsOf(d.Directives, f.Directives)) {
			continue
		}
		if isLeaf(f) {
			fields = append(fields, f.Name)
		} else if depth > 1 {
			name := f.Name
			if f.Arguments.ForName("first") != nil {
				name += "(first: 2)"
			}
			fields = append(fields, name+" "+tree(p, a, f.Type, depth-1))
		}
	}
	return "{ " + strings.Join(fields, " ") + " }"
}

// What is another agency's is answered exactly like what is nowhere: in every
// place where an id can be given, for every kind of id.
func TestOtherAgencysIDsAreUnknown(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		mine, theirs := h.furnish(h.own), h.furnish(h.other)
		tried := 0
		for _, v := range []*visitor{h.manager(), h.supervisor(), h.dispatcher(), h.operator(), mine.caller, mine.officer, nobody} {
			for _, root := range roots {
				for _, f := range rootFields(root) {
					if !has(h.policy, v.actor, rightsOf(f.Directives, schema.Types[f.Type.Name()].Directives)) {
						continue
					}
					if f.Name == "challengeStaffPhone" {
						continue // everybody gets a fresh nonce, good for something or not
					}
					if f.Name == "exportJournal" {
						continue // everybody gets a fresh address; what is found there is the own agency's
					}
					for _, slot := range slots(f) {
						ask := func(id string) answer {
							query, variables := operation(root, f, tree(h.policy, v.actor, f.Type, 2), func(path string, t *ast.Type) any {
								switch {
								case path == slot:
									return id
								case path == "input.secret":
									return mine.caller.secret
								case t.Name() == "ID" && t.NonNull:
									return mine.fitting(f.Name, path)
								}
								return nil
							})
							return h.do(v, query, variables)
						}
						unknown := ask(identity.NewID())
						require.NotEqual(t, "INTERNAL", unknown.reason(), "%s: %s", f.Name, unknown.body)
						require.NotEqual(t, "QUERY_TOO_LARGE", unknown.reason(), "%s: %s", f.Name, unknown.body)
						for kind, id := range theirs.ids() {
							tried++
							require.Equal(t, unknown.withoutIDs(), ask(id).withoutIDs(), "%s of another agency as %s of %s, asked by %s", kind, slot, f.Name, v.name)
						}
					}
				}
			}
		}
		require.Greater(t, tried, 200)
	})
}

// Whatever can be listed or reached shows nothing of another agency.
func TestListsHoldNothingOfAnotherAgency(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		mine, theirs := h.furnish(h.own), h.furnish(h.other)
		for _, v := range []*visitor{h.manager(), h.supervisor(), h.dispatcher(), h.operator(), mine.caller, mine.officer, nobody} {
			for _, f := range rootFields(schema.Query) {
				if !has(h.policy, v.actor, rightsOf(f.Directives)) {
					continue
				}
				for depth := range 4 {
					query, variables := operation(schema.Query, f, tree(h.policy, v.actor, f.Type, depth), func(path string, t *ast.Type) any {
						if t.Name() == "ID" && t.NonNull {
							return mine.fitting(f.Name, path)
						}
						return nil
					})
					a := h.do(v, query, variables)
					for kind, id := range theirs.ids() {
						require.NotContains(t, string(a.body), id, "%s in %s", kind, f.Name)
					}
					if f.Name != "otherAgencies" && f.Name != "installation" { // their counts, and their names, to choose whom to give something
						require.NotContains(t, string(a.body), h.other.ID, f.Name)
					}
				}
			}
		}
	})
}

// happy runs one mutation and notes that it was done.
type happy struct {
	*house
	done map[string]bool
}

func (y *happy) run(v *visitor, mutation, selection string, input map[string]any) answer {
	y.t.Helper()
	f := schema.Mutation.Fields.ForName(mutation)
	var a answer
	if len(f.Arguments) == 0 {
		a = y.must(v, "mutation { "+mutation+" { "+selection+" } }", nil)
	} else {
		a = y.mustInput(v, mutation, f.Arguments[0].Type.Name(), selection, input)
	}
	y.done[mutation] = true
	return a
}

// Each mutation once by each role that may, with what it changes.
func TestEveryMutationDoesItsWork(t *testing.T) {
	for _, role := range []policy.Role{policy.Supervisor, policy.Dispatcher} {
		t.Run(string(role), func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				y := &happy{h, map[string]bool{}}
				v := h.who(h.own, role)
				y.console(v)
				y.callers(v)
				y.endings(v)
				y.supervision(v)
				y.keepRunning(v)
				y.sharing(v)
				y.messages(v)
				y.terminals()
				y.officers(v)
				y.office(v)
				y.exports(v)
				y.settings()
				y.audit()
				a := y.run(v, "signOut", "done", nil)
				require.Equal(t, true, a.at("signOut", "done"))
				_, cut := h.cut.Load(v.actor.Login)
				require.True(t, cut, "video is cut with the sign-in")
				require.Equal(t, "UNAUTHENTICATED", h.do(v, "{ cases { nodes { id } } }", nil).reason())
				var all []string
				for _, f := range rootFields(schema.Mutation) {
					all = append(all, f.Name)
				}
				slices.Sort(all)
				require.Equal(t, all, slices.Sorted(maps.Keys(y.done)))
			})
		})
	}
}

// console is the work before the caller's phone is there.
func (y *happy) console(v *visitor) {
	t := y.t
	in := map[string]any{"agency": y.own.Code, "userName": strings.ToLower(v.name), "password": password}
	a := y.run(nobody, "signIn", "me { kind agency { code } user { id role } }", in)
	require.Equal(t, v.actor.ID, a.text("signIn", "me", "user", "id"))
	require.Contains(t, a.header.Get("Set-Cookie"), "__Host-console=")

	require.Equal(t, true, y.run(y.manager(), "confirmClock", "done", nil).at("confirmClock", "done"))

	caseID := y.run(v, "openCase", "case { id number }", map[string]any{"place": "駅前"}).text("openCase", "case", "id")
	a = y.run(v, "updateCase", "case { class place notes municipality }", map[string]any{"caseID": caseID, "class": "TRAFFIC", "notes": "二台"})
	require.JSONEq(t, `{"class":"TRAFFIC","place":"駅前","notes":"二台","municipality":""}`, toJSON(a.at("updateCase", "case")))
	require.NotEmpty(t, y.run(v, "markDispatched", "case { dispatchedAt }", map[string]any{"caseID": caseID}).text("markDispatched", "case", "dispatchedAt"))

	a = y.run(v, "requestVideo", "numberDiffers session { id state number { e164 groups whole } checks { safe } }", map[string]any{
		"caseID": caseID, "asked": "LIVE", "need": "けがの様子", "checks": allChecks, "number": "０９０-1234-5678", "notifiedNumber": "08011112222",
	})
	require.Equal(t, true, a.at("requestVideo", "numberDiffers"))
	require.JSONEq(t, `{"e164":"+819012345678","groups":["090","1234","5678"],"whole":true}`, toJSON(a.at("requestVideo", "session", "number")))
	session := a.text("requestVideo", "session", "id")
	a = y.run(v, "confirmSend", "session { state link { state uses used proof { ja en } code } deliveries { status channel } }", map[string]any{"sessionID": session, "lastFour": lastFour, "idempotencyKey": "1"})
	require.Equal(t, "LINK_SENT", a.text("confirmSend", "session", "state"))
	require.Equal(t, "LIVE", a.text("confirmSend", "session", "link", "state"))
	require.Equal(t, "QUEUED", a.text("confirmSend", "session", "deliveries", "0", "status"))
	require.Equal(t, "PHOTO", y.run(v, "askMode", "session { asked }", map[string]any{"sessionID": session, "mode": "PHOTO"}).text("askMode", "session", "asked"))
}

// callers is the way of two phones, from the tap to the end of sending.
func (y *happy) callers(v *visitor) {
	t := y.t
	y.callerCode(true)
	session, secret := y.newSession(v)
	a := y.run(nobody, "openLink", "nonce terms { agency { nameJa } proof { ja } codeRequired language terms { version language items } }", map[string]any{"secret": secret})
	require.Equal(t, true, a.at("openLink", "terms", "codeRequired"))
	require.Equal(t, true, y.run(nobody, "reportMismatch", "done", map[string]any{"secret": secret}).at("reportMismatch", "done"))
	code := y.must(v, `query($id: ID!) { session(id: $id) { stall link { code } } }`, map[string]any{"id": session})
	require.Equal(t, "PROOF_MISMATCH", code.text("session", "stall"))
	pass := y.run(nobody, "enterCode", "pass", map[string]any{"secret": secret, "code": code.text("session", "link", "code")}).text("enterCode", "pass")
	in, key := y.joinInput(secret)
	in["pass"] = pass
	phone := y.phone(y.run(nobody, "join", "session { state phone { state } }", in), secret, key)
	require.Equal(t, true, y.run(nobody, "reportTrouble", "done", map[string]any{"secret": secret, "reason": "CAMERA_DENIED"}).at("reportTrouble", "done"))

	require.NotEmpty(t, y.run(phone, "reportPosition", "receivedAt", map[string]any{"latitude": 37.75, "longitude": 140.47, "accuracy": 5.0, "capturedAt": y.db.Now()}).text("reportPosition", "receivedAt"))
	data := photo(t, 640, 480)
	a = y.run(phone, "beginUpload", "id url token expiresAt chunk", map[string]any{"kind": "PHOTO", "capture": "NOW", "size": len(data), "name": "IMG_1.jpg"})
	media := a.text("beginUpload", "id")
	y.tus(media, a.text("beginUpload", "token"), data)
	require.NoError(t, y.evidence.MakePreviews(y.ctx()))
	require.Equal(t, "/whip/"+session, y.run(phone, "publish", "url token expiresAt", nil).text("publish", "url"))

	second, key2 := y.joinInput(secret)
	second["pass"] = pass
	waiting := y.phone(y.run(nobody, "join", "session { phone { state } }", second), secret, key2)
	require.Equal(t, "PHONE_WAITING", y.do(waiting, "mutation { publish { url } }", nil).reason())
	a = y.run(v, "admitPhone", "session { phones { id state } }", map[string]any{"phoneID": waiting.actor.ID, "admit": true})
	require.Equal(t, "BOUND", a.text("admitPhone", "session", "phones", "1", "state"))
	resumed := y.resume(waiting)
	require.Equal(t, waiting.actor.ID, resumed.actor.ID)

	require.Equal(t, "/whep/"+session, y.run(v, "watch", "url token viewing { id user { id } mediaFileID }", map[string]any{"sessionID": session}).text("watch", "url"))
	require.NotEmpty(t, y.run(v, "reportFirstFrame", "session { firstFrameAt }", map[string]any{"sessionID": session}).text("reportFirstFrame", "session", "firstFrameAt"))
	a = y.run(v, "openMedia", "url contentType mediaFile { name preview } viewing { mediaFileID purpose }", map[string]any{"mediaFileID": media})
	require.True(t, strings.HasPrefix(a.text("openMedia", "url"), "/media/"+media+"?grant="))
	require.Equal(t, media, a.text("openMedia", "viewing", "mediaFileID"))
	a = y.run(v, "takeSnapshot", "id url token", map[string]any{"sessionID": session, "sourceID": media, "size": len(data)})
	require.NotEqual(t, media, a.text("takeSnapshot", "id"))
	y.tus(a.text("takeSnapshot", "id"), a.text("takeSnapshot", "token"), data)
	require.Equal(t, true, y.run(phone, "stopSending", "done", nil).at("stopSending", "done"))
	a = y.must(v, `query($id: ID!) { session(id: $id) { counts { photosNow snapshots positions } phones { stoppedAt } } }`, map[string]any{"id": session})
	require.JSONEq(t, `{"photosNow":1,"snapshots":1,"positions":1}`, toJSON(a.at("session", "counts")))
	y.callerCode(false)
}

// callerCode applies the access code to callers, or lifts it.
func (y *happy) callerCode(apply bool) {
	y.t.Helper()
	_, err := y.people.SetCallerCode(y.ctx(), y.manager().actor, y.own.ID, apply, "試験", nil)
	require.NoError(y.t, err)
}

// resume proves a phone's key anew, as after a reload.
func (y *happy) resume(phone *visitor) *visitor {
	y.t.Helper()
	nonce := y.run(nobody, "openLink", "nonce", map[string]any{"secret": phone.secret}).text("openLink", "nonce")
	a := y.run(nobody, "resume", "session { phone { state } }", map[string]any{
		"secret": phone.secret, "phoneID": phone.actor.ID, "nonce": nonce, "signature": sign(y.t, phone.key, nonce),
	})
	return y.phone(a, phone.secret, phone.key)
}

// endings are the three ways in which somebody ends a video report.
func (y *happy) endings(v *visitor) {
	t := y.t
	dbtest.ClockOf(y.db).Advance(11 * 60e9) // what was sent before no longer counts
	astray, _ := y.newSession(v)
	task := y.misdirect(v, astray)
	a := y.run(v, "closeContactTask", "session { contactTasks { doneAt outcome number { e164 } } }", map[string]any{"taskID": task, "outcome": "電話で伝えた"})
	require.Equal(t, "電話で伝えた", a.text("closeContactTask", "session", "contactTasks", "0", "outcome"))
	require.NotEmpty(t, a.text("closeContactTask", "session", "contactTasks", "0", "doneAt"))
	require.Nil(t, a.at("closeContactTask", "session", "contactTasks", "0", "number"))
	dbtest.ClockOf(y.db).Advance(11 * 60e9)
	for mutation, c := range map[string]struct {
		state string
		extra map[string]any
	}{
		"revokeLink":        {"REVOKED", nil},
		"reportMisdirected": {"REVOKED", nil},
		"endSession":        {"ENDED", map[string]any{"reason": "UNSAFE"}},
	} {
		session, secret := y.newSession(v)
		in := map[string]any{"sessionID": session}
		maps.Copy(in, c.extra)
		a := y.run(v, mutation, "session { state endReason misdirected link { state } number { e164 whole } }", in)
		require.Equal(t, c.state, a.text(mutation, "session", "state"))
		require.JSONEq(t, `{"e164":"678","whole":false}`, toJSON(a.at(mutation, "session", "number")))
		require.NotEqual(t, "LIVE", a.text(mutation, "session", "link", "state"))
		require.Equal(t, "LINK_UNUSABLE", y.input(nobody, "openLink", "OpenLinkInput", "nonce", map[string]any{"secret": secret}).reason())
		again := y.run(v, mutation, "session { state }", in)
		require.Equal(t, c.state, again.text(mutation, "session", "state"), "ending an ended one answers it as it is")
	}
}

// A dispatcher commands their own video reports; a supervisor all of the agency.
func TestAnotherDispatchersVideoReportIsForbidden(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		session, phone := h.report1(h.dispatcher())
		colleague := h.signIn(h.own, "kimura", policy.Dispatcher)
		for mutation, in := range map[string]map[string]any{
			"confirmSend":       {"sessionID": session, "lastFour": lastFour, "idempotencyKey": "2"},
			"askMode":           {"sessionID": session, "mode": "LIVE"},
			"admitPhone":        {"phoneID": phone.actor.ID, "admit": false},
			"revokeLink":        {"sessionID": session},
			"reportMisdirected": {"sessionID": session},
			"endSession":        {"sessionID": session, "reason": "DONE"},
		} {
			kind := schema.Mutation.Fields.ForName(mutation).Arguments[0].Type.Name()
			require.Equal(t, "FORBIDDEN", h.input(colleague, mutation, kind, "session { id }", in).reason(), mutation)
		}
		a := h.must(colleague, `query($id: ID!) { session(id: $id) { number { e164 whole } need } }`, map[string]any{"id": session})
		require.JSONEq(t, `{"e164":"678","whole":false}`, toJSON(a.at("session", "number")), "only the last digits")
		require.Equal(t, "ENDED", h.mustInput(h.supervisor(), "endSession", "EndSessionInput", "session { state }", map[string]any{"sessionID": session, "reason": "DONE"}).text("endSession", "session", "state"))
	})
}

func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}
