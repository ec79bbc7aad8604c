package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"genba/policy"
	"genba/server/identity"
	"genba/server/operations"
)

// Demo is what demo mode writes to demo.json in the data folder: one agency
// with a person per role who signs in.
type Demo struct {
	BaseURL string     `json:"baseURL"`
	Agency  string     `json:"agency"`
	Users   []DemoUser `json:"users"`
	// Operator is no agency's, and sees counts and health only.
	Operator *DemoUser `json:"operator,omitempty"`
	// Terminal is where console requests without a proof come from; programs may
	// prove it by its key, too.
	Terminal *DemoTerminal `json:"terminal"`
	// Made says that this start made them; their passwords are shown once.
	Made bool `json:"-"`
}

// DemoUser is one sign-in.
type DemoUser struct {
	Role     policy.Role `json:"role"`
	UserName string      `json:"userName"`
	Password string      `json:"password"`
	// Agency is what to enter as agency, where it has to be.
	Agency string `json:"agency,omitempty"`
}

// DemoTerminal is an enrolled terminal whose key stands in a file.
type DemoTerminal struct {
	ID         string      `json:"id"`
	Number     string      `json:"number"`
	Kind       policy.Desk `json:"kind"`
	PrivateKey string      `json:"privateKey"` // PEM, PKCS #8
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
		return a.foundDemo(ctx, path)
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
	_, password, err := a.People.RegisterOperator(ctx, "operator", "運用 次郎", "")
	if err != nil {
		return nil, err
	}
	d.Operator = &DemoUser{Role: policy.OperatorRole, UserName: "operator", Password: password, Agency: identity.OperatorsCode}
	if err := a.addDemoTerminal(ctx, d, agency.ID); err != nil {
		return nil, err
	}
	if err := a.addDemoContacts(ctx, agency.ID); err != nil {
		return nil, err
	}
	return d, writeDemo(path, d)
}

// addDemoTerminal enrols a notebook whose key this machine knows.
func (a *App) addDemoTerminal(ctx context.Context, d *Demo, agency string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make terminal key: %w", err)
	}
	key, err := identity.NewPublicKey(&private.PublicKey)
	if err != nil {
		return err
	}
	t, err := a.People.AddTerminal(ctx, policy.SystemActor(), agency, identity.NewTerminal{Kind: policy.Notebook, Number: "DEMO-1"}, key, true)
	if err != nil {
		return err
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("write terminal key: %w", err)
	}
	d.Terminal = &DemoTerminal{ID: t.ID, Number: t.Number, Kind: t.Kind, PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))}
	return nil
}

// addDemoContacts fills the directory with whom the directive names (第3の1(2),
// 第10).
func (a *App) addDemoContacts(ctx context.Context, agency string) error {
	house := policy.SystemActor()
	house.Agency = agency
	for _, c := range []operations.NewContact{
		{Kind: operations.ForFaults, Organisation: "東北管区警察局福島県情報通信部機動通信課", Post: "当直"},
		{Kind: operations.National, Organisation: "警察庁", Post: "警察庁運用管理責任者"},
		{Kind: operations.National, Organisation: "警察庁", Post: "警察庁システム管理責任者"},
		{Kind: operations.Headquarters, Organisation: "県警察本部", Post: "本部システム管理責任者"},
	} {
		if _, err := a.Operations.AddContact(ctx, house, c); err != nil {
			return err
		}
	}
	return nil
}

// foundDemo reads what an earlier start wrote; the address may have changed.
func (a *App) foundDemo(ctx context.Context, path string) (*Demo, error) {
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
	if d.Terminal == nil { // written before there were terminals
		agency, err := a.People.AgencyByCode(ctx, d.Agency)
		if err != nil {
			return nil, err
		}
		if err := a.addDemoTerminal(ctx, &d, agency.ID); err != nil {
			return nil, err
		}
	} else if d.BaseURL == a.URL() {
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
