package live_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"
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
