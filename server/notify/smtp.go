package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"
)

// SMTPOptions say how e-mail leaves.
type SMTPOptions struct {
	// Server is HOST:PORT.
	Server string
	// From is the sender's address, of the own domain.
	From string
	// User and PasswordFile sign in, where the server asks for it.
	User, PasswordFile string
	// TLS is "starttls" (also where it is empty), "tls" from the first byte, or
	// "none", which only a server on this machine may have.
	TLS string
	// Roots verify the server instead of the system's; nil: the system's.
	Roots *tls.Config
}

// SMTP is the way of e-mail.
type SMTP struct {
	options SMTPOptions
	host    string
	port    int
	secret  string
	domain  string
}

// NewSMTP reads the options; it answers every fault at once and connects to
// nothing.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	s := &SMTP{options: o}
	var faults []error
	fault := func(format string, v ...any) { faults = append(faults, fmt.Errorf(format, v...)) }
	host, port, err := net.SplitHostPort(o.Server)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		fault("smtp-server: %q is not HOST:PORT", o.Server)
	} else {
		s.host, s.port = host, int(n)
	}
	if m := mail.NewMsg(); o.From == "" || m.From(o.From) != nil || strings.ContainsAny(o.From, "<> ") {
		fault("smtp-from: %q is no address", o.From)
	} else {
		s.domain = o.From[strings.LastIndexByte(o.From, '@')+1:]
	}
	switch o.TLS {
	case "", "starttls", "tls":
	case "none":
		if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
			fault("smtp-tls: none is for a server on this machine")
		}
	default:
		fault("smtp-tls: must be starttls, tls or none")
	}
	if (o.User == "") != (o.PasswordFile == "") {
		fault("smtp-user, smtp-password-file: both or neither")
	} else if o.PasswordFile != "" {
		if s.secret, err = secretIn(o.PasswordFile); err != nil {
			fault("smtp-password-file: %w", err)
		}
	}
	return s, errors.Join(faults...)
}

// Send hands the message to the server. Every attempt carries the same
// Message-ID, by which mail systems drop what they have already.
func (s *SMTP) Send(ctx context.Context, m Message) (string, error) {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(s.options.From), msg.To(m.To)); err != nil {
		return "", fmt.Errorf("%w: the address cannot be written", ErrPermanent)
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.Key + "@" + s.domain)
	msg.SetDate()
	msg.SetUserAgent("Genba")
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, m.Body+"\n")
	client, err := mail.NewClient(s.host, s.how()...)
	if err != nil {
		return "", errors.New("smtp: cannot begin")
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		var refused *mail.SendError
		if errors.As(err, &refused) && !refused.IsTemp() && refused.ErrorCode() >= 500 {
			return "", fmt.Errorf("%w: the mail server refused it with %d", ErrPermanent, refused.ErrorCode())
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", errors.New("smtp: not taken") // what the library says repeats addresses
	}
	return m.Key + "@" + s.domain, nil
}

// FileMessage is an e-mail with a file, to somebody who keeps it.
type FileMessage struct {
	To, Key, Subject, Body, Name string
	File                         []byte
}

// SendFile mails a file. Every attempt carries the same Message-ID.
func (s *SMTP) SendFile(ctx context.Context, m FileMessage) error {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(s.options.From), msg.To(m.To)); err != nil {
		return fmt.Errorf("%w: the address cannot be written", ErrPermanent)
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.Key + "@" + s.domain)
	msg.SetDate()
	msg.SetUserAgent("Genba")
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, m.Body+"\n")
	if err := msg.AttachReader(m.Name, bytes.NewReader(m.File)); err != nil {
		return errors.New("smtp: cannot attach")
	}
	client, err := mail.NewClient(s.host, s.how()...)
	if err != nil {
		return errors.New("smtp: cannot begin")
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.New("smtp: not taken") // what the library says repeats addresses
	}
	return nil
}

func (s *SMTP) how() []mail.Option {
	config := &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	if s.options.Roots != nil {
		config.RootCAs = s.options.Roots.RootCAs
	}
	how := []mail.Option{mail.WithPort(s.port), mail.WithTimeout(sendTimeout), mail.WithTLSConfig(config), mail.WithHELO(s.domain)}
	switch s.options.TLS {
	case "none":
		how = append(how, mail.WithTLSPolicy(mail.NoTLS))
	case "tls":
		how = append(how, mail.WithSSL())
	default:
		how = append(how, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.options.User != "" {
		auth := mail.SMTPAuthAutoDiscover
		if s.options.TLS == "none" {
			auth = mail.SMTPAuthPlainNoEnc
		}
		how = append(how, mail.WithSMTPAuth(auth), mail.WithUsername(s.options.User), mail.WithPassword(s.secret))
	}
	return how
}

const maxSecret = 4096 // bytes of a file that holds one

// secretIn reads a secret from its file. The error never holds what stood there.
func secretIn(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" || len(secret) > maxSecret || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s must hold one line and nothing else", path)
	}
	return secret, nil
}
