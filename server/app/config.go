package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"genba/server/notify"
)

// Config is how one installation runs. Each setting comes from a flag, else
// from GENBA_ and its name in capitals (GENBA_PUBLIC_URL), else from the
// configuration file, else from its default.
type Config struct {
	// Data is the folder of the database file, of sealed files and of demo.json.
	Data string
	// Keys is the folder of the keys. It stands outside the data folder and in no
	// data backup.
	Keys string
	// Listen is HOST:PORT of HTTP. Without TLS or a trusted proxy it must be a
	// loopback address.
	Listen string
	// PublicURL is the address that callers and consoles use; links are made of
	// it, and its origin is the only one that is accepted.
	PublicURL string
	// TLSCert and TLSKey are PEM files.
	TLSCert, TLSKey string
	// TrustedProxy is the address or network of the proxy that terminates TLS and
	// sets X-Forwarded-For.
	TrustedProxy string
	// Media is HOST:PORT for WebRTC, UDP and TCP; an empty host is all interfaces.
	Media string
	// MediaAddress is published as host candidate: the address that phones reach.
	MediaAddress string
	// Database is a postgres:// URL; empty means a SQLite file in Data.
	Database string
	// Demo makes an agency with a person per role and shows sent messages.
	Demo bool
	// DemoAgency and DemoAgencyEn name the agency that Demo makes.
	DemoAgency, DemoAgencyEn string
	// CheckpointFile and CheckpointURL are where signed checkpoints of the journals
	// go: a file, best on another machine's disk, and an address that takes POSTs.
	CheckpointFile, CheckpointURL string
	// CheckpointEmail is an address that they are mailed to, by SMTP.
	CheckpointEmail string
	// Dev allows introspection and GraphiQL at /graphiql.
	Dev bool
	// SMSGateway is a TOML file that says how an HTTP SMS gateway is spoken to
	// (docs/messages.md).
	SMSGateway string
	// SMTP is how e-mail leaves.
	SMTP notify.SMTPOptions
}

// setting is one line of the table that all sources are read by.
type setting struct {
	name, otherwise, help string
	text                  *string
	yes                   *bool
}

func (c *Config) settings() []setting {
	return []setting{
		{"data", "data", "folder of the database file and the sealed files", &c.Data, nil},
		{"keys", "keys", "folder of the keys, outside --data and its backups", &c.Keys, nil},
		{"listen", "localhost:8080", "HOST:PORT of HTTP; loopback unless TLS or a trusted proxy is set", &c.Listen, nil},
		{"public-url", "", "address that callers and consoles use (default: http://localhost:PORT)", &c.PublicURL, nil},
		{"tls-cert", "", "certificate chain, PEM", &c.TLSCert, nil},
		{"tls-key", "", "private key, PEM", &c.TLSKey, nil},
		{"trusted-proxy", "", "address or network of the proxy that terminates TLS", &c.TrustedProxy, nil},
		{"media", ":8189", "HOST:PORT of WebRTC, UDP and TCP; no host: all interfaces", &c.Media, nil},
		{"media-address", "", "address that phones reach the media port at", &c.MediaAddress, nil},
		{"database", "", "postgres:// URL (default: a SQLite file in --data)", &c.Database, nil},
		{"demo", "", "make an agency with a person per role, show sent messages at /outbox", nil, &c.Demo},
		{"demo-agency", "福島県警察", "Japanese name of the agency that --demo makes", &c.DemoAgency, nil},
		{"demo-agency-en", "Fukushima Prefectural Police", "English name of the agency that --demo makes", &c.DemoAgencyEn, nil},
		{"checkpoint-file", "", "file that signed checkpoints of the journals are appended to; keep it on another machine", &c.CheckpointFile, nil},
		{"checkpoint-url", "", "https address that signed checkpoints are posted to, as lines of JSON", &c.CheckpointURL, nil},
		{"checkpoint-email", "", "address that signed checkpoints are mailed to, every ten minutes of activity; needs smtp-server", &c.CheckpointEmail, nil},
		{"dev", "", "allow introspection, and GraphiQL at /graphiql", nil, &c.Dev},
		{"sms-gateway", "", "TOML file that says how the SMS gateway is spoken to (docs/messages.md)", &c.SMSGateway, nil},
		{"smtp-server", "", "HOST:PORT that e-mail leaves by", &c.SMTP.Server, nil},
		{"smtp-from", "", "sender of e-mail, as police@report.example.jp", &c.SMTP.From, nil},
		{"smtp-user", "", "user of the mail server", &c.SMTP.User, nil},
		{"smtp-password-file", "", "file with that user's password", &c.SMTP.PasswordFile, nil},
		{"smtp-tls", "", "starttls, tls, or none for a server on this machine (default: starttls)", &c.SMTP.TLS, nil},
	}
}

const envPrefix = "GENBA_"

// testEnv are variables of the test bed that share the prefix.
var testEnv = []string{"GENBA_TEST_POSTGRES"}

// LoadConfig reads the settings from arguments, environment (KEY=VALUE) and the
// file that --config or GENBA_CONFIG names (TOML, one setting a line). It
// answers the arguments that are no flags. What is unknown or cannot be is
// refused, all faults at once; flag.ErrHelp means that help was asked for and
// written to usage. A command adds flags of its own with more.
func LoadConfig(args, environment []string, usage io.Writer, more ...func(*flag.FlagSet)) (Config, []string, error) {
	var c Config
	var file string
	table := append(c.settings(), setting{"config", "", "TOML file with these settings", &file, nil})
	var faults []error
	byName := map[string]setting{}
	flags := flag.NewFlagSet("genba", flag.ContinueOnError)
	flags.SetOutput(usage)
	for _, s := range table {
		byName[s.name] = s
		if s.yes != nil {
			flags.Bool(s.name, false, s.help)
		} else {
			*s.text = s.otherwise
			flags.String(s.name, s.otherwise, s.help)
		}
	}
	for _, add := range more {
		add(flags)
	}
	if err := flags.Parse(args); err != nil {
		return c, nil, err
	}
	given := map[string]string{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })

	fromEnv := map[string]string{}
	for _, line := range environment {
		name, value, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(testEnv, name) {
			continue
		}
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-")
		if _, known := byName[key]; !known {
			faults = append(faults, fmt.Errorf("%s: no such setting", name))
			continue
		}
		fromEnv[key] = value
	}
	if path, ok := given["config"]; ok {
		file = path
	} else {
		file = fromEnv["config"]
	}
	fromFile, err := readFile(file)
	if err != nil {
		faults = append(faults, err)
	}
	for key := range fromFile {
		if _, known := byName[key]; !known || key == "config" {
			faults = append(faults, fmt.Errorf("%s: %s: no such setting", file, key))
		}
	}
	for _, source := range []map[string]string{fromFile, fromEnv, given} {
		for key, value := range source {
			s, known := byName[key]
			switch {
			case !known || key == "config":
			case s.yes == nil:
				*s.text = value
			default:
				yes, err := strconv.ParseBool(value)
				if err != nil {
					faults = append(faults, fmt.Errorf("%s: %q is neither true nor false", key, value))
				}
				*s.yes = yes
			}
		}
	}
	faults = append(faults, c.complete()...)
	return c, flags.Args(), errors.Join(faults...)
}

func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	raw := map[string]any{}
	if _, err := toml.DecodeFile(path, &raw); err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	values := map[string]string{}
	for key, v := range raw {
		switch v.(type) {
		case string, bool, int64:
			values[key] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("%s: %s must be text or true or false", path, key)
		}
	}
	return values, nil
}

// complete fills in what follows from other settings and lists every fault.
func (c *Config) complete() (faults []error) {
	fault := func(format string, v ...any) { faults = append(faults, fmt.Errorf(format, v...)) }
	data, err1 := filepath.Abs(c.Data)
	keys, err2 := filepath.Abs(c.Keys)
	if err1 != nil || err2 != nil || c.Data == "" || c.Keys == "" {
		fault("data, keys: both need a folder")
	} else if inside(keys, data) || inside(data, keys) {
		fault("keys: must stand outside the data folder, or a data backup would hold the keys")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		fault("listen: %q is not HOST:PORT", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		fault("tls-cert, tls-key: both or neither")
	}
	if c.TrustedProxy != "" {
		if _, err := parseNetwork(c.TrustedProxy); err != nil {
			fault("trusted-proxy: %q is neither an address nor a network", c.TrustedProxy)
		}
	}
	if err == nil && c.TLSCert == "" && c.TrustedProxy == "" && !loopback(host) {
		fault("listen: %q is not a loopback address, and neither TLS nor a trusted proxy is set", c.Listen)
	}
	if _, _, err := net.SplitHostPort(c.Media); err != nil {
		fault("media: %q is not HOST:PORT", c.Media)
	}
	if c.MediaAddress != "" {
		if _, err := netip.ParseAddr(c.MediaAddress); err != nil {
			fault("media-address: %q is not an IP address", c.MediaAddress)
		}
	}
	if c.PublicURL == "" && port != "0" {
		c.PublicURL = "http://localhost:" + port
		if c.TLSCert != "" {
			c.PublicURL = "https://localhost:" + port
		}
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
			fault("public-url: must be a scheme and a host, as https://report.example.jp")
		case u.Scheme == "http" && !loopback(u.Hostname()):
			fault("public-url: phones open their camera on https only; http is for localhost")
		default:
			c.PublicURL = u.Scheme + "://" + u.Host
			if room := notify.MaxLink - len("/v#") - linkSecret; len(c.PublicURL) > room {
				fault("public-url: is longer than %d characters, and a link of it would not fit into a message", room)
			}
		}
	}
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		fault("database: must be a postgres:// URL")
	}
	if _, err := c.channels(); err != nil {
		faults = append(faults, err)
	}
	if u, err := url.Parse(c.CheckpointURL); c.CheckpointURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname()))) {
		fault("checkpoint-url: must be an https address; http is for this machine")
	}
	if c.CheckpointEmail != "" {
		if m, err := mail.ParseAddress(c.CheckpointEmail); err != nil || m.Address != c.CheckpointEmail {
			fault("checkpoint-email: %q is no address", c.CheckpointEmail)
		}
		if c.SMTP.Server == "" {
			fault("checkpoint-email: needs smtp-server")
		}
	}
	if c.CheckpointFile != "" {
		if path, err := filepath.Abs(c.CheckpointFile); err != nil || inside(path, data) || inside(path, keys) {
			fault("checkpoint-file: must stand outside the data and keys folders, or whoever changes them changes it, too")
		} else {
			c.CheckpointFile = path
		}
	}
	if c.Demo && (c.DemoAgency == "" || c.DemoAgencyEn == "") {
		fault("demo-agency, demo-agency-en: both need a name")
	}
	return faults
}

func inside(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}
