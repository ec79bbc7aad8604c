package app_test

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/server/app"
)

func load(args []string, environment ...string) (app.Config, error) {
	c, _, err := app.LoadConfig(args, environment, io.Discard)
	return c, err
}

func tomlFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "genba.toml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

func TestConfigSources(t *testing.T) {
	t.Parallel()
	file := tomlFile(t, `data = "from-file"`, `keys = "keys-from-file"`, `media = ":1"`, `demo = true`, `dev = true`)
	t.Run("defaults", func(t *testing.T) {
		c, err := load(nil)
		require.NoError(t, err)
		require.Equal(t, app.Config{
			Data: "data", Keys: "keys", Listen: "localhost:8080", PublicURL: "http://localhost:8080", Media: ":8189",
			DemoAgency: "福島県警察", DemoAgencyEn: "Fukushima Prefectural Police",
		}, c)
	})
	t.Run("flags before environment before file before defaults", func(t *testing.T) {
		c, err := load([]string{"--config", file, "--data", "from-flag", "--dev=false"},
			"GENBA_DATA=from-env", "GENBA_KEYS=keys-from-env", "GENBA_PUBLIC_URL=https://report.example.jp/", "PATH=/bin", "GENBA_TEST_POSTGRES=x")
		require.NoError(t, err)
		require.Equal(t, "from-flag", c.Data)
		require.Equal(t, "keys-from-env", c.Keys)
		require.Equal(t, ":1", c.Media)
		require.Equal(t, "localhost:8080", c.Listen)
		require.Equal(t, "https://report.example.jp", c.PublicURL)
		require.True(t, c.Demo)
		require.False(t, c.Dev)
	})
	t.Run("an empty value in a source nearer is a value", func(t *testing.T) {
		_, err := load([]string{"--config", file, "--data", ""})
		require.ErrorContains(t, err, "data, keys: both need a folder")
	})
	t.Run("the file may be named by the environment, and a flag names another", func(t *testing.T) {
		c, err := load(nil, "GENBA_CONFIG="+file)
		require.NoError(t, err)
		require.Equal(t, "from-file", c.Data)
		c, err = load([]string{"--config", tomlFile(t, `data = "other"`)}, "GENBA_CONFIG="+file)
		require.NoError(t, err)
		require.Equal(t, "other", c.Data)
	})
	t.Run("help is asked for", func(t *testing.T) {
		var usage strings.Builder
		_, _, err := app.LoadConfig([]string{"-h"}, nil, &usage)
		require.True(t, errors.Is(err, flag.ErrHelp))
		for _, name := range []string{"data", "keys", "listen", "public-url", "tls-cert", "tls-key", "trusted-proxy", "media", "media-address", "database", "demo", "dev", "config", "sms-gateway", "smtp-server", "smtp-from", "smtp-user", "smtp-password-file", "smtp-tls"} {
			require.Contains(t, usage.String(), "-"+name)
		}
	})
	t.Run("arguments that are no flags are handed on", func(t *testing.T) {
		_, left, err := app.LoadConfig([]string{"--demo", "what"}, nil, io.Discard)
		require.NoError(t, err)
		require.Equal(t, []string{"what"}, left)
	})
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args, env []string
		file      []string
		want      []string
	}{
		"unknown flag":                   {args: []string{"--dta", "x"}, want: []string{"dta"}},
		"unknown in environment":         {env: []string{"GENBA_DTA=x"}, want: []string{"GENBA_DTA: no such setting"}},
		"unknown in file":                {file: []string{`dta = "x"`}, want: []string{"dta: no such setting"}},
		"file names a file":              {file: []string{`config = "x"`}, want: []string{"config: no such setting"}},
		"file with a table":              {file: []string{"[data]", `a = 1`}, want: []string{"data must be text"}},
		"file is no TOML":                {file: []string{"data ="}, want: []string{"configuration file"}},
		"file is missing":                {args: []string{"--config", "/nowhere/genba.toml"}, want: []string{"configuration file"}},
		"neither true nor false":         {env: []string{"GENBA_DEMO=perhaps"}, want: []string{`demo: "perhaps" is neither true nor false`}},
		"all interfaces":                 {args: []string{"--listen", ":8080"}, want: []string{"not a loopback address"}},
		"outside address":                {args: []string{"--listen", "192.0.2.1:80"}, want: []string{"not a loopback address"}},
		"a name is not loopback":         {args: []string{"--listen", "example.jp:80"}, want: []string{"not a loopback address"}},
		"no port":                        {args: []string{"--listen", "localhost"}, want: []string{"listen: \"localhost\" is not HOST:PORT"}},
		"no media port":                  {args: []string{"--media", "8189"}, want: []string{"media: \"8189\" is not HOST:PORT"}},
		"media name":                     {args: []string{"--media-address", "phone.example.jp"}, want: []string{"not an IP address"}},
		"half of TLS":                    {args: []string{"--tls-cert", "c.pem"}, want: []string{"both or neither"}},
		"proxy":                          {args: []string{"--trusted-proxy", "gate"}, want: []string{"trusted-proxy"}},
		"plain http outside":             {args: []string{"--public-url", "http://report.example.jp"}, want: []string{"https only"}},
		"address with a path":            {args: []string{"--public-url", "https://report.example.jp/v"}, want: []string{"must be a scheme and a host"}},
		"address with a person":          {args: []string{"--public-url", "https://a@report.example.jp"}, want: []string{"must be a scheme and a host"}},
		"another database":               {args: []string{"--database", "mysql://x"}, want: []string{"postgres:// URL"}},
		"keys inside data":               {args: []string{"--data", "d", "--keys", "d/keys"}, want: []string{"outside the data folder"}},
		"keys are data":                  {args: []string{"--data", "d", "--keys", "./x/../d"}, want: []string{"outside the data folder"}},
		"data inside keys":               {args: []string{"--data", "k/data", "--keys", "k"}, want: []string{"outside the data folder"}},
		"address too long for a message": {args: []string{"--public-url", "https://" + strings.Repeat("a", 60) + ".example.jp"}, want: []string{"would not fit into a message"}},
		"gateway is not there":           {args: []string{"--sms-gateway", "/nowhere.toml"}, want: []string{"sms-gateway"}},
		"half of a mail server":          {args: []string{"--smtp-from", "a@example.jp"}, want: []string{"smtp-server: is missing"}},
		"mail server unencrypted":        {args: []string{"--smtp-server", "mail.example.jp:25", "--smtp-from", "a@example.jp", "--smtp-tls", "none"}, want: []string{"for a server on this machine"}},
		"demo that sends":                {args: []string{"--demo", "--smtp-server", "localhost:25", "--smtp-from", "a@example.jp"}, want: []string{"--demo sends nothing"}},
		"nameless demo":                  {args: []string{"--demo", "--demo-agency", ""}, want: []string{"both need a name"}},
		"all at once": {
			args: []string{"--listen", "nowhere", "--media", "nowhere", "--keys", "d/k", "--data", "d", "--tls-key", "k.pem", "--database", "x"},
			env:  []string{"GENBA_DTA=x", "GENBA_DEV=perhaps"}, file: []string{`other = 1`},
			want: []string{"listen:", "media:", "keys:", "tls-cert, tls-key:", "database:", "GENBA_DTA", "dev:", "other: no such setting"},
		},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			args := c.args
			if c.file != nil {
				args = append([]string{"--config", tomlFile(t, c.file...)}, args...)
			}
			_, err := load(args, c.env...)
			require.Error(t, err)
			for _, w := range c.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
	for name, args := range map[string][]string{
		"loopback addresses":        {"--listen", "127.0.0.2:0"},
		"IPv6 loopback":             {"--listen", "[::1]:8080"},
		"all interfaces with TLS":   {"--listen", ":8443", "--tls-cert", "c.pem", "--tls-key", "k.pem", "--public-url", "https://report.example.jp"},
		"all interfaces by a proxy": {"--listen", ":8080", "--trusted-proxy", "10.0.0.0/8", "--public-url", "https://report.example.jp"},
		"folders side by side":      {"--data", "d", "--keys", "d-keys"},
		"a name that begins alike":  {"--data", "d", "--keys", "..d"},
	} {
		t.Run(name+" are taken", func(t *testing.T) {
			_, err := load(args)
			require.NoError(t, err)
		})
	}
}
