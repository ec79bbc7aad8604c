// Package notify owns messages to phones: one Delivery a message, queued in the
// transaction that issues the link, sent after the commit, with its fate as a
// row that the dispatcher sees. What a message body says is sealed with its
// link's key and dies with the link. How a message travels is a Channel's
// matter; what the link opens is cases'.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Purpose says what a message is for.
type Purpose string

// The purposes.
const (
	LinkMessage Purpose = "LINK"
	Correction  Purpose = "CORRECTION"
)

// ChannelName says how a message travels.
type ChannelName string

// The channels.
const (
	SMS   ChannelName = "SMS"
	Email ChannelName = "EMAIL"
)

// Status is a message's fate.
type Status string

// The fates.
const (
	Queued    Status = "QUEUED"
	Sent      Status = "SENT"
	Delivered Status = "DELIVERED"
	Failed    Status = "FAILED"
	Cancelled Status = "CANCELLED"
)

// Delivery is one SMS or e-mail (第4の1(2)).
type Delivery struct {
	ID          string
	AgencyID    string
	SessionID   string
	LinkID      *string
	Purpose     Purpose
	Channel     ChannelName
	Address     string
	BodySealed  []byte
	Status      Status
	Failure     string
	Idempotency string
	Attempts    int
	QueuedAt    time.Time
	NextAt      time.Time
	SentAt      *time.Time
	DeliveredAt *time.Time
	// SentBy is whoever confirmed the sending; empty for a correction.
	SentBy string
	// GatewayID is what the gateway calls the message.
	GatewayID string
}

// Message is what a channel sends.
type Message struct {
	// Key is the same for every attempt at one message: a gateway that has seen
	// it sends nothing twice.
	Key     string
	Channel ChannelName
	To      string
	// Subject stands over an e-mail.
	Subject string
	Body    string
}

// Channel carries messages. Send returns when the carrier has taken the message
// over, with what the carrier calls it, if anything; and ErrPermanent (wrapped)
// when trying again is of no use.
type Channel interface {
	Send(ctx context.Context, m Message) (reference string, err error)
}

// ErrPermanent says that a message cannot be delivered.
var ErrPermanent = errors.New("notify: cannot be delivered")

// Bounds of sending.
const (
	sendWindow       = 10 * time.Minute // in which the agency's settings count
	maxAttempts      = 6
	firstRetry       = 2 * time.Second
	sendTimeout      = 15 * time.Second
	deliverBatch     = 50
	maxIdempotency   = 100
	maxOutboxEntries = 100
)

// Notify is the room. It is safe for concurrent use.
type Notify struct {
	db      *database.DB
	journal *journal.Journal
	cases   *cases.Cases
	people  *identity.Identity
	channel Channel
	baseURL func() string
	log     *slog.Logger
	wake    chan struct{}
	told    callbackCounts
	trouble []func(agency string)
	drill   func(ctx context.Context, agency, sessionID, number, body string) (taken bool, err error)
}

// OnDrill names who takes messages of a drill that are for a played caller, so
// that they never leave the machine (第11).
func (n *Notify) OnDrill(f func(ctx context.Context, agency, sessionID, number, body string) (taken bool, err error)) {
	n.drill = f
}

// exercise tells whether a message is of a drill, and the agency as its messages
// name it: marked.
func (n *Notify) exercise(ctx context.Context, s *cases.Session) (drill bool, a *identity.Agency, err error) {
	if a, err = n.people.Agency(ctx, s.AgencyID); err != nil {
		return false, nil, err
	}
	if drill, err = n.cases.IsDrill(ctx, s); err == nil && drill {
		marked := *a
		marked.NameJa, marked.NameEn = "【訓練】"+a.NameJa, "[DRILL] "+a.NameEn
		a = &marked
	}
	return drill, a, err
}

// troubleAfter is how many attempts at one message fail before it counts as a
// fault of the way, not of the message.
const troubleAfter = 3

// OnTrouble adds what must happen, after the commit, when messages of an agency
// cannot leave (第10): nothing carries them, or the carrier does not answer.
func (n *Notify) OnTrouble(f func(agency string)) { n.trouble = append(n.trouble, f) }

func (n *Notify) troubled(tx *database.Tx, agency string) {
	tx.AfterCommit(func() {
		for _, f := range n.trouble {
			f(agency)
		}
	})
}

// New opens the room. A nil channel fails every message: nothing is configured
// that could carry it. baseURL answers the public address that the links begin with.
func New(db *database.DB, j *journal.Journal, c *cases.Cases, people *identity.Identity, ch Channel, baseURL func() string, log *slog.Logger) *Notify {
	n := &Notify{db: db, journal: j, cases: c, people: people, channel: ch, baseURL: baseURL, log: log, wake: make(chan struct{}, 1)}
	c.OnErase(func(tx *database.Tx, sessionIDs []string) error {
		if err := tx.Model(&Allowance{}).Where("session_id IN ?", sessionIDs).Update("reason", "").Error; err != nil {
			return err
		}
		return tx.Model(&Delivery{}).Where("session_id IN ?", sessionIDs).Updates(map[string]any{"address": "", "body_sealed": nil, "gateway_id": ""}).Error
	})
	return n
}

// Order is the second confirmation of a request (第4の1(2)).
type Order struct {
	SessionID string
	LastFour  string
	Checks    *cases.Checks
	// Key names this confirmation: repeating it sends once.
	Key string
}

// SendLink issues the link and queues its message, in one transaction. Repeated
// with the same key it answers the session as it is. TOO_MANY_SENDS and what
// cases.IssueLink refuses.
func (n *Notify) SendLink(ctx context.Context, actor policy.Actor, o Order) (*cases.Session, error) {
	if o.Key == "" || len(o.Key) > maxIdempotency || !utf8.ValidString(o.Key) || strings.ContainsFunc(o.Key, unicode.IsControl) {
		return nil, problem.New(problem.BadInput)
	}
	idempotency := actor.Agency + "/" + o.SessionID + "/" + o.Key
	var s *cases.Session
	err := n.db.InTx(ctx, func(tx *database.Tx) error {
		var before int64
		if err := tx.Model(&Delivery{}).Where("idempotency = ?", idempotency).Count(&before).Error; err != nil {
			return err
		}
		if before > 0 {
			return gorm.ErrDuplicatedKey
		}
		var issued *cases.Issued
		var err error
		if s, issued, err = n.cases.IssueLink(tx, actor, o.SessionID, o.LastFour, o.Checks); err != nil {
			return err
		}
		d := &Delivery{
			ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, LinkID: &issued.Link.ID, Purpose: LinkMessage,
			Channel: way(s), Address: address(s), Status: Queued, Idempotency: idempotency, QueuedAt: tx.Now, NextAt: tx.Now,
			SentBy: actor.ID,
		}
		if err := n.withinBounds(tx, actor, s, d.Address); err != nil {
			return err
		}
		_, a, err := n.exercise(tx.Context(), s)
		if err != nil {
			return err
		}
		if d.BodySealed, err = issued.Key.Seal([]byte(linkBody(a, s.Language, n.baseURL()+"/v#"+issued.Secret))); err != nil {
			return err
		}
		return n.queue(tx, actor, s, d)
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return n.cases.Session(ctx, actor.Agency, o.SessionID)
	}
	if err != nil {
		return nil, fmt.Errorf("send link: %w", err)
	}
	return s, nil
}

func (n *Notify) queue(tx *database.Tx, actor policy.Actor, s *cases.Session, d *Delivery) error {
	if err := tx.Create(d).Error; err != nil {
		return err
	}
	n.journal.Append(tx, d.entry(actor, s, journal.DeliveryQueued))
	tx.AfterCommit(n.Wake)
	return nil
}

func (d *Delivery) entry(actor policy.Actor, s *cases.Session, t journal.Type) journal.Entry {
	return journal.Entry{
		Agency: d.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Delivery, ID: d.ID}, CaseID: s.CaseID, SessionID: d.SessionID,
		Payload: map[string]any{"channel": d.Channel, "purpose": d.Purpose, "address": d.Address, "attempts": d.Attempts, "failure": d.Failure},
	}
}

// ReportMisdirected is the mis-sent step (第4の3(3)): the link dies, streams are
// cut, what came in is hidden, a contact task is opened, and whoever got the
// message is told to ignore it, in one transaction.
func (n *Notify) ReportMisdirected(ctx context.Context, actor policy.Actor, sessionID string) (*cases.Session, error) {
	var s *cases.Session
	err := n.db.InTx(ctx, func(tx *database.Tx) (err error) {
		last, err := lastLink(tx, actor.Agency, sessionID)
		if err != nil {
			return err
		}
		number, email := "", ""
		if last != nil && last.Channel == Email {
			email = last.Address
		} else if last != nil {
			number = last.Address
		}
		if s, err = n.cases.MarkMisdirected(tx, actor, sessionID, number, email); err != nil {
			return err
		}
		idempotency := s.AgencyID + "/" + s.ID + "/correction"
		var before int64
		if err := tx.Model(&Delivery{}).Where("idempotency = ?", idempotency).Count(&before).Error; err != nil || before > 0 {
			return err
		}
		if last == nil || last.Address == "" {
			return nil // erased already: nobody is left to tell
		}
		return n.queue(tx, actor, s, &Delivery{
			ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, Purpose: Correction, Channel: last.Channel, Address: last.Address,
			Status: Queued, Idempotency: idempotency, QueuedAt: tx.Now, NextAt: tx.Now,
		})
	})
	if err != nil {
		return nil, fmt.Errorf("report misdirected: %w", err)
	}
	return s, nil
}

// lastLink is the newest message with a link that may have reached somebody:
// where a mis-sent one went, whatever the session's destination is now.
func lastLink(tx *database.Tx, agency, sessionID string) (*Delivery, error) {
	var found []*Delivery
	err := tx.Where("agency_id = ? AND session_id = ? AND purpose = ? AND status <> ?", agency, sessionID, LinkMessage, Cancelled).
		Order("queued_at DESC, id DESC").Limit(1).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// Wake makes Run look for messages now.
func (n *Notify) Wake() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run sends what is queued until the context ends: at once when something was
// queued, and every second for what is to be tried again.
func (n *Notify) Run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		if _, err := n.Deliver(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("deliver messages", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-n.wake:
		}
	}
}

// Deliver sends every message that is due and answers how many were tried.
func (n *Notify) Deliver(ctx context.Context) (int, error) {
	tried := 0
	for {
		d, err := n.claim(ctx)
		if err != nil || d == nil || tried >= deliverBatch {
			return tried, err
		}
		tried++
		reference, sent := n.send(ctx, d)
		if err := n.settle(ctx, d, reference, sent); err != nil {
			return tried, err
		}
	}
}

// claim takes one due message for this attempt: until its next time nobody else
// tries it, and a crash from here on leads to one more attempt with the same key.
func (n *Notify) claim(ctx context.Context) (*Delivery, error) {
	var due []*Delivery
	if err := n.db.Read(ctx).Select("id").Where("status = ? AND next_at <= ?", Queued, n.db.Now()).Limit(1).Find(&due).Error; err != nil || len(due) == 0 {
		return nil, err
	}
	due = nil
	err := n.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.LockFree().Where("status = ? AND next_at <= ?", Queued, tx.Now).Order("next_at").Limit(1).Find(&due).Error; err != nil || len(due) == 0 {
			return err
		}
		d := due[0]
		d.Attempts++
		d.NextAt = tx.Now.Add(sendTimeout + firstRetry<<min(d.Attempts, maxAttempts))
		return tx.Model(d).Select("attempts", "next_at").Updates(d).Error
	})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	return due[0], nil
}

// Reasons of failure, as the dispatcher is told.
const (
	failNoChannel = "NO_CHANNEL"
	failRefused   = "REFUSED"
	failTimeout   = "TIMEOUT"
	failOnTheWay  = "UNDELIVERED" // by the gateway's callback
)

var (
	errLinkDead  = errors.New("notify: the link is dead")
	errNoChannel = fmt.Errorf("%w: nothing is configured that could carry it", ErrPermanent)
)

func (n *Notify) send(ctx context.Context, d *Delivery) (reference string, err error) {
	body, err := n.body(ctx, d)
	if err != nil {
		return "", err
	}
	if n.drill != nil && d.Channel == SMS {
		s, err := n.cases.Session(ctx, d.AgencyID, d.SessionID)
		if err != nil {
			return "", err
		}
		drill, _, err := n.exercise(ctx, s)
		if err != nil {
			return "", err
		}
		if drill {
			if taken, err := n.drill(ctx, d.AgencyID, d.SessionID, d.Address, body); err != nil || taken {
				return "", err
			}
		}
	}
	if n.channel == nil {
		return "", errNoChannel
	}
	m := Message{Key: d.ID, Channel: d.Channel, To: d.Address, Body: body}
	if d.Channel == Email {
		if m.Subject, err = n.subject(ctx, d); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return n.channel.Send(ctx, m)
}

func (n *Notify) subject(ctx context.Context, d *Delivery) (string, error) {
	s, err := n.cases.Session(ctx, d.AgencyID, d.SessionID)
	if err != nil {
		return "", err
	}
	a, err := n.people.Agency(ctx, d.AgencyID)
	if err != nil {
		return "", err
	}
	return subject(a, s.Language, d.Purpose), nil
}

func (n *Notify) body(ctx context.Context, d *Delivery) (string, error) {
	if d.Purpose == Correction {
		s, err := n.cases.Session(ctx, d.AgencyID, d.SessionID)
		if err != nil {
			return "", err
		}
		_, a, err := n.exercise(ctx, s)
		if err != nil {
			return "", err
		}
		return correctionBody(a, s.Language), nil
	}
	key, err := n.cases.LinkKey(*d.LinkID)
	if errors.Is(err, blob.ErrNoKey) {
		return "", errLinkDead
	}
	if err != nil {
		return "", err
	}
	text, err := key.Open(d.BodySealed)
	if err != nil {
		return "", fmt.Errorf("open message: %w", err)
	}
	return string(text), nil
}

// settle writes how an attempt went, unless the gateway's callback was faster.
func (n *Notify) settle(ctx context.Context, d *Delivery, reference string, sent error) error {
	if stopping := context.Cause(ctx); stopping != nil {
		return nil //nolint:nilerr // the claim runs out and the message is tried again
	}
	return n.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := n.cases.Session(tx.Context(), d.AgencyID, d.SessionID)
		if err != nil {
			return err
		}
		var now Delivery
		if err := tx.Lock().Take(&now, "id = ?", d.ID).Error; err != nil {
			return err
		}
		if sent == nil {
			now.GatewayID, now.SentAt = reference, &tx.Now
		}
		if now.Status != Queued {
			return tx.Model(&now).Select("gateway_id", "sent_at").Updates(&now).Error
		}
		what := journal.DeliverySent
		switch {
		case sent == nil:
			now.Status, now.Failure = Sent, ""
		case errors.Is(sent, errLinkDead):
			now.Status, what = Cancelled, journal.DeliveryCancelled
		case errors.Is(sent, ErrPermanent) || now.Attempts >= maxAttempts:
			now.Status, now.Failure, what = Failed, failureOf(sent), journal.DeliveryFailed
			if errors.Is(sent, errNoChannel) || !errors.Is(sent, ErrPermanent) {
				n.troubled(tx, now.AgencyID)
			}
		default:
			if now.Attempts == troubleAfter {
				n.troubled(tx, now.AgencyID)
			}
			now.NextAt = tx.Now.Add(firstRetry << min(now.Attempts, maxAttempts))
			return tx.Model(&now).Select("next_at").Updates(&now).Error
		}
		if err := tx.Model(&now).Select("status", "sent_at", "failure", "gateway_id").Updates(&now).Error; err != nil {
			return err
		}
		n.journal.Append(tx, now.entry(policy.SystemActor(), s, what))
		if now.Status == Failed {
			return n.undelivered(tx, &now)
		}
		return nil
	})
}

// undelivered tells cases that the caller waits in vain, where the message was
// the newest with a link.
func (n *Notify) undelivered(tx *database.Tx, d *Delivery) error {
	if d.Purpose != LinkMessage {
		return nil
	}
	last, err := lastLink(tx, d.AgencyID, d.SessionID)
	if err != nil || last == nil || last.ID != d.ID {
		return err
	}
	return n.cases.Undelivered(tx, d.SessionID)
}

func failureOf(err error) string {
	switch {
	case errors.Is(err, errNoChannel):
		return failNoChannel
	case errors.Is(err, context.DeadlineExceeded):
		return failTimeout
	}
	return failRefused
}

// Deliveries reads the messages of sessions, oldest first.
func (n *Notify) Deliveries(ctx context.Context, agency string, sessionIDs []string) (map[string][]*Delivery, error) {
	var found []*Delivery
	err := n.db.Read(ctx).Omit("body_sealed").Where("agency_id = ? AND session_id IN ?", agency, sessionIDs).Order("queued_at, id").Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	bySession := make(map[string][]*Delivery, len(sessionIDs))
	for _, d := range found {
		bySession[d.SessionID] = append(bySession[d.SessionID], d)
	}
	return bySession, nil
}
