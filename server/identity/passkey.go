package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// Credential is one passkey of a person (第8の1): a key pair that the person's
// finger opens on one authenticator. Here is its public half.
type Credential struct {
	ID           string
	AgencyID     string
	UserID       string
	CredentialID []byte
	Record       webauthn.Credential `gorm:"serializer:json"`
	// Authenticator is the model's AAGUID.
	Authenticator string
	// Label says where it is: the terminal, or the key's number.
	Label     string
	CreatedAt time.Time
	UsedAt    *time.Time
}

// Bounds of passkeys.
const (
	maxCredentials = 10 // of one person
	maxLabel       = 100
	maxAnswer      = 16 << 10 // an authenticator's answer with its attestation
	maxAllowed     = 50       // models on an agency's list
)

// Passkeys is what passkeys are bound to.
type Passkeys struct {
	web *webauthn.WebAuthn
	key mac
}

// NewPasskeys binds passkeys to the host and the origin of the public address,
// which has to be a name; key signs their challenges.
func NewPasskeys(publicURL string, key mac) (*Passkeys, error) {
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	if err := protocol.ValidateRPID(u.Hostname()); err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	web, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Genba 110番映像通報", RPOrigins: []string{publicURL},
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{ // the challenge has its own end, by our clock
			Login:        webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife},
			Registration: webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	return &Passkeys{web: web, key: key}, nil
}

// UsePasskeys lets people sign in with passkeys from now on. Without it, as in a
// command that serves nobody, nothing asks for one.
func (i *Identity) UsePasskeys(p *Passkeys) { i.passkeys = p }

// holder shows a person to the library as it wants to see them.
type holder struct {
	user        *User
	credentials []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return handle(h.user.ID) }
func (h holder) WebAuthnName() string                       { return h.user.UserName }
func (h holder) WebAuthnDisplayName() string                { return h.user.DisplayName }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

// handle is what an authenticator keeps of a person: the id, no name.
func handle(userID string) []byte {
	u, err := uuid.Parse(userID)
	if err != nil {
		return nil
	}
	return u[:]
}

// CredentialsOf reads the passkeys of people of an agency, oldest first.
func (i *Identity) CredentialsOf(ctx context.Context, agency string, userIDs []string) (map[string][]*Credential, error) {
	var found []*Credential
	if err := i.db.Read(ctx).Where("agency_id = ? AND user_id IN ?", agency, userIDs).Order("created_at, id").Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read passkeys: %w", err)
	}
	byUser := map[string][]*Credential{}
	for _, c := range found {
		byUser[c.UserID] = append(byUser[c.UserID], c)
	}
	return byUser, nil
}

func (i *Identity) credentials(ctx context.Context, userID string) ([]*Credential, error) {
	var found []*Credential
	if err := i.db.Read(ctx).Where("user_id = ?", userID).Order("created_at, id").Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read passkeys: %w", err)
	}
	return found, nil
}

// ask asks for a touch: of one of these passkeys, or of any that the
// authenticator has for us.
func (i *Identity) ask(c challenge, of []*Credential) (*Asked, error) {
	if i.passkeys == nil {
		return nil, problem.New(problem.Unavailable)
	}
	options := []webauthn.LoginOption{webauthn.WithUserVerification(protocol.VerificationRequired)}
	if len(of) > 0 {
		var allowed []protocol.CredentialDescriptor
		for _, k := range of {
			allowed = append(allowed, k.Record.Descriptor())
		}
		options = append(options, webauthn.WithAllowedCredentials(allowed))
	}
	assertion, session, err := i.passkeys.web.BeginDiscoverableLogin(options...)
	if err != nil {
		return nil, fmt.Errorf("ask for passkey: %w", err)
	}
	c.Nonce = session.Challenge
	return i.asked(c, assertion.Response)
}

// touch is an answer of an authenticator that was found right. It counts once
// its challenge is spent.
type touch struct {
	challenge *challenge
	user      *User
	key       *Credential
	record    *webauthn.Credential
}

// refusal is a touch that was refused, of somebody we know.
type refusal struct {
	user *User
	why  string
	error
}

func (r refusal) Unwrap() error { return problem.Wrap(problem.PasskeyRefused, r.error) }

// touched checks an authenticator's answer: the signature over our challenge, by
// a key of an active person, for our origin, with the person verified, and a
// counter that moves on.
func (i *Identity) touched(ctx context.Context, c *challenge, answer string) (*touch, error) {
	if len(answer) > maxAnswer {
		return nil, problem.New(problem.PasskeyRefused)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return nil, problem.Wrap(problem.PasskeyRefused, err)
	}
	var keys []*Credential
	if err := i.db.Read(ctx).Limit(1).Find(&keys, "credential_id = ?", parsed.RawID).Error; err != nil {
		return nil, fmt.Errorf("find passkey: %w", err)
	}
	if len(keys) == 0 || c.User != "" && keys[0].UserID != c.User {
		return nil, problem.New(problem.PasskeyRefused)
	}
	key := keys[0]
	var u User
	if err := i.db.Read(ctx).Take(&u, "id = ?", key.UserID).Error; err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	session := webauthn.SessionData{
		Challenge: c.Nonce, RelyingPartyID: i.passkeys.web.Config.RPID, UserID: handle(u.ID), UserVerification: protocol.VerificationRequired,
	}
	record, err := i.passkeys.web.ValidateLogin(holder{&u, []webauthn.Credential{key.Record}}, session, parsed)
	if err != nil {
		return nil, refusal{&u, "SIGNATURE", err}
	}
	if record.Authenticator.CloneWarning {
		return nil, refusal{&u, "COUNTER", errors.New("counter went backwards")}
	}
	return &touch{challenge: c, user: &u, key: key, record: record}, nil
}

// use spends the touch: its challenge is gone, and its counter is the newest.
func (t *touch) use(tx *database.Tx) error {
	if err := t.challenge.spend(tx); err != nil {
		return err
	}
	var now Credential
	err := tx.Lock().Take(&now, "id = ?", t.key.ID).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.Wrap(problem.PasskeyRefused, err) // erased meanwhile
	}
	if err != nil {
		return fmt.Errorf("use passkey: %w", err)
	}
	if seen, told := now.Record.Authenticator.SignCount, t.record.Authenticator.SignCount; told <= seen && (told != 0 || seen != 0) {
		return problem.New(problem.PasskeyRefused) // another touch overtook this one
	}
	now.Record, now.UsedAt = *t.record, &tx.Now
	if err := tx.Select("record", "used_at").Updates(&now).Error; err != nil {
		return fmt.Errorf("use passkey: %w", err)
	}
	return nil
}

// askNew asks an authenticator for a new passkey of a person.
func (i *Identity) askNew(ctx context.Context, c challenge, u *User) (*Asked, error) {
	if i.passkeys == nil {
		return nil, problem.New(problem.Unavailable)
	}
	keys, err := i.credentials(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	if len(keys) >= maxCredentials {
		return nil, problem.New(problem.Conflict)
	}
	a, err := i.Agency(ctx, u.AgencyID)
	if err != nil {
		return nil, err
	}
	has := make([]protocol.CredentialDescriptor, 0, len(keys))
	for _, k := range keys {
		has = append(has, k.Record.Descriptor())
	}
	conveyance := protocol.PreferNoAttestation
	if len(a.Settings.Authenticators) > 0 {
		conveyance = protocol.PreferDirectAttestation // the model has to show itself
	}
	creation, session, err := i.passkeys.web.BeginRegistration(holder{user: u}, webauthn.WithExclusions(has), webauthn.WithConveyancePreference(conveyance))
	if err != nil {
		return nil, fmt.Errorf("ask for new passkey: %w", err)
	}
	c.User, c.Nonce = u.ID, session.Challenge
	return i.asked(c, creation.Response)
}

// made checks a new passkey: fresh, verified, not one that is synced to other
// devices, and of a model on the agency's list where there is one.
func (i *Identity) made(ctx context.Context, c *challenge, u *User, answer, label string) (*Credential, error) {
	label = strings.TrimSpace(label)
	if !cleanText(label, maxLabel) || len(answer) > maxAnswer {
		return nil, problem.New(problem.BadInput)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return nil, problem.Wrap(problem.PasskeyRefused, err)
	}
	session := webauthn.SessionData{
		Challenge: c.Nonce, RelyingPartyID: i.passkeys.web.Config.RPID, UserID: handle(u.ID), UserVerification: protocol.VerificationRequired,
		CredParams: webauthn.CredentialParametersDefault(),
	}
	record, err := i.passkeys.web.CreateCredential(holder{user: u}, session, parsed)
	if err != nil {
		return nil, problem.Wrap(problem.PasskeyRefused, err)
	}
	if record.Flags.BackupEligible {
		return nil, problem.New(problem.PasskeySynced)
	}
	model := uuid.Nil
	if id, err := uuid.FromBytes(record.Authenticator.AAGUID); err == nil {
		model = id
	}
	a, err := i.Agency(ctx, u.AgencyID)
	if err != nil {
		return nil, err
	}
	if list := a.Settings.Authenticators; len(list) > 0 && !slices.Contains(list, model.String()) {
		return nil, problem.New(problem.PasskeyNotListed)
	}
	return &Credential{
		ID: NewID(), AgencyID: u.AgencyID, UserID: u.ID, CredentialID: bytes.Clone(record.ID), Record: *record,
		Authenticator: model.String(), Label: label,
	}, nil
}

// keep stores a new passkey.
func (i *Identity) keep(tx *database.Tx, actor policy.Actor, k *Credential) error {
	k.CreatedAt = tx.Now
	err := tx.Create(k).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return problem.Wrap(problem.AlreadyExists, err)
	}
	if err != nil {
		return fmt.Errorf("keep passkey: %w", err)
	}
	i.journal.Append(tx, aboutUser(k.AgencyID, k.UserID, actor, journal.PasskeyRegistered, map[string]any{
		"credential": k.ID, "authenticator": k.Authenticator, "label": k.Label,
	}))
	return nil
}

// BeginOwnPasskey asks for another passkey of the actor's own. Only a manager
// adds them alone: everybody else's are registered by the manager (第7の1).
func (i *Identity) BeginOwnPasskey(ctx context.Context, actor policy.Actor) (*Asked, error) {
	u, err := i.user(ctx, actor.Agency, actor.ID)
	if err != nil {
		return nil, err
	}
	return i.askNew(ctx, challenge{Purpose: forAdding, Subject: actor.Login}, u)
}

// AddOwnPasskey keeps it. The actor confirms with what they signed in with so
// far. PASSKEY_REFUSED, PASSKEY_SYNCED, PASSKEY_NOT_LISTED, and what Confirm
// refuses with.
func (i *Identity) AddOwnPasskey(ctx context.Context, actor policy.Actor, token, answer, label string, in Confirmation) (*Credential, error) {
	c, err := i.open(token, forAdding)
	if err != nil {
		return nil, err
	}
	if c.User != actor.ID || c.Subject != actor.Login {
		return nil, problem.New(problem.PasskeyRefused)
	}
	u, err := i.user(ctx, actor.Agency, actor.ID)
	if err != nil {
		return nil, err
	}
	k, err := i.made(ctx, c, u, answer, label)
	if err != nil {
		return nil, err
	}
	if err := i.Confirm(ctx, actor, AddPasskey, actor.ID, in); err != nil {
		return nil, err
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := c.spend(tx); err != nil {
			return err
		}
		return i.keep(tx, actor, k)
	})
	if err != nil {
		return nil, fmt.Errorf("add passkey: %w", err)
	}
	return k, nil
}

// aboutUser is an entry about a person.
func aboutUser(agency, user string, actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: agency, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Users, ID: user}, Payload: payload}
}

// cleanText tells whether a text can be kept: not too long, whole characters.
func cleanText(s string, max int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= max && !strings.ContainsRune(s, 0)
}
