package app_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	ticks := &clock{}
	h := open(t, c, ticks)
	path := filepath.Join(c.Data, "demo.json")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	first := demo(t, c.Data)
	require.Equal(t, h.URL(), first.BaseURL)
	require.NotEmpty(t, first.Agency)
	require.True(t, h.Demo().Made)
	require.Len(t, first.Users, 3)
	for i, role := range []policy.Role{policy.Manager, policy.Supervisor, policy.Dispatcher} {
		require.Equal(t, role, first.Users[i].Role)
		v := h.signInAs(first.Agency, first.Users[i].UserName, first.Users[i].Password)
		me := ask[struct {
			Me struct{ User struct{ Role policy.Role } }
		}](v, `{me{user{role}}}`, nil)
		require.Equal(t, role, me.Me.User.Role)
	}
	require.Equal(t, policy.OperatorRole, first.Operator.Role)
	h.signInAs(first.Operator.Agency, first.Operator.UserName, first.Operator.Password)
	v := h.signIn(policy.Dispatcher)
	r := h.reported(v)
	eventually(t, func() string { // it is sent after the commit
		outbox := h.must(http.MethodGet, "/outbox.json", nil)
		require.Equal(t, http.StatusOK, outbox.status)
		require.Equal(t, "no-store", outbox.header.Get("Cache-Control"))
		if !strings.Contains(string(outbox.body), r.secret) {
			return "the message is not in the outbox"
		}
		return ""
	})
	r.end()
	h.close()

	again := open(t, c, ticks)
	second := demo(t, c.Data)
	require.Equal(t, first.Users, second.Users)
	require.Equal(t, again.URL(), second.BaseURL)
	require.False(t, again.Demo().Made)
	v.house = again
	require.Contains(t, string(v.graphql(`{cases{nodes{id}}}`, nil).Data), r.caseID)
	again.close()

	c.Demo = false
	plain := open(t, c, ticks)
	require.Nil(t, plain.Demo())
	require.Equal(t, http.StatusNotFound, plain.must(http.MethodGet, "/outbox.json", nil).status, "nobody reads messages outside demo mode")
	require.Equal(t, http.StatusNotFound, plain.must(http.MethodGet, "/outbox", nil).status)
}

func folders(dir string) []string {
	return []string{"--data", filepath.Join(dir, "data"), "--keys", filepath.Join(dir, "keys")}
}

var shownOnce = regexp.MustCompile(`password, shown this once: (\S+)`)

func TestCommands(t *testing.T) {
	t.Parallel()
	t.Run("without a command the usage is told", func(t *testing.T) {
		for _, args := range [][]string{nil, {"srve"}, {"user"}, {"user", "remove"}, {"terminal"}, {"terminal", "sell"}} {
			o := genba(t, nil, args...)
			require.Equal(t, 1, o.code)
			require.Contains(t, o.err, "usage: genba COMMAND")
		}
		o := genba(t, nil, "help")
		require.Zero(t, o.code)
		require.Contains(t, o.out, "usage: genba COMMAND")
		o = genba(t, nil, "serve", "-h")
		require.Zero(t, o.code)
		require.Contains(t, o.err, "-public-url")
	})
	t.Run("faults end a command before it touches anything", func(t *testing.T) {
		dir := t.TempDir()
		o := genba(t, []string{"GENBA_DTA=x"}, append([]string{"serve", "--listen", ":80"}, folders(dir)...)...)
		require.Equal(t, 1, o.code)
		require.Contains(t, o.err, "GENBA_DTA")
		require.Contains(t, o.err, "not a loopback address")
		o = genba(t, nil, append([]string{"verify"}, append(folders(dir), "now")...)...)
		require.Equal(t, 1, o.code)
		require.Contains(t, o.err, `what is "now"?`)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	})
	t.Run("user create, migrate, verify and purge", func(t *testing.T) {
		dir := t.TempDir()
		require.Zero(t, genba(t, nil, append([]string{"migrate"}, folders(dir)...)...).code)
		create := func(more ...string) outcome {
			return genba(t, nil, append(append([]string{"user", "create"}, folders(dir)...), more...)...)
		}
		o := create("--agency", "aomori", "--user-name", "boss", "--display-name", "青森 太郎")
		require.Equal(t, 1, o.code, "a new agency needs its names")
		o = create("--agency", "aomori", "--agency-ja", "青森県警察", "--agency-en", "Aomori Prefectural Police", "--user-name", "boss", "--display-name", "青森 太郎")
		require.Zero(t, o.code, o.err)
		require.Contains(t, o.out, "MANAGER boss of 青森県警察")
		password := shownOnce.FindStringSubmatch(o.out)[1]
		require.Equal(t, 1, create("--agency", "aomori", "--user-name", "boss", "--display-name", "x").code, "the name is taken")
		o = create("--agency", "aomori", "--user-name", "desk", "--display-name", "受理", "--role", "DISPATCHER")
		require.Zero(t, o.code, o.err)
		require.Equal(t, 1, create("--agency", "aomori", "--user-name", "other", "--display-name", "x", "--role", "KING").code)
		for path, text := range files(t, dir) {
			require.NotContains(t, string(text), password, path)
		}
		o = genba(t, nil, append([]string{"verify"}, folders(dir)...)...)
		require.Zero(t, o.code, o.err)
		require.Contains(t, o.out, "entries")
		o = genba(t, nil, append([]string{"purge"}, folders(dir)...)...)
		require.Zero(t, o.code, o.err)
		require.Contains(t, o.out, "due 0, purged 0, failed 0")

		c := config(t, "")
		c.Data, c.Keys, c.Demo = filepath.Join(dir, "data"), filepath.Join(dir, "keys"), false
		h := open(t, c, &clock{})
		v := h.visitor("console")
		v.desk = newDesk(t)
		v.language = "en"
		require.Equal(t, "TERMINAL_UNKNOWN", v.refused(signIn, vars{"in": vars{"userName": "boss", "password": password}}), "nothing is answered before a terminal is enrolled")
		o = genba(t, nil, append(append([]string{"terminal", "enrol"}, folders(dir)...), "--number", "A-1", "--place", "課長席")...)
		require.Zero(t, o.code, o.err)
		v.enrol(codeShown.FindString(o.out))
		v.enter("aomori", "boss", password)
		o = genba(t, nil, append([]string{"terminal", "list"}, folders(dir)...)...)
		require.Zero(t, o.code, o.err)
		require.Regexp(t, `ENROLLED\s+ADMIN\s+A-1 .* online .*課長席`, o.out)
		require.JSONEq(t, `{"me":{"agency":{"code":"aomori"}}}`, string(v.graphql(`{me{agency{code}}}`, nil).Data))
		until := time.Now().Add(time.Hour).Format(time.RFC3339)
		o = genba(t, nil, append(append([]string{"user", "reception"}, folders(dir)...), "--user-name", "boss", "--rule-number", "達第1号", "--rule-date", "2026-01-05", "--until", until)...)
		require.Zero(t, o.code, o.err)
		require.JSONEq(t, `{"me":{"reception":true}}`, string(v.graphql(`{me{reception}}`, nil).Data))
		o = genba(t, nil, append(append([]string{"user", "reception"}, folders(dir)...), "--user-name", "boss", "--end")...)
		require.Zero(t, o.code, o.err)
		require.JSONEq(t, `{"me":{"reception":false}}`, string(v.graphql(`{me{reception}}`, nil).Data))
		require.Equal(t, 1, genba(t, nil, append(append([]string{"terminal", "revoke"}, folders(dir)...), "--number", "Z-9")...).code)
		f := v.hears(`subscription { ownTerminalChanged { number } }`)
		eventually(t, func() string {
			if f.answers() == 0 {
				return "the console does not know its terminal"
			}
			return ""
		})
		o = genba(t, nil, append(append([]string{"terminal", "revoke"}, folders(dir)...), "--number", "A-1")...)
		require.Zero(t, o.code, o.err)
		eventually(t, func() string { // the server hears of what another process wrote
			if why := f.refusal(); why != "TERMINAL_REVOKED" {
				return "the console is not cut: " + why
			}
			return ""
		})
		require.Equal(t, "TERMINAL_REVOKED", v.refused(`{me{kind}}`, nil))
		_, err := h.DB.SQL().ExecContext(t.Context(), "UPDATE journal_entries SET actor_id = 'somebody' WHERE number = 2")
		require.Error(t, err, "the database refuses to change an entry")
		_, err = h.DB.SQL().ExecContext(t.Context(), "DROP TRIGGER journal_no_update; UPDATE journal_entries SET actor_id = 'somebody' WHERE number = 2")
		require.NoError(t, err)
		h.close()
		o = genba(t, nil, append([]string{"verify"}, folders(dir)...)...)
		require.Equal(t, 1, o.code)
		require.Contains(t, o.out, "FAULT")
		require.Contains(t, o.out, "entry 2: was changed")
		require.Contains(t, o.err, "does not hold")
	})
	t.Run("purge shows what is due and purges it", func(t *testing.T) {
		c := config(t, "")
		ticks := &clock{}
		ticks.advance(-9 * 24 * time.Hour)
		h := open(t, c, ticks)
		r := h.reported(h.signIn(policy.Dispatcher))
		b := r.answered().upload(photo(t, 60), "")
		r.end()
		h.close()
		o := genba(t, nil, "purge", "--data", c.Data, "--keys", c.Keys)
		require.Zero(t, o.code, o.err)
		require.Contains(t, o.out, b.ID)
		require.Contains(t, o.out, "due 1, purged 1, failed 0")
		require.Empty(t, files(t, filepath.Join(c.Data, "files")))
	})
}

func TestSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir)
	d := demo(t, filepath.Join(dir, "data"))
	h := p.house
	v := p.signIn(policy.Dispatcher)
	k := ask[struct{ OpenCase struct{ Case node } }](v, openCase, vars{"in": vars{"place": "ここ"}})
	require.Equal(t, http.StatusOK, h.must(http.MethodGet, "/readyz", nil).status)
	require.Equal(t, http.StatusOK, h.must(http.MethodGet, "/healthz", nil).status)
	f := v.follow(overSocket, boardChanged, nil, ask[struct{ Cases struct{ Cursor string } }](v, `{cases{cursor}}`, nil).Cases.Cursor, 0)
	defer f.interrupt()
	ask[struct{}](v, `mutation($in: UpdateCaseInput!){updateCase(input:$in){case{id}}}`, vars{"in": vars{"caseID": k.OpenCase.Case.ID, "notes": "続き"}})
	eventually(t, func() string {
		if got, _ := f.seen(); len(got) == 0 {
			return "nothing is told"
		}
		return ""
	})
	r := h.reported(v)
	x := r.answered().film(film{mime: webrtc.MimeTypeH264}, footage(t, webrtc.MimeTypeH264, "320x240", 400))
	x.hasSent(t, pictureRate)
	least, most := x.sentDuring(func() { require.NoError(t, p.terminate(), "%s", p.complaints) })
	for _, u := range d.Users {
		require.Contains(t, strings.Join(p.lines, "\n"), u.Password, "sign-ins are shown at the first start")
		require.NotContains(t, p.complaints.String(), u.Password)
	}
	p.start()
	r.requireRecorded(least, most)
	require.NoError(t, p.terminate())
	require.NotContains(t, strings.Join(p.lines, "\n"), d.Users[0].Password, "and never again")
	o := genba(t, nil, append([]string{"verify"}, folders(dir)...)...)
	require.Zero(t, o.code, o.out)
}

func TestTwoStartsAtOnce(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	h := open(t, c, &clock{})
	c.Listen = h.address()
	_, err := app.New(context.Background(), c, &clock{}, nil)
	require.ErrorContains(t, err, "listen")
}
