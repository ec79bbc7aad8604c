package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
)

// built is the program as it is released, built once for all tests.
var built struct {
	sync.Mutex
	folder, path string
}

func binary(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.path == "" {
		var err error
		built.folder, err = os.MkdirTemp("", "genba-binary-") //nolint:usetesting // one build for all tests
		require.NoError(t, err)
		path := filepath.Join(built.folder, "genba")
		c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, "genba/server") // as make build
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		built.path = path
	}
	return built.path
}

func removeBinary() {
	if built.folder != "" {
		_ = os.RemoveAll(built.folder) // a temporary folder
	}
}

// withoutSettings is this process's environment without settings of ours.
func withoutSettings() []string {
	var kept []string
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "GENBA_") {
			kept = append(kept, line)
		}
	}
	return kept
}

// outcome is what a command said.
type outcome struct {
	code     int
	out, err string
}

// genba runs one command to its end.
func genba(t testing.TB, environment []string, args ...string) outcome {
	t.Helper()
	return ended(t, environment, binary(t), args...)
}

// ended runs a program that becomes genba to its end.
func ended(t testing.TB, environment []string, name string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(withoutSettings(), environment...)
	c.Stdout, c.Stderr, c.WaitDelay = &out, &errs, time.Second // a child of its own may hold them open
	err := c.Run()
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		require.NoError(t, err)
	}
	return outcome{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// process is a server of its own that a test may kill and start again.
type process struct {
	*house
	args       []string
	command    *exec.Cmd
	complaints *bytes.Buffer
	lines      []string // what it said, once it has ended
	reading    chan struct{}
	alive      bool
}

// serve starts the program in demo mode on a folder and waits until it is ready.
func serve(t testing.TB, folder string, more ...string) *process {
	t.Helper()
	p := &process{house: &house{App: &app.App{Config: app.Config{Data: filepath.Join(folder, "data"), Keys: filepath.Join(folder, "keys")}}, t: t, clock: &clock{}}}
	p.args = append([]string{"serve", "--demo", "--data", p.Config.Data, "--keys", p.Config.Keys, "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0"}, more...)
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.startAs(binary(p.t), p.args...)
}

// startAs starts a program that becomes the server.
func (p *process) startAs(name string, args ...string) {
	p.t.Helper()
	p.command, p.complaints, p.lines, p.reading = exec.Command(name, args...), &bytes.Buffer{}, nil, make(chan struct{})
	p.command.Env, p.command.Stderr = withoutSettings(), p.complaints
	out, err := p.command.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.command.Start())
	p.alive = true
	lines := bufio.NewScanner(out)
	ready := lines.Scan()
	first := lines.Text()
	go func() {
		defer close(p.reading)
		for lines.Scan() {
			p.lines = append(p.lines, lines.Text())
		}
	}()
	if !ready {
		require.FailNow(p.t, "the server ended", "%v %s", p.wait(), p.complaints)
	}
	address, ok := strings.CutPrefix(first, "Genba is ready at ")
	require.True(p.t, ok, first)
	p.Config.PublicURL = address
	p.http = &http.Client{Transport: &http.Transport{DialContext: p.dial}}
}

// kill ends the process the hard way, if it still runs.
func (p *process) kill() {
	p.t.Helper()
	if p.alive {
		require.NoError(p.t, p.command.Process.Kill())
		require.Error(p.t, p.wait())
	}
}

// terminate asks the process to end and answers how it did.
func (p *process) terminate() error {
	p.t.Helper()
	require.NoError(p.t, p.command.Process.Signal(syscall.SIGTERM))
	stuck := time.AfterFunc(patience, func() { _ = p.command.Process.Kill() })
	defer stuck.Stop()
	return p.wait()
}

func (p *process) wait() error {
	p.alive = false
	if p.http != nil {
		p.http.CloseIdleConnections()
	}
	<-p.reading
	return p.command.Wait()
}

// signIn opens a console as one of the people of demo mode.
func (p *process) signIn(role policy.Role) *visitor {
	p.t.Helper()
	for _, u := range demo(p.t, p.Config.Data).Users {
		if u.Role == role {
			return p.signInAs("", u.UserName, u.Password)
		}
	}
	require.FailNow(p.t, "nobody has the role", role)
	return nil
}

// demo reads the sign-ins of demo mode.
func demo(t testing.TB, data string) app.Demo {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "demo.json"))
	require.NoError(t, err)
	var d app.Demo
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}
