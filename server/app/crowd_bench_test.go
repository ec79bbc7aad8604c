package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"genba/policy"
	"genba/server/database/dbtest"
)

const (
	crowdLines   = 1000
	crowdPerSign = 8 // lines of one sign-in
	crowdEvents  = 200
	crowdPace    = 100 * time.Millisecond
	crowdOpening = 16 // lines opened at once

	crowdMemory = 64  // KiB a line, at most
	crowdDelay  = 200 // ms, at most, for 99 of 100 deliveries

	// segment is the TCP segment of a network that is not loopback, whose own
	// lets the kernel hold megabytes for a reader who reads nothing.
	segment = 1400
	// silentBuffer is the receive buffer of who never reads.
	silentBuffer = 4 << 10
)

// boardFollowed is what the console's board subscribes to.
const boardFollowed = `subscription BoardChanged($after: Cursor) { caseBoardChanged(after: $after) { cursor entries { ...Entry } cases { ...BoardCase } removed } }
fragment Entry on JournalEntry { number at actorKind actorID actor { id displayName } type subjectKind subjectID caseID sessionID payload }
fragment BoardSession on Session {
  id asked state dispatcher { id displayName } checks { supervisorTold } requestedAt linkSentAt openedAt codeOkAt consentedAt connectedAt firstFrameAt
  endedAt revokedAt expiredAt failedAt changedAt stall stalledAt endReason misdirected live arriving
  counts { recordings photosNow photosBefore videosNow videosBefore snapshots incomplete positions } phones { id state joinedAt } }
fragment BoardCase on Case { id number class municipality place drill openedAt dispatchedAt changedAt closedAt sessions { ...BoardSession } }`

const updateCase = `mutation($in: UpdateCaseInput!){updateCase(input:$in){case{id}}}`

// overNetwork is a client whose connections are cut into segments as on a real
// network; buffer is their receive buffer, or 0 for the kernel's own choice.
func (h *house) overNetwork(buffer int) *http.Client {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		outer := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment)
			if err == nil && buffer > 0 {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
			}
		})
		if outer != nil {
			return outer
		}
		return err
	}}
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, h.address())
	}}}
}

// through is the same browser behind another client.
func (v *visitor) through(c *http.Client) *visitor {
	again, h := *v, *v.house
	h.http, again.house = c, &h
	return &again
}

// boardLine is one line that follows the board, and what came over it.
type boardLine struct {
	*visitor
	line    *websocket.Conn
	numbers []int64
	cursor  string
}

// subscribe opens the line and follows the board after a cursor.
func (f *boardLine) subscribe(ctx context.Context, after string) (err error) {
	if f.line, err = f.socket(ctx); err != nil {
		return err
	}
	f.cursor = after
	return wsjson.Write(ctx, f.line, message{ID: "1", Type: "subscribe", Payload: operation(boardFollowed, vars{"after": after})})
}

// take keeps what one message says, and tells whether it was an event.
func (f *boardLine) take(ctx context.Context, data []byte) (bool, error) {
	var m struct {
		Type    string
		Payload struct {
			Data struct {
				CaseBoardChanged struct {
					Cursor  string
					Entries []struct{ Number int64 }
				}
			}
		}
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return false, err
	}
	switch m.Type {
	case "ping":
		return false, wsjson.Write(ctx, f.line, message{Type: "pong"})
	case "next":
	default:
		return false, fmt.Errorf("instead of an event: %s", data)
	}
	e := m.Payload.Data.CaseBoardChanged
	for _, entry := range e.Entries {
		f.numbers = append(f.numbers, entry.Number)
	}
	f.cursor = e.Cursor
	return true, nil
}

// readTo reads until an entry has come, or the line ends.
func (f *boardLine) readTo(ctx context.Context, last int64) error {
	for len(f.numbers) == 0 || f.numbers[len(f.numbers)-1] < last {
		_, data, err := f.line.Read(ctx)
		if err != nil {
			return err
		}
		if _, err := f.take(ctx, data); err != nil {
			return err
		}
	}
	return nil
}

var entryNumber = regexp.MustCompile(`"number":(\d+),"at"`)

// listen reads without looking closely, so that the readers do not take the
// server's processors, and calls arrived for each entry.
func (f *boardLine) listen(ctx context.Context, last int64, arrived func(number int64, at time.Time)) error {
	var b bytes.Buffer
	for {
		_, r, err := f.line.Reader(ctx)
		if err != nil {
			return err
		}
		b.Reset()
		if _, err := b.ReadFrom(r); err != nil {
			return err
		}
		at := time.Now()
		found := entryNumber.FindAllSubmatch(b.Bytes(), -1)
		if len(found) == 0 {
			if _, err := f.take(ctx, b.Bytes()); err != nil {
				return err
			}
		}
		for _, one := range found {
			n, err := strconv.ParseInt(string(one[1]), 10, 64)
			if err != nil {
				return err
			}
			f.numbers = append(f.numbers, n)
			arrived(n, at)
			if n == last {
				return nil
			}
		}
	}
}

// resident is the memory of a process that no file stands behind, in KiB.
func resident(b *testing.B, pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(b, err)
	found := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(b, found)
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	require.NoError(b, err)
	return n
}

// metric reads one of the server's own figures.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)`).FindSubmatch(p.must(http.MethodGet, "/metrics", nil).body)
	require.NotNil(p.t, found)
	n, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(p.t, err)
	return n
}

// openFiles is how many files and sockets the server holds.
func (p *process) openFiles() int { return int(p.metric("process_open_fds")) }

// BenchmarkCrowd is a thousand lines that follow one agency's board while it
// changes ten times a second. Half of them never read a byte and are dropped;
// each goes on after its cursor. Figures: KiB/line, what the server, a process of
// its own, takes for each line at the worst moment, and KiB/quiet-line before
// anything happened; p50-ms, p99-ms and max-ms from a mutation to each reader;
// cpu-ms/event, the server's work for one change to all. It fails over 64 KiB and 200 ms, and where a line
// that was dropped misses an entry or gets one twice.
func BenchmarkCrowd(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { boardCrowd(b) })
	b.Run("postgres", func(b *testing.B) { boardCrowd(b, "--database", dbtest.PostgresDSN(b)) })
}

func boardCrowd(b *testing.B, more ...string) {
	p := serve(b, b.TempDir(), more...)
	writer := p.signIn(policy.Dispatcher)
	k := p.reported(writer).caseID
	signs := make([]*visitor, crowdLines/crowdPerSign)
	for i := range signs {
		signs[i] = p.signIn(policy.Dispatcher)
	}
	// A new process: what checking passwords took is not what lines take.
	require.NoError(b, p.terminate())
	p.start()
	ctx, cancel := context.WithTimeout(b.Context(), 10*patience)
	defer cancel()
	change := func(i int) {
		ask[struct{}](writer, updateCase, vars{"in": vars{"caseID": k, "place": fmt.Sprintf("中央%d丁目 %s", i, strings.Repeat("角", 100))}})
	}
	board := func() string {
		return ask[struct{ Cases struct{ Cursor string } }](writer, `{cases{cursor nodes{id}}}`, nil).Cases.Cursor
	}
	var warm errgroup.Group
	for range crowdOpening { // the database's connections, and the statements
		warm.Go(func() error {
			for range 2 {
				_, err := p.send(http.MethodPost, "/graphql", operation(`{cases{nodes{id sessions{id}}}}`, nil), writer.headers()...)
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, warm.Wait())
	first := &boardLine{visitor: writer.through(p.overNetwork(0))}
	require.NoError(b, first.subscribe(ctx, board()))
	change(-1)
	_, data, err := first.line.Read(ctx)
	require.NoError(b, err)
	_, err = first.take(ctx, data)
	require.NoError(b, err)
	require.NoError(b, first.line.CloseNow())
	before, start := first.numbers[len(first.numbers)-1], first.cursor
	idle := resident(b, p.command.Process.Pid)

	quick, slow := p.overNetwork(0), p.overNetwork(silentBuffer)
	var readers, silent []*boardLine
	var opening errgroup.Group
	opening.SetLimit(crowdOpening)
	for i := range crowdLines {
		f := &boardLine{visitor: signs[i/crowdPerSign].through(quick)}
		if i%2 == 0 {
			readers = append(readers, f)
		} else {
			f.visitor = signs[i/crowdPerSign].through(slow)
			silent = append(silent, f)
		}
		opening.Go(func() error { return f.subscribe(ctx, start) })
	}
	require.NoError(b, opening.Wait())
	opened := resident(b, p.command.Process.Pid)
	files, worked := p.openFiles(), p.metric("process_cpu_seconds_total")

	last := before + crowdEvents
	sent := make([]atomic.Int64, crowdEvents+1) // when, in ns since 1970, the newest entry was asked for
	delays := make([][]time.Duration, len(readers))
	var reading errgroup.Group
	for i, f := range readers {
		reading.Go(func() error {
			return f.listen(ctx, last, func(number int64, at time.Time) {
				delays[i] = append(delays[i], at.Sub(time.Unix(0, sent[number-before].Load())))
			})
		})
	}
	most := opened
	watched := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			most = max(most, resident(b, p.command.Process.Pid))
			select {
			case <-watched:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	pace := time.NewTicker(crowdPace)
	defer pace.Stop()
	for i := range crowdEvents {
		<-pace.C
		sent[i+1].Store(time.Now().UnixNano())
		change(i)
	}
	require.NoError(b, reading.Wait())
	worked = p.metric("process_cpu_seconds_total") - worked
	eventually(b, func() string {
		if n := p.openFiles(); n > files-len(silent) {
			return fmt.Sprintf("%d files are open, not %d: who never reads is not dropped", n, files-len(silent))
		}
		return ""
	})
	close(watched)
	watching.Wait()

	all := slices.Concat(delays...)
	slices.Sort(all)
	at := func(part float64) float64 { return float64(all[int(part*float64(len(all)-1))].Microseconds()) / 1000 }
	each := float64(most-idle) / crowdLines
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(worked*1000/crowdEvents, "cpu-ms/event")
	b.ReportMetric(float64(opened-idle)/crowdLines, "KiB/quiet-line")
	b.ReportMetric(each, "KiB/line")
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	var resuming errgroup.Group
	resuming.SetLimit(crowdOpening)
	for _, f := range silent {
		resuming.Go(func() error {
			defer func() { _ = f.line.CloseNow() }()
			if err := f.readTo(ctx, last); err == nil || ctx.Err() != nil {
				return fmt.Errorf("who never read was not dropped: %w", ctx.Err())
			}
			if err := f.subscribe(ctx, f.cursor); err != nil {
				return err
			}
			return f.readTo(ctx, last)
		})
	}
	require.NoError(b, resuming.Wait())
	want := make([]int64, crowdEvents)
	for i := range want {
		want[i] = before + 1 + int64(i)
	}
	for _, f := range slices.Concat(readers, silent) {
		require.Equal(b, want, f.numbers, "each entry once, in order")
		_ = f.line.CloseNow()
	}

	if each > crowdMemory {
		b.Errorf("a line takes %.1f KiB, more than %d", each, crowdMemory)
	}
	if at(0.99) > crowdDelay {
		b.Errorf("99 of 100 deliveries take up to %.0f ms, more than %d", at(0.99), crowdDelay)
	}
}
