package app_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fault is what a disk does: these system calls fail with this error, on the
// files named; on all of them where none is. Without an error they are watched.
type fault struct {
	calls string // as strace names them, with commas between
	with  string
	on    []string
}

// flags are strace's, and what it starts. What it traced stands in log.
func (f fault) flags(log string, started ...string) []string {
	args := []string{"-f", "-y", "-e", "signal=none", "-e", "trace=" + f.calls, "-o", log}
	if f.with != "" {
		args = append(args, "-e", "inject="+f.calls+":error="+f.with)
	}
	for _, path := range f.on {
		args = append(args, "-P", path)
	}
	return append(args, started...)
}

// tracer stands between a running server and its disk.
type tracer struct {
	t       testing.TB
	command *exec.Cmd
	log     string
	over    bool
}

// disk lets the server's disk fail until heal.
func (p *process) disk(f fault) *tracer {
	p.t.Helper()
	d := &tracer{t: p.t, log: filepath.Join(p.t.TempDir(), "calls")}
	d.command = exec.Command("strace", f.flags(d.log, "-p", strconv.Itoa(p.command.Process.Pid))...)
	said, err := d.command.StderrPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, d.command.Start())
	p.t.Cleanup(func() { d.end() })
	stuck := time.AfterFunc(patience, func() { _ = d.command.Process.Kill() })
	defer stuck.Stop()
	var all []string
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.Contains(lines.Text(), " attached") {
			return d
		}
		all = append(all, lines.Text())
	}
	require.FailNow(p.t, "strace cannot trace the server", strings.Join(all, "\n"))
	return nil
}

// end lets the server go on without a tracer.
func (d *tracer) end() {
	d.t.Helper()
	if d.over {
		return
	}
	d.over = true
	_ = d.command.Process.Signal(syscall.SIGINT) // it ended already where the server did
	stuck := time.AfterFunc(patience, func() { _ = d.command.Process.Kill() })
	defer stuck.Stop()
	_ = d.command.Wait() // by the signal
}

// calls are the calls that were traced, a line each.
func (d *tracer) calls() []string {
	d.t.Helper()
	text, err := os.ReadFile(d.log)
	require.NoError(d.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// heal lets the disk work again, which must have failed meanwhile.
func (d *tracer) heal() {
	d.t.Helper()
	d.end()
	require.Contains(d.t, strings.Join(d.calls(), "\n"), "(INJECTED)", "nothing failed")
}
