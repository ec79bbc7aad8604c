package live_test

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/server/live"
)

// cpu is what this process has used, all threads, user and system.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkForward sends packets at a fixed rate under the ceiling to 1 and to
// 10 viewers, with a recording. Its figure is cpu-us/packet, the CPU of
// publisher, server and viewers together for each packet delivered; ns/op is
// only the pace.
func BenchmarkForward(b *testing.B) {
	for _, viewers := range []int{1, 10} {
		b.Run(fmt.Sprintf("1x%d", viewers), func(b *testing.B) {
			h := newHouse(b)
			c := makeClip(b, webrtc.MimeTypeH264, "320x240", 1, 300)
			x := mustPhone(b, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s"})
			x.connected(b)
			var screens []*screen
			for i := range viewers {
				screens = append(screens, mustScreen(b, h, "s", fmt.Sprint("v", i)))
			}
			p := rtp.Packet{Header: rtp.Header{Version: 2}}
			next := time.Now()
			send := func(i int) {
				p.SequenceNumber++
				p.Marker = i%8 == 7
				p.Payload = append([]byte{0x41, 0x9a}, make([]byte, 1000)...)
				if i%8 == 0 {
					p.Timestamp += 3000
				}
				require.NoError(b, x.track.WriteRTP(&p))
				if next = next.Add(2500 * time.Microsecond); i%8 == 7 { // 400 packets a second
					time.Sleep(time.Until(next))
				}
			}
			for _, part := range x.payload.Payload(1160, c.frames[0]) {
				p.SequenceNumber++
				p.Payload = part
				require.NoError(b, x.track.WriteRTP(&p))
			}
			for i := range 800 { // until all are there
				send(i)
			}
			for _, s := range screens {
				wait(b, "viewer sees nothing", func() bool { return s.packets.Load() > 0 })
			}
			var before int64
			for _, s := range screens {
				before += s.packets.Load()
			}
			used := cpu(b)
			next = time.Now()
			b.ResetTimer()
			for i := range b.N {
				send(i)
			}
			b.StopTimer()
			after := -before
			for _, s := range screens {
				after += s.packets.Load()
			}
			b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(max(1, after)), "cpu-us/packet")
		})
	}
}

// newPath is a path without a house.
func newPath(tb testing.TB, viewers int) *live.Path {
	tb.Helper()
	x, err := live.NewPath(viewers, live.Options{
		Listen: "127.0.0.1:0", Clock: wallClock{},
		Authorize:    func(context.Context, string, live.Verb, string) (live.Peer, error) { return live.Peer{ID: "p"}, nil },
		WriteProblem: func(http.ResponseWriter, *http.Request, error) {},
	})
	require.NoError(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(tb, x.Close(func(s *live.Server) error { return s.Shutdown(ctx) }))
	})
	return x
}

// BenchmarkPath is what one packet costs from its arrival to the kernel of each
// viewer, eight packets a read. It fails where forwarding allocates: the memory
// that keeps packets for repair comes in pieces of some fifty, which is all.
func BenchmarkPath(b *testing.B) {
	for _, viewers := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("1x%d", viewers), func(b *testing.B) {
			x := newPath(b, viewers)
			const read = 8
			require.NoError(b, x.Send(read))
			each := testing.AllocsPerRun(2000, func() { require.NoError(b, x.Send(read)) }) / float64(read*viewers)
			require.Less(b, each, 0.05, "allocations a forwarded packet")
			before := x.Forwarded()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				require.NoError(b, x.Send(read))
			}
			b.StopTimer()
			sent := x.Forwarded() - before
			require.Equal(b, b.N*read*viewers, sent)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/forwarded")
			b.ReportMetric(each, "allocs/forwarded")
		})
	}
}
