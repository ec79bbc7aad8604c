package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const here = "https://genba.example/graphql"

// device is a browser or program with a key of its own.
type device struct {
	key    *ecdsa.PrivateKey
	number int
}

func newDevice(t testing.TB) *device {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &device{key: k}
}

func (d *device) public(t testing.TB) identity.PublicKey {
	t.Helper()
	k, err := identity.NewPublicKey(&d.key.PublicKey)
	require.NoError(t, err)
	return k
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// proof is a DPoP JWT of the device; change may spoil it.
func (d *device) proof(t testing.TB, nonce string, change func(header, claims map[string]any)) string {
	t.Helper()
	point, err := d.key.PublicKey.Bytes()
	require.NoError(t, err)
	d.number++
	header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}}
	claims := map[string]any{"jti": fmt.Sprint(d.number), "htm": "POST", "htu": here, "iat": 1, "nonce": nonce, "ver": "1"}
	if change != nil {
		change(header, claims)
	}
	return d.sign(t, header, claims)
}

func (d *device) sign(t testing.TB, header, claims any) string {
	t.Helper()
	var parts []string
	for _, v := range []any{header, claims} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		parts = append(parts, b64(text))
	}
	text := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, sum[:])
	require.NoError(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + b64(signature)
}

// at is a request from a terminal of that kind, enrolled just now.
func at(t testing.TB, i *identity.Identity, a *identity.Agency, desk policy.Desk) context.Context {
	t.Helper()
	terminal, err := i.AddTerminal(context.Background(), policy.SystemActor(), a.ID, identity.NewTerminal{Kind: desk, Number: identity.NewID()}, newDevice(t).public(t), false)
	require.NoError(t, err)
	return identity.WithTerminal(identity.WithAddress(context.Background(), "192.0.2.1"), terminal)
}

func proved(t testing.TB, i *identity.Identity, d *device) (context.Context, error) {
	t.Helper()
	return i.Prove(identity.WithAddress(context.Background(), "192.0.2.1"), d.proof(t, i.Nonce(), nil), "POST", here)
}

func manager(a *identity.Agency) policy.Actor {
	return policy.Actor{Kind: policy.User, ID: identity.NewID(), Agency: a.ID, Role: policy.Manager, Desk: policy.Admin}
}

// 第4の6: a browser becomes a terminal by a code that works once.
func TestEnrolByAOneTimeCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, _ := room(t, db)
		code, until, err := i.IssueTerminalCode(t.Context(), manager(a), a.ID, identity.NewTerminal{Kind: policy.Tablet, Number: " 3 ", Place: "指令台 3"})
		require.NoError(t, err)
		require.Equal(t, db.Now().Add(15*time.Minute), until)
		require.Regexp(t, `^[0-9A-Z]{5}-[0-9A-Z]{5}$`, code)
		d := newDevice(t)
		ctx, err := proved(t, i, d)
		require.True(t, problem.Is(err, problem.TerminalUnknown), "all that a new key may do is enrol")
		require.Nil(t, identity.TerminalOf(ctx))
		_, err = i.Enrol(t.Context(), code)
		require.True(t, problem.Is(err, problem.TerminalUnknown), "a browser that shows no key")
		_, err = i.Enrol(ctx, "00000-00000")
		require.True(t, problem.Is(err, problem.TerminalCodeWrong))
		made, err := i.Enrol(ctx, strings.ToLower(strings.ReplaceAll(code, "-", " ")))
		require.NoError(t, err)
		require.Equal(t, []any{policy.Tablet, "3", "指令台 3", identity.Enrolled}, []any{made.Kind, made.Number, made.Place, made.State})
		ctx, err = proved(t, i, d)
		require.NoError(t, err)
		require.Equal(t, made.ID, identity.TerminalOf(ctx).ID)
		_, err = i.Enrol(ctx, code)
		require.True(t, problem.Is(err, problem.AlreadyExists), "it is a terminal already")

		other, err := proved(t, i, newDevice(t))
		require.True(t, problem.Is(err, problem.TerminalUnknown))
		_, err = i.Enrol(other, code)
		require.True(t, problem.Is(err, problem.TerminalCodeWrong), "a code works once")
		_, _, err = i.IssueTerminalCode(t.Context(), manager(a), a.ID, identity.NewTerminal{Kind: policy.Tablet, Number: "3"})
		require.True(t, problem.Is(err, problem.AlreadyExists), "the number is in use")
		late, _, err := i.IssueTerminalCode(t.Context(), manager(a), a.ID, identity.NewTerminal{Kind: policy.Admin, Number: "4"})
		require.NoError(t, err)
		dbtest.ClockOf(db).Advance(15 * time.Minute)
		_, err = i.Enrol(other, late)
		require.True(t, problem.Is(err, problem.TerminalCodeWrong), "a code lives fifteen minutes")
		for range 25 {
			_, err = i.Enrol(other, "AAAAA-AAAAA")
		}
		require.True(t, problem.Is(err, problem.RateLimited), "guessing is slowed")
		for _, bad := range []identity.NewTerminal{{Kind: "ROUTER", Number: "1"}, {Kind: policy.Tablet}, {Kind: policy.Tablet, Number: strings.Repeat("9", 41)}, {Kind: policy.Tablet, Number: "9", Place: strings.Repeat("長", 101)}} {
			_, _, err = i.IssueTerminalCode(t.Context(), manager(a), a.ID, bad)
			require.True(t, problem.Is(err, problem.BadInput))
		}
	})
}

// T09, T44: what a proof must be, and that it is good once, here and now,
// whatever the terminal's own clock says.
func TestProofs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, _ := room(t, db)
		d, stranger := newDevice(t), newDevice(t)
		terminal, err := i.AddTerminal(t.Context(), policy.SystemActor(), a.ID, identity.NewTerminal{Kind: policy.Tablet, Number: "1"}, d.public(t), false)
		require.NoError(t, err)
		good := func(change func(h, c map[string]any)) {
			t.Helper()
			ctx, err := i.Prove(t.Context(), d.proof(t, i.Nonce(), change), "POST", here)
			require.NoError(t, err)
			require.Equal(t, terminal.ID, identity.TerminalOf(ctx).ID)
		}
		good(nil)
		good(func(_, c map[string]any) { c["iat"] = 4102444800 })                       // a clock that is wrong by decades
		good(func(_, c map[string]any) { c["htu"] = here + "?x=1#y" })                  // RFC 9449: without query and fragment
		good(func(h, _ map[string]any) { delete(h, "jwk"); h["kid"] = terminal.ID })    // a program names its terminal
		bad := func(why problem.Reason, by *device, change func(h, c map[string]any)) { // what it says of its reader stays unsaid
			t.Helper()
			ctx, err := i.Prove(t.Context(), by.proof(t, i.Nonce(), change), "POST", here)
			require.True(t, problem.Is(err, why), "%v", err)
			require.Nil(t, identity.TerminalOf(ctx))
		}
		bad(problem.TerminalUnknown, stranger, nil)
		bad(problem.TerminalUnknown, stranger, func(h, _ map[string]any) { delete(h, "jwk"); h["kid"] = terminal.ID })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { delete(h, "jwk"); h["kid"] = identity.NewID() })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { h["kid"] = terminal.ID })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { h["alg"] = "none" })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { h["alg"] = "HS256" })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { h["typ"] = "jwt" })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { h["crit"] = []string{"b64"} })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { h["jwk"].(map[string]any)["d"] = "AA" })
		bad(problem.TerminalUnknown, d, func(h, _ map[string]any) { h["jwk"].(map[string]any)["x"] = b64(make([]byte, 32)) })
		bad(problem.TerminalUnknown, d, func(_, c map[string]any) { c["htm"] = "GET" })
		bad(problem.TerminalUnknown, d, func(_, c map[string]any) { c["htu"] = "https://evil.example/graphql" })
		bad(problem.TerminalUnknown, d, func(_, c map[string]any) { delete(c, "iat") })
		bad(problem.TerminalUnknown, d, func(_, c map[string]any) { delete(c, "jti") })
		bad(problem.TerminalUnknown, d, func(_, c map[string]any) { c["jti"] = strings.Repeat("j", 129) })
		bad(problem.TerminalUnknown, d, func(_, c map[string]any) { c["pad"] = strings.Repeat("p", 2000) })
		bad(problem.TerminalNonce, d, func(_, c map[string]any) { delete(c, "nonce") })
		bad(problem.TerminalNonce, d, func(_, c map[string]any) { c["nonce"] = "bm90IG91cnM" })
		for _, text := range []string{"", "a", "a.b", "a.b.c", "....", strings.Repeat("a", 5000)} {
			_, err := i.Prove(t.Context(), text, "POST", here)
			require.True(t, problem.Is(err, problem.TerminalUnknown), text)
		}

		once := d.proof(t, i.Nonce(), nil)
		_, err = i.Prove(t.Context(), once, "POST", here)
		require.NoError(t, err)
		_, err = i.Prove(t.Context(), once, "POST", here)
		require.True(t, problem.Is(err, problem.ProofReplayed))
		signature := []byte(once)
		signature[len(signature)-3] ^= 1
		_, err = i.Prove(t.Context(), string(signature), "POST", here)
		require.True(t, problem.Is(err, problem.TerminalUnknown), "a bit of the signature")
		old := d.proof(t, i.Nonce(), nil)
		dbtest.ClockOf(db).Advance(2*time.Minute + time.Second)
		_, err = i.Prove(t.Context(), old, "POST", here)
		require.True(t, problem.Is(err, problem.TerminalNonce), "a nonce lives two minutes")
		elsewhere, err := identity.New(db, journal.New(db, quiet{}))
		require.NoError(t, err)
		_, err = i.Prove(t.Context(), d.proof(t, elsewhere.Nonce(), nil), "POST", here)
		require.True(t, problem.Is(err, problem.TerminalNonce), "another process's nonce")
	})
}

// A sign-in is bound to its terminal (T09), and to an agency's own.
func TestSignInIsBoundToItsTerminal(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, _ := room(t, db)
		ctx, other := at(t, i, a, policy.Tablet), at(t, i, a, policy.Tablet)
		_, _, err := i.SignIn(identity.WithAddress(t.Context(), "192.0.2.1"), "", "sato", password)
		require.True(t, problem.Is(err, problem.TerminalUnknown), "the right password from nowhere")
		token, actor, err := i.SignIn(ctx, "", "sato", password)
		require.NoError(t, err)
		require.Equal(t, policy.Tablet, actor.Desk)
		_, err = i.Recognise(other, token)
		require.True(t, problem.Is(err, problem.TerminalDiffers))
		_, err = i.Recognise(t.Context(), token)
		require.True(t, problem.Is(err, problem.TerminalUnknown))
		_, err = i.Recognise(ctx, token)
		require.NoError(t, err)
		foreign, err := i.CreateAgency(t.Context(), identity.NewAgency{Code: "miyagi", NameJa: "宮城", NameEn: "Miyagi"})
		require.NoError(t, err)
		_, _, err = i.SignIn(at(t, i, foreign, policy.Tablet), a.Code, "sato", password)
		require.True(t, problem.Is(err, problem.TerminalNotYours), "another agency's terminal")
	})
}

// 第4の6: suspended at once by a supervisor, reinstated or revoked by a manager.
func TestStatesOfATerminal(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, _ := room(t, db)
		d := newDevice(t)
		terminal, err := i.AddTerminal(t.Context(), policy.SystemActor(), a.ID, identity.NewTerminal{Kind: policy.Tablet, Number: "1"}, d.public(t), false)
		require.NoError(t, err)
		supervisor := policy.Actor{Kind: policy.User, ID: identity.NewID(), Agency: a.ID, Role: policy.Supervisor, Desk: policy.Notebook}
		var cut [][]string
		i.OnCut(func(logins []string) { cut = append(cut, logins) })
		ctx, err := proved(t, i, d)
		require.NoError(t, err)
		token, actor, err := i.SignIn(ctx, "", "sato", password)
		require.NoError(t, err)
		of := func() *identity.Terminal {
			all, err := i.Terminals(t.Context(), a.ID)
			require.NoError(t, err)
			return all[slices.IndexFunc(all, func(x *identity.Terminal) bool { return x.ID == terminal.ID })]
		}
		require.Equal(t, []any{true, actor.ID, "1"}, []any{of().Online, of().UserID, of().Version})

		placed, err := i.PlaceTerminal(t.Context(), supervisor, terminal.ID, "", "副指令台")
		require.NoError(t, err)
		require.Equal(t, []string{"1", "副指令台"}, []string{placed.Number, placed.Place})
		_, err = i.SuspendTerminal(t.Context(), supervisor, terminal.ID, " ")
		require.True(t, problem.Is(err, problem.ReasonMissing))
		reported, err := i.ReportTerminal(t.Context(), supervisor, terminal.ID, identity.Faulty, "画面が映らない")
		require.NoError(t, err)
		require.Equal(t, []any{identity.Enrolled, identity.Faulty}, []any{reported.State, reported.Fault})
		require.Empty(t, cut, "a fault alone stops nobody")

		reported, err = i.ReportTerminal(t.Context(), supervisor, terminal.ID, identity.Lost, "車内から無くなった")
		require.NoError(t, err)
		require.Equal(t, []any{identity.TerminalSuspended, identity.Lost, "車内から無くなった"}, []any{reported.State, reported.Fault, reported.Reason})
		require.Equal(t, [][]string{{actor.Login}}, cut)
		_, err = proved(t, i, d)
		require.True(t, problem.Is(err, problem.TerminalSuspended))
		_, err = i.StillSignedIn(t.Context(), actor.Login)
		require.True(t, problem.Is(err, problem.TerminalSuspended))
		require.Equal(t, []any{false, ""}, []any{of().Online, of().UserID})

		back, err := i.ReinstateTerminal(t.Context(), manager(a), terminal.ID)
		require.NoError(t, err)
		require.Equal(t, []any{identity.Enrolled, identity.Fault("")}, []any{back.State, back.Fault})
		ctx, err = proved(t, i, d)
		require.NoError(t, err)
		_, err = i.Recognise(ctx, token)
		require.True(t, problem.Is(err, problem.Unauthenticated), "who was cut signs in anew")

		gone, err := i.RevokeTerminal(t.Context(), manager(a), terminal.ID, "更新")
		require.NoError(t, err)
		require.Equal(t, identity.TerminalRevoked, gone.State)
		_, err = proved(t, i, d)
		require.True(t, problem.Is(err, problem.TerminalRevoked))
		for _, again := range []func() error{
			func() error { _, err := i.ReinstateTerminal(t.Context(), manager(a), terminal.ID); return err },
			func() error { _, err := i.SuspendTerminal(t.Context(), supervisor, terminal.ID, "x"); return err },
			func() error { _, err := i.PlaceTerminal(t.Context(), supervisor, terminal.ID, "2", ""); return err },
		} {
			require.True(t, problem.Is(again(), problem.Conflict), "revoked is for good")
		}
		_, err = i.AddTerminal(t.Context(), policy.SystemActor(), a.ID, identity.NewTerminal{Kind: policy.Tablet, Number: "1"}, newDevice(t).public(t), false)
		require.NoError(t, err, "the number goes to the one that follows")
		foreign := manager(a)
		foreign.Agency = identity.NewID()
		_, err = i.RevokeTerminal(t.Context(), foreign, terminal.ID, "x")
		require.True(t, problem.Is(err, problem.NotFound))
		dbtest.ClockOf(db).Advance(time.Minute)
		require.False(t, of().Online)
	})
}

// 第5の2: a manager operates no receiving terminal, unless another rule provides
// for it; that grant is somebody else's to give, and ends.
func TestReceptionIsGivenByAnotherAndEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, dispatcher := room(t, db)
		boss, err := i.Register(t.Context(), policy.SystemActor(), a.ID, identity.NewUser{UserName: "boss", DisplayName: "課長", Role: policy.Manager, Password: password, PasswordReason: "r"})
		require.NoError(t, err)
		tablet, desk := at(t, i, a, policy.Tablet), at(t, i, a, policy.Admin)
		_, _, err = i.SignIn(tablet, "", "boss", password)
		require.True(t, problem.Is(err, problem.TerminalNotYours))
		_, actor, err := i.SignIn(desk, "", "boss", password)
		require.NoError(t, err)
		require.Empty(t, actor.Grant)

		in := identity.NewReception{UserID: boss.ID, RuleNumber: "達(総指)第500号", RuleDate: "2026-11-01", Until: db.Now().Add(24 * time.Hour)}
		_, err = i.GrantReception(t.Context(), actor, a.ID, in)
		require.True(t, problem.Is(err, problem.SelfGiven))
		for name, change := range map[string]func(*identity.NewReception){
			"no rule":              func(n *identity.NewReception) { n.RuleNumber = " " },
			"no date":              func(n *identity.NewReception) { n.RuleDate = "" },
			"a rule of the future": func(n *identity.NewReception) { n.RuleDate = "2999-01-01" },
			"no end":               func(n *identity.NewReception) { n.Until = time.Time{} },
			"an end too far":       func(n *identity.NewReception) { n.Until = db.Now().Add(400 * 24 * time.Hour) },
			"to a dispatcher":      func(n *identity.NewReception) { n.UserID = dispatcher.ID },
		} {
			bad := in
			change(&bad)
			_, err = i.GrantReception(t.Context(), manager(a), a.ID, bad)
			require.True(t, problem.Is(err, problem.BadInput), name)
		}
		var cut [][]string
		i.OnCut(func(logins []string) { cut = append(cut, logins) })
		given, err := i.GrantReception(t.Context(), manager(a), a.ID, in)
		require.NoError(t, err)
		_, err = i.GrantReception(t.Context(), manager(a), a.ID, in)
		require.True(t, problem.Is(err, problem.AlreadyExists))
		now, err := i.StillSignedIn(t.Context(), actor.Login)
		require.NoError(t, err)
		require.Equal(t, []any{policy.Manager, policy.ReceptionGrant}, []any{now.Role, now.Grant})
		token, there, err := i.SignIn(tablet, "", "boss", password)
		require.NoError(t, err)

		dbtest.ClockOf(db).Advance(24*time.Hour - time.Second - 12*time.Hour)
		require.NoError(t, i.EndReceptions(t.Context()))
		require.Empty(t, cut)
		_, err = i.EndReception(t.Context(), manager(a), a.ID, given.ID)
		require.NoError(t, err)
		require.Len(t, cut, 1)
		require.ElementsMatch(t, []string{actor.Login, there.Login}, cut[0])
		_, err = i.Recognise(tablet, token)
		require.True(t, problem.Is(err, problem.Unauthenticated), "the receiving terminal is not theirs any more")

		in.Until = db.Now().Add(time.Hour)
		_, err = i.GrantReception(t.Context(), policy.SystemActor(), a.ID, in)
		require.NoError(t, err, "the operator's")
		token, _, err = i.SignIn(tablet, "", "boss", password)
		require.NoError(t, err)
		dbtest.ClockOf(db).Advance(time.Hour)
		_, err = i.Recognise(tablet, token)
		require.True(t, problem.Is(err, problem.Unauthenticated), "it ends with its day")
		require.NoError(t, i.EndReceptions(t.Context()))
		require.Len(t, cut, 2)
		all, err := i.Receptions(t.Context(), a.ID)
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.NotNil(t, all[0].EndedAt)
		require.Empty(t, all[0].GivenBy)
	})
}
