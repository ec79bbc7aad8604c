package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// Operators is the row that the installation's own people stand under. It is no
// agency: no list shows it, nothing is shared with it, it holds no case.
const Operators = journal.Installation

// OperatorsCode is what an operator enters as agency when signing in.
const OperatorsCode = "operators"

// homeOf is the row that people of an agency stand under; operators have none.
func homeOf(agency string) string {
	if agency == "" {
		return Operators
	}
	return agency
}

// asOperator takes an operator out of every agency: what is asked for an agency
// finds nothing of theirs.
func asOperator(a policy.Actor, operator bool) policy.Actor {
	if operator {
		a.Kind, a.Role, a.Agency, a.Grant = policy.Operator, policy.OperatorRole, "", ""
	}
	return a
}

// RegisterOperator adds somebody who runs the installation; only the command
// line does. An empty password makes one, which is answered. ALREADY_EXISTS,
// BAD_INPUT.
func (i *Identity) RegisterOperator(ctx context.Context, userName, displayName, password string) (*User, string, error) {
	userName, displayName = strings.ToLower(strings.TrimSpace(userName)), strings.TrimSpace(displayName)
	if password == "" {
		password = rand.Text()[:20]
	}
	if !userNameForm.MatchString(userName) || displayName == "" || !cleanText(displayName, maxDisplayName) || utf8.RuneCountInString(password) < minPassword || len(password) > maxPassword {
		return nil, "", problem.New(problem.BadInput)
	}
	hash, err := argon2id.CreateHash(password, hashParams)
	if err != nil {
		return nil, "", fmt.Errorf("hash password: %w", err)
	}
	u := &User{
		ID: NewID(), AgencyID: Operators, UserName: userName, DisplayName: displayName, Role: policy.Manager, Operator: true, Status: Active,
		PasswordHash: hash, PasswordReason: "registered by the command line", CreatedAt: i.db.Now(),
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Create(u).Error; err != nil {
			return err
		}
		u.Role = policy.OperatorRole
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, policy.SystemActor(), journal.UserRegistered, map[string]any{"userName": u.UserName, "role": u.Role}))
		return nil
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, "", problem.Wrap(problem.AlreadyExists, err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("register operator: %w", err)
	}
	return u, password, nil
}

// RemoveOperator ends an operator's account for good, and what they are signed
// in to. NOT_FOUND.
func (i *Identity) RemoveOperator(ctx context.Context, userName string) error {
	return i.db.InTx(ctx, func(tx *database.Tx) error {
		var u User
		if err := tx.Lock().Take(&u, "agency_id = ? AND user_name = ? AND operator AND status <> ?", Operators, strings.ToLower(strings.TrimSpace(userName)), Removed).Error; err != nil {
			return notFound(err)
		}
		err := tx.Model(&User{}).Where("id = ?", u.ID).Updates(map[string]any{
			"status": Removed, "status_since": tx.Now, "password_hash": "", "password_reason": "", "user_name": u.UserName + "-" + u.ID,
		}).Error
		if err != nil {
			return fmt.Errorf("remove operator: %w", err)
		}
		i.journal.Append(tx, aboutUser(u.AgencyID, u.ID, policy.SystemActor(), journal.UserRemoved, nil))
		return i.endLogins(tx, u.ID)
	})
}
