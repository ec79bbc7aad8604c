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
		built.folder, err = os.MkdirTemp("", "genba-binary-")
		require.NoError(t, err)
		path := filepath.Join(built.folder, "genba")
		c := exec.Command("go", "build", "-buildvcs=false", "-o", path, "genba/server")
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	c := exec.CommandContext(ctx, binary(t), args...)
	c.Env = append(withoutSettings(), environment...)
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		require.NoError(t, err)
	}
	return outcome{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// process is a server of its own that a test may kill.
type process struct {
	*house
	command    *exec.Cmd
	complaints *bytes.Buffer
	lines      []string
	reading    chan struct{}
	done       bool
}

// serve starts the program in demo mode on a folder and waits until it is ready.
func serve(t testing.TB, folder string, more ...string) *process {
	t.Helper()
	p := &process{complaints: &bytes.Buffer{}, reading: make(chan struct{})}
	p.command = exec.Command(binary(t), append([]string{"serve", "--demo", "--data", filepath.Join(folder, "data"), "--keys", filepath.Join(folder, "keys"),
		"--listen", "127.0.0.1:0", "--media", "127.0.0.1:0"}, more...)...)
	p.command.Env, p.command.Stderr = withoutSettings(), p.complaints
	out, err := p.command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.command.Start())
	t.Cleanup(func() { p.kill(t) })
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the server ended: %s", p.complaints)
	address, ok := strings.CutPrefix(lines.Text(), "Genba is ready at ")
	require.True(t, ok, lines.Text())
	go func() {
		defer close(p.reading)
		for lines.Scan() {
			p.lines = append(p.lines, lines.Text())
		}
	}()
	p.house = &house{App: &app.App{Config: app.Config{PublicURL: address, Data: filepath.Join(folder, "data"), Keys: filepath.Join(folder, "keys")}}, t: t, clock: &clock{}}
	p.http = &http.Client{Transport: &http.Transport{DialContext: p.dial}}
	return p
}

// kill ends the process the hard way, if it still runs.
func (p *process) kill(t testing.TB) {
	t.Helper()
	if p.done {
		return
	}
	require.NoError(t, p.command.Process.Kill())
	require.Error(t, p.wait())
}

// terminate asks the process to end and answers how it did.
func (p *process) terminate(t testing.TB) error {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
	stuck := time.AfterFunc(patience, func() { _ = p.command.Process.Kill() })
	defer stuck.Stop()
	return p.wait()
}

func (p *process) wait() error {
	p.done = true
	if p.http != nil {
		p.http.CloseIdleConnections()
	}
	if p.house != nil {
		<-p.reading
	}
	return p.command.Wait()
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
