package notify_test

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/notify"
)

// post is a real SMTP server that keeps what it took.
type post struct {
	mu       sync.Mutex
	letters  []string
	to       []string
	refusing error
}

func (p *post) NewSession(*smtp.Conn) (smtp.Session, error) { return &counter{post: p}, nil }

func (p *post) say(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = err
}

type counter struct {
	*post
	rcpt string
}

func (c *counter) Mail(string, *smtp.MailOptions) error { return nil }
func (c *counter) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rcpt = to
	return c.refusing
}

func (c *counter) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.letters, c.to = append(c.letters, string(b)), append(c.to, c.rcpt)
	return err
}
func (c *counter) Reset()        {}
func (c *counter) Logout() error { return nil }

func postOffice(t *testing.T) (*post, string) {
	t.Helper()
	p := &post{}
	s := smtp.NewServer(p)
	s.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	return p, l.Addr().String()
}

// 第4の1(2): e-mail, to a real mail server.
func TestSMTP(t *testing.T) {
	p, address := postOffice(t)
	way, err := notify.NewSMTP(notify.SMTPOptions{Server: address, From: "110@report.example.jp", TLS: "none"})
	require.NoError(t, err)
	letter := notify.Message{Key: message.Key, Channel: notify.Email, To: "caller@example.jp", Subject: "福島県警察からのお知らせ", Body: message.Body}
	for range 2 { // a second attempt
		_, err = way.Send(t.Context(), letter)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"caller@example.jp", "caller@example.jp"}, p.to)
	var ids []string
	for _, text := range p.letters {
		m, err := mail.ReadMessage(strings.NewReader(text))
		require.NoError(t, err)
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		require.NoError(t, err)
		require.Equal(t, letter.Subject, subject)
		ids = append(ids, m.Header.Get("Message-ID"))
		require.Equal(t, "Genba", m.Header.Get("User-Agent"))
		require.NotContains(t, text, "go-mail")
		require.Contains(t, decoded(t, m), letter.Body)
	}
	require.Equal(t, "<"+message.Key+"@report.example.jp>", ids[0], "one name for every attempt")
	require.Equal(t, ids[0], ids[1])

	p.say(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user caller@example.jp"})
	_, err = way.Send(t.Context(), letter)
	require.ErrorIs(t, err, notify.ErrPermanent)
	require.NotContains(t, err.Error(), "caller@")
	p.say(&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"})
	_, err = way.Send(t.Context(), letter)
	require.Error(t, err)
	require.False(t, errors.Is(err, notify.ErrPermanent), "later may do")

	away, err := notify.NewSMTP(notify.SMTPOptions{Server: "127.0.0.1:1", From: "110@report.example.jp", TLS: "none"})
	require.NoError(t, err)
	_, err = away.Send(t.Context(), letter)
	require.Error(t, err)
	require.False(t, errors.Is(err, notify.ErrPermanent))

	secured, err := notify.NewSMTP(notify.SMTPOptions{Server: address, From: "110@report.example.jp"})
	require.NoError(t, err)
	_, err = secured.Send(t.Context(), letter)
	require.Error(t, err, "nothing goes out unencrypted to a server that should encrypt")
	require.Len(t, p.letters, 2)
}

// decoded is the text of a letter.
func decoded(t *testing.T, m *mail.Message) string {
	t.Helper()
	r := m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		r = quotedprintable.NewReader(m.Body)
	}
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func TestSMTPFaults(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("two\nlines of secret"), 0o600))
	_, err := notify.NewSMTP(notify.SMTPOptions{Server: "nowhere", From: "nobody", TLS: "perhaps", User: "x", PasswordFile: password})
	for _, want := range []string{"smtp-server", "smtp-from", "smtp-tls", "smtp-password-file"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "secret")
	_, err = notify.NewSMTP(notify.SMTPOptions{Server: "mail.example.jp:25", From: "110@report.example.jp", TLS: "none", User: "x"})
	require.ErrorContains(t, err, "this machine")
	require.ErrorContains(t, err, "both or neither")
}

// 第4の1(2): a caller whom SMS cannot reach gets the link by e-mail.
func TestLinkByEmail(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		p, address := postOffice(t)
		way, err := notify.NewSMTP(notify.SMTPOptions{Server: address, From: "110@report.example.jp", TLS: "none"})
		require.NoError(t, err)
		s := o.request()
		require.NoError(t, o.send(s, "sms"))
		n, err := o.another(notify.Channels{Email: way}).Deliver(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, "NO_CHANNEL", o.deliveries(s)[0].Failure, "SMS has no way")
		_, _, err = o.ChangeDestination(t.Context(), o.dispatcher, s.ID, cases.Destination{Email: "caller@example.jp", EmailReason: "SMSが届かない"})
		require.NoError(t, err)
		_, err = o.SendLink(t.Context(), o.dispatcher, notify.Order{SessionID: s.ID, LastFour: "caller@example.jp", Key: "mail"})
		require.NoError(t, err)
		n, err = o.another(notify.Channels{Email: way}).Deliver(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Len(t, p.letters, 1)
		require.Equal(t, notify.Sent, o.deliveries(s)[1].Status)
		require.Empty(t, o.session(s).Stall)
	})
}

// T45: checkpoints leave by e-mail, too, as a file.
func TestFileByEmail(t *testing.T) {
	p, address := postOffice(t)
	m, err := notify.NewSMTP(notify.SMTPOptions{Server: address, From: "genba@report.example.jp", TLS: "none"})
	require.NoError(t, err)
	file := []byte("{\"number\":1}\n")
	require.NoError(t, m.SendFile(t.Context(), notify.FileMessage{To: "keeper@example.jp", Key: "checkpoint-1", Subject: "Genba checkpoints", Body: "Keep it.", Name: "checkpoints.jsonl", File: file}))
	require.Equal(t, []string{"keeper@example.jp"}, p.to)
	require.Contains(t, p.letters[0], "checkpoints.jsonl")
	require.Contains(t, p.letters[0], base64.StdEncoding.EncodeToString(file))
	require.Contains(t, p.letters[0], "<checkpoint-1@report.example.jp>")
	p.say(errors.New("not now"))
	err = m.SendFile(t.Context(), notify.FileMessage{To: "keeper@example.jp", Key: "checkpoint-2", Name: "x", File: file})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "keeper")
}
