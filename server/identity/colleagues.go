package identity

import (
	"context"
	"fmt"

	"genba/policy"
)

const maxColleagues = 300

// Colleague is somebody who can go on with a video report.
type Colleague struct {
	User *User
	// SignedIn tells whether they are signed in at a console now.
	SignedIn bool
}

// Colleagues reads an agency's supervisors and dispatchers who may sign in, in
// the order of their registration.
func (i *Identity) Colleagues(ctx context.Context, agency string) ([]*Colleague, error) {
	q := i.db.Read(ctx)
	var users []*User
	err := q.Where("agency_id = ? AND status = ? AND role IN ?", agency, Active, []policy.Role{policy.Supervisor, policy.Dispatcher}).
		Order("id").Limit(maxColleagues).Find(&users).Error
	if err != nil {
		return nil, fmt.Errorf("read colleagues: %w", err)
	}
	ids := make([]string, len(users))
	for n, u := range users {
		ids[n] = u.ID
	}
	var here []string
	err = q.Model(&Login{}).Where("user_id IN ? AND ended_at IS NULL AND created_at > ?", ids, i.db.Now().Add(-loginLife)).
		Distinct().Pluck("user_id", &here).Error
	if err != nil {
		return nil, fmt.Errorf("read who is signed in: %w", err)
	}
	signedIn := make(map[string]bool, len(here))
	for _, id := range here {
		signedIn[id] = true
	}
	colleagues := make([]*Colleague, len(users))
	for n, u := range users {
		colleagues[n] = &Colleague{User: u, SignedIn: signedIn[u.ID]}
	}
	return colleagues, nil
}

// Agencies reads agencies by id.
func (i *Identity) Agencies(ctx context.Context, ids []string) (map[string]*Agency, error) {
	var found []*Agency
	if err := i.db.Read(ctx).Find(&found, "id IN ?", ids).Error; err != nil {
		return nil, fmt.Errorf("read agencies: %w", err)
	}
	byID := make(map[string]*Agency, len(found))
	for _, a := range found {
		byID[a.ID] = a
	}
	return byID, nil
}

const maxAgencies = 200

// OtherAgencies reads the agencies of the installation but one, by code.
func (i *Identity) OtherAgencies(ctx context.Context, own string) ([]*Agency, error) {
	var found []*Agency
	if err := i.db.Read(ctx).Where("id <> ? AND id <> ?", homeOf(own), Operators).Order("code").Limit(maxAgencies).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list agencies: %w", err)
	}
	return found, nil
}

// Named reads the names of people of any agency: of those who looked by a share,
// for the agency that gave it. Nothing but the name and the role is told.
func (i *Identity) Named(ctx context.Context, ids []string) (map[string]*User, error) {
	var found []*User
	err := i.db.Read(ctx).Select("id", "agency_id", "display_name", "role", "status").Find(&found, "id IN ?", ids).Error
	if err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	byID := make(map[string]*User, len(found))
	for _, u := range found {
		byID[u.ID] = u
	}
	return byID, nil
}
