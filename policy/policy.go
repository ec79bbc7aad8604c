// Package policy owns the answer to "may this actor do this kind of thing to
// that kind of object": a Casbin model and a table, both in this folder, both
// embedded. Deny by default; the domain is the agency. Rules that depend on the
// object itself (is this case mine, is it still open) belong to the rooms.
package policy

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	stringadapter "github.com/casbin/casbin/v2/persist/string-adapter"
)

//go:embed model.conf
var modelText string

//go:embed policy.csv
var policyText string

// Kind says what sort of actor acts.
type Kind string

// The kinds of actor (第3, 第4の4).
const (
	User       Kind = "USER"
	Caller     Kind = "CALLER"
	StaffPhone Kind = "STAFF_PHONE"
	Analyst    Kind = "ANALYST"
	Service    Kind = "SERVICE"
	Operator   Kind = "OPERATOR"
	System     Kind = "SYSTEM"
	Nobody     Kind = "NOBODY" // not signed in
)

// Role is what a user is registered as (第3), or what an actor of another kind
// counts as in the table.
type Role string

// The roles of the table.
const (
	Manager        Role = "MANAGER"    // 運用管理責任者, 第3の1
	Supervisor     Role = "SUPERVISOR" // 運用管理者, 第3の2
	Dispatcher     Role = "DISPATCHER" // 受理担当者, 第3の3
	CallerRole     Role = "CALLER"
	StaffPhoneRole Role = "STAFF_PHONE"
	AnalystRole    Role = "ANALYST"
	ServiceRole    Role = "SERVICE"
	OperatorRole   Role = "OPERATOR"
	SystemRole     Role = "SYSTEM"
)

// LockedRole is what a user counts as while their screen is locked (第7の2): they
// may unlock it or sign out, and nothing else.
const LockedRole Role = "LOCKED"

// Object is a kind of thing that rights are given for.
type Object string

// The objects of the table.
const (
	Agency     Object = "AGENCY"
	Settings   Object = "SETTINGS"
	Users      Object = "USER"
	Case       Object = "CASE"
	Session    Object = "SESSION"
	Link       Object = "LINK"
	Number     Object = "NUMBER"
	Delivery   Object = "DELIVERY"
	Consent    Object = "CONSENT"
	Position   Object = "POSITION"
	Media      Object = "MEDIA"
	Viewing    Object = "VIEWING"
	Journal    Object = "JOURNAL"
	Statistics Object = "STATISTICS"
	Report     Object = "REPORT"
	OwnSession Object = "OWN_SESSION"
	Me         Object = "ME"

	// Officers in the field (第4の4).
	Staff       Object = "STAFF"
	StaffCode   Object = "STAFF_CODE"
	UsageReport Object = "USAGE_REPORT"
	LeakReport  Object = "LEAK_REPORT"
	OwnPhone    Object = "OWN_PHONE"
	// the own sign-in and what it is proved with
	Login   Object = "LOGIN"
	DutyLog Object = "DUTY_LOG"
	Share   Object = "SHARE"
)

// The objects of terminals.
const (
	Terminal    Object = "TERMINAL"
	OwnTerminal Object = "OWN_TERMINAL"
	Reception   Object = "RECEPTION"
)

// The objects of exports.
const (
	Export Object = "EXPORT" // 第6の5
	Deputy Object = "DEPUTY" // 職務代行者
)

// The objects of running the system.
const (
	Maintenance Object = "MAINTENANCE" // 第4の5
	Outage      Object = "OUTAGE"      // 第10
	Contact     Object = "CONTACT"     // 第3の1(2), 第10
	Training    Object = "TRAINING"    // 第11
	Drill       Object = "DRILL"       // 第11
)

// InstallationObject is the house itself, as its operator sees it.
const InstallationObject Object = "INSTALLATION"

// Objects lists every object, for tests.
var Objects = []Object{
	Agency, Settings, Users, Case, Session, Link, Number, Delivery, Consent, Position, Media, Viewing, Journal, Statistics, Report, OwnSession, Me,
	Terminal, OwnTerminal, Reception,
	Staff, StaffCode, UsageReport, LeakReport, OwnPhone, Login,
	Export, Deputy,
	DutyLog, Share,
	Maintenance, Outage, Contact, Training, Drill,
	InstallationObject,
}

// Action is what may be done to an object.
type Action string

// The actions of the table.
const (
	Read     Action = "READ"
	Open     Action = "OPEN"
	Update   Action = "UPDATE"
	Request  Action = "REQUEST"
	Send     Action = "SEND"
	Watch    Action = "WATCH"
	Revoke   Action = "REVOKE"
	Admit    Action = "ADMIT"
	End      Action = "END"
	Answer   Action = "ANSWER"
	Snapshot Action = "SNAPSHOT"
	Audit    Action = "AUDIT"
	Manage   Action = "MANAGE"
	Upload   Action = "UPLOAD"
	Publish  Action = "PUBLISH"
	Purge    Action = "PURGE"

	Command  Action = "COMMAND"
	HandOver Action = "HAND_OVER"
)

// The actions on terminals.
const (
	Suspend Action = "SUSPEND"
	Operate Action = "OPERATE"
)

// The actions on exports.
const (
	Approve Action = "APPROVE"
	Write   Action = "WRITE"
)

// Actions lists every action, for tests.
var Actions = []Action{
	Read, Open, Update, Request, Send, Watch, Revoke, Admit, End, Answer, Snapshot, Audit, Manage, Upload, Publish, Purge,
	Suspend, Operate,
	Approve, Write,
	Command, HandOver,
}

// Roles lists every role of the table, for tests.
var Roles = []Role{Manager, Supervisor, Dispatcher, CallerRole, StaffPhoneRole, AnalystRole, ServiceRole, OperatorRole, SystemRole, LockedRole}

// Desk is the kind of terminal that a person sits at.
type Desk string

// The kinds of terminal: two receiving ones (第2の5), and a desk for those who
// administer and do not receive.
const (
	Tablet   Desk = "TABLET"
	Notebook Desk = "NOTEBOOK"
	Admin    Desk = "ADMIN"
)

// Desks lists every kind of terminal.
var Desks = []Desk{Tablet, Notebook, Admin}

// Receives tells whether it is a receiving terminal (第2の5).
func (d Desk) Receives() bool { return d == Tablet || d == Notebook }

// Grant is what a person may beyond their role, for a time.
type Grant string

// ReceptionGrant gives a manager the dispatcher's rights, where another rule
// provides so (第5の2).
const ReceptionGrant Grant = "RECEPTION"

// Actor is whoever acts.
type Actor struct {
	Kind Kind
	// ID is the user's, the phone's or the token's id; empty for the system.
	ID string
	// Agency is the actor's home; empty for operators and the system.
	Agency string
	// Role is a user's role; the other kinds have one of their own.
	Role Role
	// Session is the one session of a caller's or officer's phone.
	Session string
	// Login is the sign-in that a user acts under, or the staff link of an
	// officer's phone.
	Login string
	// Terminal is the terminal that a user's sign-in is bound to, and Desk its
	// kind. A user without one has no right at all.
	Terminal string
	Desk     Desk
	// Grant is what a user may beyond their role at this moment.
	Grant Grant
}

// SystemActor acts for the house itself: jobs, recovery, the command line.
func SystemActor() Actor { return Actor{Kind: System, Role: SystemRole} }

// Policy decides. It is safe for concurrent use.
type Policy struct {
	enforcer *casbin.SyncedCachedEnforcer
	bound    map[right]bool // to kinds of terminal
}

type right struct {
	object Object
	action Action
}

// desks asks the second table: which rights go on which kinds of terminal.
var desks = casbin.NewEnforceContext("2")

// New loads the embedded table.
func New() (*Policy, error) {
	m, err := model.NewModelFromString(modelText)
	if err != nil {
		return nil, fmt.Errorf("policy model: %w", err)
	}
	var rules []string
	for _, line := range strings.Split(policyText, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			rules = append(rules, line)
		}
	}
	e, err := casbin.NewSyncedCachedEnforcer(m, stringadapter.NewAdapter(strings.Join(rules, "\n")))
	if err != nil {
		return nil, fmt.Errorf("policy table: %w", err)
	}
	e.EnableAutoSave(false)
	p := &Policy{enforcer: e, bound: map[right]bool{}}
	lines, err := e.GetNamedPolicy("p2")
	if err != nil {
		return nil, fmt.Errorf("policy table: %w", err)
	}
	for _, l := range lines {
		p.bound[right{Object(l[0]), Action(l[1])}] = true
	}
	return p, nil
}

// Can tells whether the actor may do the action to objects of that kind in the
// agency, at the terminal where they are. The table is constant while the
// program runs, and an actor's role, grant and terminal are read anew for each
// request, so a cached decision is never out of date.
func (p *Policy) Can(a Actor, agency string, o Object, act Action) bool {
	ok, err := p.enforcer.Enforce(string(a.Role), string(a.Grant), a.Agency, agency, string(o), string(act))
	return err == nil && ok && (a.Kind != User || p.here(a.Desk, o, act))
}

// here tells whether a right goes on a kind of terminal.
func (p *Policy) here(d Desk, o Object, act Action) bool {
	if !slices.Contains(Desks, d) {
		return false
	}
	if !p.bound[right{o, act}] {
		return true
	}
	ok, err := p.enforcer.Enforce(desks, string(d), string(o), string(act))
	return err == nil && ok
}
