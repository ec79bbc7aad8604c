package live

import (
	"slices"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// Bounds of the repairs that a phone is asked for.
const (
	nackEvery = 30 * time.Millisecond // about a round trip on a mobile line
	nackTries = 8
	nackMost  = 512 // packets missing at once
)

// inbound is what is known of the packets a publisher sends: what is missing,
// and what its reports ask to be told.
type inbound struct {
	repairs bool
	missing []hole // in order of number
	feed    *twcc.Recorder

	first, high int64 // numbers, high 0 before the first
	received    int64
	expectedWas int64 // at the last report
	receivedWas int64
	transit     int64 // of the newest packet, in ticks
	jitter      float64

	reported time.Time // arrival of the phone's last report
	stamp    uint32    // and its time as the phone wrote it
}

// hole is a packet that has not come.
type hole struct {
	ext   int64
	tries int
	asked time.Time
}

func newInbound(repairs, feed bool) inbound {
	in := inbound{repairs: repairs}
	if feed {
		in.feed = twcc.NewRecorder(1)
	}
	return in
}

// arrived notes a packet; high is the highest number before. It gives the
// numbers that are missing since then, to be asked for at once.
func (in *inbound) arrived(ext, high int64, ts uint32, now time.Time) []uint16 {
	in.received++
	if in.high == 0 {
		in.first = ext
	}
	in.high = max(in.high, ext)
	transit := ticks(now.Sub(started)) - int64(ts)
	if d := float64(int32(transit - in.transit)); in.received > 1 {
		in.jitter += (max(d, -d) - in.jitter) / 16
	}
	in.transit = transit
	if !in.repairs {
		return nil
	}
	if ext <= high {
		if len(in.missing) > 0 {
			if i, found := slices.BinarySearchFunc(in.missing, ext, func(h hole, ext int64) int { return int(h.ext - ext) }); found {
				in.missing = slices.Delete(in.missing, i, i+1)
			}
		}
		return nil
	}
	n := ext - high - 1
	if n == 0 || n > nackMost {
		return nil // in order, or a jump that no repair mends
	}
	var ask []uint16
	for m := high + 1; m < ext; m++ {
		in.missing = append(in.missing, hole{ext: m, tries: 1, asked: now})
		ask = append(ask, uint16(m))
	}
	if over := len(in.missing) - nackMost; over > 0 {
		in.missing = slices.Delete(in.missing, 0, over)
	}
	return ask
}

// overdue gives the numbers to ask for again, and gives up on those that were
// asked for often enough.
func (in *inbound) overdue(now time.Time) []uint16 {
	var ask []uint16
	kept := in.missing[:0]
	for _, h := range in.missing {
		if now.Sub(h.asked) >= nackEvery {
			if h.tries == nackTries {
				continue
			}
			h.tries, h.asked = h.tries+1, now
			ask = append(ask, uint16(h.ext))
		}
		kept = append(kept, h)
	}
	in.missing = kept
	return ask
}

// nack asks for packets again.
func nack(ssrc uint32, numbers []uint16) rtcp.Packet {
	return &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(numbers)}
}

// sender notes the phone's report, for the answer to it.
func (in *inbound) sender(r *rtcp.SenderReport, now time.Time) {
	in.reported, in.stamp = now, uint32(r.NTPTime>>16)
}

// report is the receiver report that the phone's own control of its rate uses
// (RFC 3550, 6.4).
func (in *inbound) report(ssrc uint32, now time.Time) rtcp.Packet {
	expected := in.high - in.first + 1
	if in.high == 0 {
		expected = 0
	}
	lost := max(0, expected-in.received)
	share := 0.0
	if span := expected - in.expectedWas; span > 0 {
		share = max(0, float64(span-(in.received-in.receivedWas))/float64(span))
	}
	in.expectedWas, in.receivedWas = expected, in.received
	block := rtcp.ReceptionReport{
		SSRC: ssrc, FractionLost: uint8(min(255, share*256)), TotalLost: uint32(min(lost, 1<<23-1)),
		LastSequenceNumber: uint32(in.high), Jitter: uint32(in.jitter),
	}
	if !in.reported.IsZero() {
		block.LastSenderReport = in.stamp
		block.Delay = uint32(now.Sub(in.reported).Seconds() * 65536)
	}
	return &rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{block}}
}
