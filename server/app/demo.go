package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"genba/policy"
	"genba/server/identity"
)

// Demo is what demo mode writes to demo.json in the data folder: one agency
// with a person per role who signs in.
type Demo struct {
	BaseURL string     `json:"baseURL"`
	Agency  string     `json:"agency"`
	Users   []DemoUser `json:"users"`
	// Made says that this start made them; their passwords are shown once.
	Made bool `json:"-"`
}

// DemoUser is one sign-in.
type DemoUser struct {
	Role     policy.Role `json:"role"`
	UserName string      `json:"userName"`
	Password string      `json:"password"`
}

const demoAgency = "fukushima"

// makeDemo makes the agency and its people at the first start, and finds them
// again later.
func (a *App) makeDemo(ctx context.Context) (*Demo, error) {
	path := filepath.Join(a.Config.Data, "demo.json")
	agencies, _, err := a.People.Count(ctx)
	if err != nil {
		return nil, err
	}
	if agencies > 0 {
		return a.foundDemo(path)
	}
	d := &Demo{BaseURL: a.URL(), Agency: demoAgency, Made: true}
	agency, err := a.People.CreateAgency(ctx, identity.NewAgency{Code: demoAgency, NameJa: a.Config.DemoAgency, NameEn: a.Config.DemoAgencyEn})
	if err != nil {
		return nil, err
	}
	for _, p := range []struct {
		role       policy.Role
		user, name string
	}{
		{policy.Manager, "manager", "管理 一郎"},
		{policy.Supervisor, "supervisor", "指令 花子"},
		{policy.Dispatcher, "dispatcher", "受理 太郎"},
	} {
		u := DemoUser{Role: p.role, UserName: p.user, Password: rand.Text()[:16]}
		_, err := a.People.Register(ctx, policy.SystemActor(), agency.ID, identity.NewUser{UserName: p.user, DisplayName: p.name, Role: p.role, Password: u.Password, PasswordReason: "demonstration"})
		if err != nil {
			return nil, err
		}
		d.Users = append(d.Users, u)
	}
	return d, writeDemo(path, d)
}

// foundDemo reads what an earlier start wrote; the address may have changed.
func (a *App) foundDemo(path string) (*Demo, error) {
	var d Demo
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Demo{BaseURL: a.URL()}, nil // real people; demo mode only shows the outbox
	}
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		return nil, fmt.Errorf("read demo.json: %w", err)
	}
	if d.BaseURL == a.URL() {
		return &d, nil
	}
	d.BaseURL = a.URL()
	return &d, writeDemo(path, &d)
}

func writeDemo(path string, d *Demo) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write demo.json: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write demo.json: %w", err)
	}
	return nil
}
