package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// Watermark says how a viewer's name and the time stand over live video and
// files; there is no way to leave them out.
type Watermark string

// The watermarks. What another agency gave always has them ACROSS.
const (
	Corner Watermark = "CORNER"
	Across Watermark = "ACROSS"
)

// Languages are those that callers can be spoken to in; each has its texts.
var Languages = []string{"ja", "en"}

// Settings are an agency's own choices. None of them touches a due time: seven
// days are the directive's (第6の4).
type Settings struct {
	Version     int64 `json:"-"`
	LinkUses    int   `json:"linkUses"`
	LinkMinutes int   `json:"linkMinutes"`
	// Languages are offered to callers; the first stands where none was chosen.
	Languages []string `json:"languages"`
	// CallerCode is changed by SetCallerCode alone (第5の1(2)).
	CallerCode    bool      `json:"callerCode"`
	StaffCodeHour int       `json:"staffCodeHour"` // in Japan, when the officers' code changes (第4の4(1)ウ)
	Watermark     Watermark `json:"watermark"`
	// DataMegabytes is what a caller may send in one video report, live video
	// included: they pay for it (第4の2(2)エ).
	DataMegabytes int `json:"dataMegabytes"`
	// SessionMegabytes, SessionFiles and FileMegabytes bound the files of one video
	// report.
	SessionMegabytes int `json:"sessionMegabytes"`
	SessionFiles     int `json:"sessionFiles"`
	FileMegabytes    int `json:"fileMegabytes"`
	// The messages with a link within ten minutes: to one number of a case, by one
	// person, of the agency.
	SendsPerNumber int `json:"sendsPerNumber"`
	SendsPerUser   int `json:"sendsPerUser"`
	SendsPerAgency int `json:"sendsPerAgency"`
	// IdleMinutes is how long a screen stays open though nobody does anything.
	IdleMinutes int `json:"idleMinutes"`
	// Passwords allows them at all, and PasswordLength is how short a new one may
	// be (第8の1). The sealed one for the night the reader breaks is not meant.
	Passwords      bool `json:"passwords"`
	PasswordLength int  `json:"passwordLength"`
	// Authenticators are the models (AAGUID) that new passkeys may be on; none
	// means any whose passkeys stay on it.
	Authenticators []string `json:"authenticators,omitempty"`
}

// The most that settings may allow, and the least.
const (
	MaxLinkUses         = 10
	MaxLinkMinutes      = 60
	MaxSessionMegabytes = 5000
	MaxSessionFiles     = 200
	MaxFileMegabytes    = 2048
	MaxDataMegabytes    = 20000
	MinDataMegabytes    = 10
	MaxSendsPerNumber   = 3
	MaxSendsPerUser     = 30
	MaxSendsPerAgency   = 300
	MaxIdleMinutes      = 15
	MinPasswordLength   = 12
	MaxPasswordLength   = 64
	maxHour             = 23
)

// DefaultSettings are those of a new agency.
var DefaultSettings = Settings{
	LinkUses: 2, LinkMinutes: 10, Languages: Languages, Watermark: Corner,
	DataMegabytes: MaxSessionMegabytes, SessionMegabytes: MaxSessionMegabytes, SessionFiles: MaxSessionFiles, FileMegabytes: MaxFileMegabytes,
	SendsPerNumber: MaxSendsPerNumber, SendsPerUser: MaxSendsPerUser, SendsPerAgency: MaxSendsPerAgency,
	IdleMinutes: MaxIdleMinutes, Passwords: true, PasswordLength: MinPasswordLength,
}

// UnmarshalJSON reads stored settings; what was no setting yet when they were
// stored has its default.
func (s *Settings) UnmarshalJSON(text []byte) error {
	type plain Settings
	p := plain(DefaultSettings)
	p.Languages = nil
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if len(p.Languages) == 0 {
		p.Languages = slices.Clone(Languages)
	}
	*s = Settings(p)
	return nil
}

// Offers tells whether callers can be spoken to in a language.
func (s *Settings) Offers(language string) bool { return slices.Contains(s.Languages, language) }

func (s *Settings) idleLimit() time.Duration { return time.Duration(s.IdleMinutes) * time.Minute }

// Bound is what a setting that is a number may be.
type Bound struct {
	Setting  string
	Min, Max int
}

func (s *Settings) bounds() []struct {
	Bound
	value int
} {
	type bounded = struct {
		Bound
		value int
	}
	return []bounded{
		{Bound{"linkUses", 1, MaxLinkUses}, s.LinkUses},
		{Bound{"linkMinutes", 1, MaxLinkMinutes}, s.LinkMinutes},
		{Bound{"staffCodeHour", 0, maxHour}, s.StaffCodeHour},
		{Bound{"dataMegabytes", MinDataMegabytes, MaxDataMegabytes}, s.DataMegabytes},
		{Bound{"sessionMegabytes", 1, MaxSessionMegabytes}, s.SessionMegabytes},
		{Bound{"sessionFiles", 1, MaxSessionFiles}, s.SessionFiles},
		{Bound{"fileMegabytes", 1, MaxFileMegabytes}, s.FileMegabytes},
		{Bound{"sendsPerNumber", 1, MaxSendsPerNumber}, s.SendsPerNumber},
		{Bound{"sendsPerUser", 1, MaxSendsPerUser}, s.SendsPerUser},
		{Bound{"sendsPerAgency", 1, MaxSendsPerAgency}, s.SendsPerAgency},
		{Bound{"idleMinutes", 1, MaxIdleMinutes}, s.IdleMinutes},
		{Bound{"passwordLength", MinPasswordLength, MaxPasswordLength}, s.PasswordLength},
	}
}

// Bounds are what the settings that are numbers may be.
func Bounds() []Bound {
	var all []Bound
	for _, b := range (&Settings{}).bounds() {
		all = append(all, b.Bound)
	}
	return all
}

func (s *Settings) check() error {
	for _, b := range s.bounds() {
		if b.value < b.Min || b.value > b.Max {
			return problem.Wrap(problem.SettingRefused, fmt.Errorf("%s is %d", b.Setting, b.value))
		}
	}
	seen := map[string]bool{}
	for _, l := range s.Languages {
		if !slices.Contains(Languages, l) || seen[l] {
			return problem.New(problem.SettingRefused)
		}
		seen[l] = true
	}
	if len(s.Languages) == 0 || s.Watermark != Corner && s.Watermark != Across || len(s.Authenticators) > maxAllowed {
		return problem.New(problem.SettingRefused)
	}
	return nil
}

// SettingsVersion is one version of an agency's settings, and how it came to be.
type SettingsVersion struct {
	AgencyID  string   `gorm:"primaryKey"`
	Version   int64    `gorm:"primaryKey;autoIncrement:false"`
	Settings  Settings `gorm:"serializer:json"`
	ChangedBy string   // a user's id; empty: the installation
	Reason    string
	ChangedAt time.Time
	// Changes are the settings that differ from the version before.
	Changes []*SettingChange `gorm:"-"`
}

// SettingChange is one setting, old and new, as JSON.
type SettingChange struct{ Setting, Old, New string }

func (i *Identity) keepVersion(tx *database.Tx, a *Agency, actor policy.Actor, reason string) error {
	return tx.Create(&SettingsVersion{AgencyID: a.ID, Version: a.Version, Settings: a.Settings, ChangedBy: actor.ID, Reason: reason, ChangedAt: tx.Now}).Error
}

// changeSettings makes the next version of an agency's settings and journals old and
// new. seen is the version that the change was made from, where that is known.
// SETTINGS_OUTDATED, SETTING_REFUSED.
func (i *Identity) changeSettings(tx *database.Tx, actor policy.Actor, agency string, seen *int64, reason string, more map[string]any, to func(*Settings) error) (*Agency, error) {
	var a Agency
	if err := tx.Lock().Take(&a, "id = ?", agency).Error; err != nil {
		return nil, notFound(err)
	}
	if seen != nil && *seen != a.Version {
		return nil, problem.New(problem.SettingsOutdated)
	}
	old, err := json.Marshal(a.Settings)
	if err != nil {
		return nil, fmt.Errorf("change settings: %w", err)
	}
	if err := to(&a.Settings); err != nil {
		return nil, err
	}
	if err := a.Settings.check(); err != nil {
		return nil, err
	}
	a.Version++
	if err := tx.Model(&a).Select("settings", "version").Updates(&a).Error; err != nil {
		return nil, fmt.Errorf("change settings: %w", err)
	}
	if err := i.keepVersion(tx, &a, actor, reason); err != nil {
		return nil, fmt.Errorf("change settings: %w", err)
	}
	said := map[string]any{"old": json.RawMessage(old), "new": a.Settings, "version": a.Version}
	if reason != "" {
		said["reason"] = reason
	}
	for k, v := range more {
		said[k] = v
	}
	i.journal.Append(tx, journal.Entry{
		Agency: agency, Actor: actor, Type: journal.SettingsChanged,
		Subject: journal.Subject{Kind: policy.Settings, ID: agency}, Payload: said,
	})
	a.Settings.Version = a.Version
	return &a, nil
}

// SetSettings replaces an agency's settings, but for the callers' access code,
// which only SetCallerCode applies and lifts (第5の1(2)); the journal keeps old and
// new.
func (i *Identity) SetSettings(ctx context.Context, actor policy.Actor, agency string, s Settings) error {
	return i.db.InTx(ctx, func(tx *database.Tx) error {
		_, err := i.changeSettings(tx, actor, agency, nil, "", nil, func(now *Settings) error {
			code := now.CallerCode
			*now = s
			now.CallerCode = code
			return nil
		})
		return err
	})
}

// SettingsChange is what a manager changes; nil leaves a setting as it is.
type SettingsChange struct {
	// Version is the one that the manager saw.
	Version                                       int64
	Reason                                        string
	LinkUses, LinkMinutes, StaffCodeHour          *int
	Languages                                     []string
	Watermark                                     *Watermark
	DataMegabytes, SessionMegabytes, SessionFiles *int
	FileMegabytes, SendsPerNumber, SendsPerUser   *int
	SendsPerAgency, IdleMinutes, PasswordLength   *int
	Passwords                                     *bool
	Authenticators                                []string
	SetAuthenticators                             bool
}

// UpdateSettings changes an agency's settings, with the reason. What exists
// already stays as it is: links that were sent keep their uses and their time.
// SETTINGS_OUTDATED where somebody changed them meanwhile, SETTING_REFUSED,
// REASON_MISSING, PASSKEY_FIRST where the manager would shut themselves out.
func (i *Identity) UpdateSettings(ctx context.Context, actor policy.Actor, in SettingsChange) (*Agency, error) {
	reason, err := needed(in.Reason)
	if err != nil {
		return nil, err
	}
	models, err := authenticators(in.Authenticators)
	if err != nil {
		return nil, err
	}
	var a *Agency
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		passwords := false
		a, err = i.changeSettings(tx, actor, actor.Agency, &in.Version, reason, nil, func(s *Settings) error {
			passwords = s.Passwords
			for _, to := range []struct{ new, at *int }{
				{in.LinkUses, &s.LinkUses},
				{in.LinkMinutes, &s.LinkMinutes},
				{in.StaffCodeHour, &s.StaffCodeHour},
				{in.DataMegabytes, &s.DataMegabytes},
				{in.SessionMegabytes, &s.SessionMegabytes},
				{in.SessionFiles, &s.SessionFiles},
				{in.FileMegabytes, &s.FileMegabytes},
				{in.SendsPerNumber, &s.SendsPerNumber},
				{in.SendsPerUser, &s.SendsPerUser},
				{in.SendsPerAgency, &s.SendsPerAgency},
				{in.IdleMinutes, &s.IdleMinutes},
				{in.PasswordLength, &s.PasswordLength},
			} {
				if to.new != nil {
					*to.at = *to.new
				}
			}
			if in.Languages != nil {
				s.Languages = in.Languages
			}
			if in.Watermark != nil {
				s.Watermark = *in.Watermark
			}
			if in.Passwords != nil {
				s.Passwords = *in.Passwords
			}
			if in.SetAuthenticators {
				s.Authenticators = models
			}
			return nil
		})
		if err != nil || !passwords || a.Settings.Passwords {
			return err
		}
		return i.withoutPasswords(tx, actor)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// withoutPasswords ends what was signed in by password. The manager who forbids
// passwords must have a passkey, or nobody could allow them again.
func (i *Identity) withoutPasswords(tx *database.Tx, actor policy.Actor) error {
	keys, err := i.credentials(tx.Context(), actor.ID)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return problem.New(problem.PasskeyFirst)
	}
	var users []string
	if err := tx.Model(&User{}).Where("agency_id = ? AND id <> ?", actor.Agency, actor.ID).Order("id").Pluck("id", &users).Error; err != nil {
		return fmt.Errorf("forbid passwords: %w", err)
	}
	for _, u := range users {
		if err := i.endLogins(tx, u, ByPassword); err != nil {
			return err
		}
	}
	return nil
}

// authenticators reads models as AAGUIDs. BAD_INPUT.
func authenticators(models []string) (read []string, err error) {
	for _, m := range models {
		id, err := uuid.Parse(strings.TrimSpace(m))
		if err != nil || len(models) > maxAllowed {
			return nil, problem.New(problem.BadInput)
		}
		if !slices.Contains(read, id.String()) {
			read = append(read, id.String())
		}
	}
	return read, nil
}

// SetAuthenticators replaces the agency's list of models that new passkeys may
// be on; an empty list allows any whose passkeys stay on it. BAD_INPUT.
func (i *Identity) SetAuthenticators(ctx context.Context, actor policy.Actor, models []string) (a *Agency, err error) {
	read, err := authenticators(models)
	if err != nil {
		return nil, err
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		a, err = i.changeSettings(tx, actor, actor.Agency, nil, "", nil, func(s *Settings) error {
			s.Authenticators = read
			return nil
		})
		return err
	})
	return a, err
}

// SettingsHistory reads the versions of an agency's settings below before (0:
// from the newest), newest first, at most limit, each with what it changed.
func (i *Identity) SettingsHistory(ctx context.Context, agency string, before int64, limit int) ([]*SettingsVersion, error) {
	q := i.db.Read(ctx).Where("agency_id = ?", agency)
	if before > 0 {
		q = q.Where("version < ?", before)
	}
	var found []*SettingsVersion
	if err := q.Order("version DESC").Limit(limit + 1).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	for n, v := range found {
		v.Changes = []*SettingChange{}
		if n+1 < len(found) {
			var err error
			if v.Changes, err = differences(found[n+1].Settings, v.Settings); err != nil {
				return nil, err
			}
		}
	}
	return found[:min(len(found), limit)], nil
}

// differences lists the settings that are not the same, by their names.
func differences(old, new Settings) ([]*SettingChange, error) {
	before, err := fields(old)
	if err != nil {
		return nil, err
	}
	after, err := fields(new)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range before {
		names = append(names, name)
	}
	for name := range after {
		names = append(names, name)
	}
	slices.Sort(names)
	changed := []*SettingChange{}
	for _, name := range slices.Compact(names) {
		if o, n := string(before[name]), string(after[name]); o != n {
			changed = append(changed, &SettingChange{Setting: name, Old: o, New: n})
		}
	}
	return changed, nil
}

func fields(s Settings) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("compare settings: %w", err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("compare settings: %w", err)
	}
	if all["authenticators"] == nil {
		all["authenticators"] = json.RawMessage("[]")
	}
	return all, nil
}

// mayUsePassword tells whether a person has a password, and their agency's
// settings let it count (第8の1).
func (i *Identity) mayUsePassword(ctx context.Context, u *User) (bool, error) {
	if !u.HasPassword() {
		return false, nil
	}
	err := i.passwordsOff(ctx, u.AgencyID)
	if problem.Is(err, problem.PasswordsOff) {
		return false, nil
	}
	return err == nil, err
}

// passwordsOff refuses where the agency's settings forbid passwords.
func (i *Identity) passwordsOff(ctx context.Context, agency string) error {
	a, err := i.Agency(ctx, agency)
	if err != nil {
		return err
	}
	if !a.Settings.Passwords {
		return problem.New(problem.PasswordsOff)
	}
	return nil
}
