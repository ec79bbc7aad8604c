package identity

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// StaffMember is an officer in the field (職員, 第4の4): no sign-in and no
// console. Their phones' links belong to cases.
type StaffMember struct {
	ID           string
	AgencyID     string
	Unit         string // 所属
	Name         string
	Number       string // 職員番号, where the agency uses one
	RegisteredAt time.Time
	RemovedAt    *time.Time
	ErasedAt     *time.Time
}

// Bounds of what is typed about an officer, in characters.
const (
	maxStaffUnit   = 100
	maxStaffName   = 100
	maxStaffNumber = 40
)

// NewStaffMember describes an officer.
type NewStaffMember struct{ Unit, Name, Number string }

func (in *NewStaffMember) check() error {
	in.Unit, in.Name, in.Number = strings.TrimSpace(in.Unit), strings.TrimSpace(in.Name), strings.TrimSpace(in.Number)
	if in.Unit == "" || in.Name == "" ||
		!cleanText(in.Unit, maxStaffUnit) || !cleanText(in.Name, maxStaffName) || !cleanText(in.Number, maxStaffNumber) {
		return problem.New(problem.BadInput)
	}
	return nil
}

// RegisterStaff adds an officer who may have to report by video in their duty
// (第4の4(1)ア). BAD_INPUT.
func (i *Identity) RegisterStaff(ctx context.Context, actor policy.Actor, in NewStaffMember) (*StaffMember, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	m := &StaffMember{ID: NewID(), AgencyID: actor.Agency, Unit: in.Unit, Name: in.Name, Number: in.Number}
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		m.RegisteredAt = tx.Now
		if err := tx.Create(m).Error; err != nil {
			return err
		}
		i.journal.Append(tx, m.entry(actor, journal.StaffMemberRegistered, nil))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("register staff: %w", err)
	}
	return m, nil
}

// UpdateStaff corrects an officer's entry, as after a transfer. NOT_FOUND,
// BAD_INPUT.
func (i *Identity) UpdateStaff(ctx context.Context, actor policy.Actor, id string, in NewStaffMember) (*StaffMember, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	var m StaffMember
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&m, "id = ? AND agency_id = ? AND removed_at IS NULL", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		moved := m.Unit != in.Unit
		m.Unit, m.Name, m.Number = in.Unit, in.Name, in.Number
		if err := tx.Save(&m).Error; err != nil {
			return err
		}
		i.journal.Append(tx, m.entry(actor, journal.StaffMemberChanged, map[string]any{"unitChanged": moved}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("change staff: %w", err)
	}
	return &m, nil
}

// RemoveStaff takes an officer out, in the transaction of whoever revoked their
// links (第4の4(2)カ). Removing a removed one changes nothing. NOT_FOUND.
func (i *Identity) RemoveStaff(tx *database.Tx, actor policy.Actor, id string) (*StaffMember, error) {
	var m StaffMember
	if err := tx.Lock().Take(&m, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
		return nil, notFound(err)
	}
	if m.RemovedAt != nil {
		return &m, nil
	}
	m.RemovedAt = &tx.Now
	if err := tx.Save(&m).Error; err != nil {
		return nil, fmt.Errorf("remove staff: %w", err)
	}
	i.journal.Append(tx, m.entry(actor, journal.StaffMemberRemoved, nil))
	return &m, nil
}

func (m *StaffMember) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: m.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Staff, ID: m.ID}, Payload: payload}
}

// StaffMember reads one officer of an agency. NOT_FOUND.
func (i *Identity) StaffMember(ctx context.Context, agency, id string) (*StaffMember, error) {
	var m StaffMember
	if err := i.db.Read(ctx).Take(&m, "id = ? AND agency_id = ?", id, agency).Error; err != nil {
		return nil, notFound(err)
	}
	return &m, nil
}

// StaffMembers reads officers of an agency by id; who is not there is left out.
func (i *Identity) StaffMembers(ctx context.Context, agency string, ids []string) (map[string]*StaffMember, error) {
	var found []*StaffMember
	if err := i.db.Read(ctx).Where("agency_id = ? AND id IN ?", agency, ids).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read staff: %w", err)
	}
	byID := make(map[string]*StaffMember, len(found))
	for _, m := range found {
		byID[m.ID] = m
	}
	return byID, nil
}

// ListStaff reads an agency's registered officers, of one unit or of all, in the
// order of their registration, after the one with that id, at most limit. BAD_INPUT.
func (i *Identity) ListStaff(ctx context.Context, agency, unit, after string, limit int) ([]*StaffMember, error) {
	if !utf8.ValidString(unit) || strings.ContainsRune(unit, 0) || utf8.RuneCountInString(unit) > maxStaffUnit {
		return nil, problem.New(problem.BadInput)
	}
	q := i.db.Read(ctx).Where("agency_id = ? AND removed_at IS NULL", agency)
	if unit != "" {
		q = q.Where("unit = ?", unit)
	}
	if after != "" {
		q = q.Where("id > ?", after)
	}
	var found []*StaffMember
	if err := q.Order("id").Limit(limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list staff: %w", err)
	}
	return found, nil
}

// StaffUnit is one unit (所属) and how many officers of it are registered.
type StaffUnit struct {
	Name    string
	Members int
}

const maxStaffUnits = 500

// StaffUnits lists the units of an agency's officers by name.
func (i *Identity) StaffUnits(ctx context.Context, agency string) ([]*StaffUnit, error) {
	var found []*StaffUnit
	err := i.db.Read(ctx).Model(&StaffMember{}).Select("unit AS name, COUNT(*) AS members").
		Where("agency_id = ? AND removed_at IS NULL", agency).Group("unit").Order("unit").Limit(maxStaffUnits).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	return found, nil
}

// EraseStaff destroys, in the caller's transaction, who a removed officer was.
func (i *Identity) EraseStaff(tx *database.Tx, ids []string) error {
	err := tx.Model(&StaffMember{}).Where("id IN ? AND removed_at IS NOT NULL AND erased_at IS NULL", ids).
		Updates(map[string]any{"name": "", "number": "", "erased_at": tx.Now}).Error
	if err != nil {
		return fmt.Errorf("erase staff: %w", err)
	}
	return nil
}
