package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// clockRate is the RTP clock of video, and the time scale of our MP4 files.
const clockRate = 90000

// sample is one picture with its place in time, in clockRate ticks.
type sample struct {
	frame    *frame
	dts      int64
	offset   int64 // presentation less decoding time
	duration int64
}

// container writes one kind of file.
type container interface {
	// header is the fragment before the first, from the first keyframe.
	header(first *frame) []byte
	// fragment is the samples, self-contained after header.
	fragment(samples []sample) []byte
}

func newContainer(c codec) container {
	if c == vp8 {
		return &webmWriter{}
	}
	return &mp4Writer{}
}

// ticks turns a duration into clockRate ticks, exactly for any that span made.
func ticks(d time.Duration) int64 {
	return int64(d/time.Second)*clockRate + (int64(d%time.Second)*clockRate+int64(time.Second)/2)/int64(time.Second)
}

// span turns clockRate ticks into a duration.
func span(n int64) time.Duration {
	return time.Duration(n/clockRate)*time.Second + time.Duration(n%clockRate)*time.Second/clockRate
}

// box makes an ISO base media box of the parts.
func box(kind string, parts ...[]byte) []byte {
	size := 8
	for _, p := range parts {
		size += len(p)
	}
	b := make([]byte, 0, size)
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	b = append(b, kind...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// fullBox is a box with version and flags.
func fullBox(kind string, version byte, flags uint32, parts ...[]byte) []byte {
	return box(kind, append([][]byte{binary.BigEndian.AppendUint32(nil, uint32(version)<<24|flags)}, parts...)...)
}

func u16(v ...int) []byte {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, uint16(x))
	}
	return b
}

func u32(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// matrix is the identity transformation.
var matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)

// mp4Writer writes H.264 as fragmented MP4 with one track. Parameter sets stay
// in band (avc3), because they change with the size of the picture.
type mp4Writer struct{ sequence uint32 }

func (w *mp4Writer) header(first *frame) []byte {
	sps, pps := first.sps, first.pps
	avcC := box("avcC", []byte{1, sps[1], sps[2], sps[3], 0xff, 0xe1}, u16(len(sps)), sps, []byte{1}, u16(len(pps)), pps)
	entry := box("avc3", make([]byte, 6), u16(1), make([]byte, 16), u16(first.width, first.height),
		u32(0x480000, 0x480000, 0), u16(1), make([]byte, 32), u16(24, 0xffff), avcC)
	stbl := box("stbl",
		fullBox("stsd", 0, 0, u32(1), entry),
		fullBox("stts", 0, 0, u32(0)), fullBox("stsc", 0, 0, u32(0)),
		fullBox("stsz", 0, 0, u32(0, 0)), fullBox("stco", 0, 0, u32(0)))
	minf := box("minf", fullBox("vmhd", 0, 1, make([]byte, 8)),
		box("dinf", fullBox("dref", 0, 0, u32(1), fullBox("url ", 0, 1))), stbl)
	mdia := box("mdia",
		fullBox("mdhd", 0, 0, u32(0, 0, clockRate, 0), u16(0x55c4, 0)),
		fullBox("hdlr", 0, 0, u32(0), []byte("vide"), make([]byte, 12), []byte("video\x00")), minf)
	tkhd := fullBox("tkhd", 0, 3, u32(0, 0, 1, 0, 0, 0, 0, 0, 0), matrix, u32(uint32(first.width)<<16, uint32(first.height)<<16))
	mvhd := fullBox("mvhd", 0, 0, u32(0, 0, clockRate, 0, 0x10000), u16(0x100), make([]byte, 10), matrix, make([]byte, 24), u32(2))
	moov := box("moov", mvhd, box("trak", tkhd, mdia), box("mvex", fullBox("trex", 0, 0, u32(1, 1, 0, 0, 0))))
	return append(box("ftyp", []byte("iso6"), u32(1), []byte("iso6mp41")), moov...)
}

func (w *mp4Writer) fragment(samples []sample) []byte {
	w.sequence++
	const perSample, fixed = 16, 8 + 16 + 8 + 16 + 20 + 20 // moof mfhd traf tfhd tfdt trun
	size := 0
	run := make([]byte, 0, perSample*len(samples))
	for _, s := range samples {
		flags := uint32(0x01010000) // depends on others, no sync sample
		if s.frame.key {
			flags = 0x02000000
		}
		run = append(run, u32(uint32(s.duration), uint32(len(s.frame.data)), flags, uint32(int32(s.offset)))...)
		size += len(s.frame.data)
	}
	data := uint32(fixed + len(run) + 8) // from the start of moof to the first byte of media
	moof := box("moof",
		fullBox("mfhd", 0, 0, u32(w.sequence)),
		box("traf",
			fullBox("tfhd", 0, 0x020000, u32(1)),
			fullBox("tfdt", 1, 0, u64(uint64(samples[0].dts))),
			fullBox("trun", 1, 0xf01, u32(uint32(len(samples)), data), run)))
	out := make([]byte, 0, len(moof)+8+size)
	out = append(out, moof...)
	out = binary.BigEndian.AppendUint32(out, uint32(8+size))
	out = append(out, "mdat"...)
	for _, s := range samples {
		out = append(out, s.frame.data...)
	}
	return out
}

// FragmentInfo is what is known of an appended fragment without its bytes.
type FragmentInfo struct {
	Size     int64
	Key      bool
	Start    time.Duration
	Duration time.Duration
}

var errHead = errors.New("not the header fragment of a recording")

// Head makes the front of a finished recording from its header fragment and the
// list of the fragments after it, so that Head and those fragments together are
// a file a player can seek in, with its true duration. contentType is
// "video/mp4" or "video/webm". The error says that init is not a header
// fragment of that type.
func Head(contentType string, init []byte, fragments []FragmentInfo) ([]byte, error) {
	for _, f := range fragments {
		if f.Size <= 0 || f.Start < 0 || f.Duration < 0 {
			return nil, fmt.Errorf("index of recording: fragment of %d bytes at %v", f.Size, f.Start)
		}
	}
	switch contentType {
	case "video/mp4":
		return mp4Head(init, fragments)
	case "video/webm":
		return webmHead(init, fragments)
	}
	return nil, fmt.Errorf("recording of type %q: %w", contentType, errHead)
}

// mp4Head writes no index of the fragments: a sidx with entries of several
// fragments, which keyframes far apart make, leads FFmpeg's demuxer (Chromium's
// too) to pictures decoded against the wrong ones after a seek. Without it the
// players read the fragments' own headers.
func mp4Head(init []byte, fragments []FragmentInfo) ([]byte, error) {
	ftyp, rest, err := cutBox(init, "ftyp")
	if err != nil {
		return nil, err
	}
	moov, rest, err := cutBox(rest, "moov")
	if err != nil || len(rest) != 0 {
		return nil, errHead
	}
	var total int64
	if n := len(fragments); n > 0 {
		total = ticks(fragments[n-1].Start) + ticks(fragments[n-1].Duration)
	}
	var parts [][]byte
	for inner := moov[8:]; len(inner) > 0; {
		if len(inner) < 8 {
			return nil, errHead
		}
		var b []byte
		if b, inner, err = cutBox(inner, string(inner[4:8])); err != nil {
			return nil, err
		}
		if string(b[4:8]) == "mvex" {
			b = box("mvex", fullBox("mehd", 1, 0, u64(uint64(total))), b[8:])
		}
		parts = append(parts, b)
	}
	return append(append([]byte{}, ftyp...), box("moov", parts...)...), nil
}

// cutBox takes the first box, which must be of that kind.
func cutBox(b []byte, kind string) (first, rest []byte, err error) {
	if len(b) < 8 || string(b[4:8]) != kind {
		return nil, nil, errHead
	}
	n := binary.BigEndian.Uint32(b)
	if n < 8 || uint64(n) > uint64(len(b)) {
		return nil, nil, errHead
	}
	return b[:n], b[n:], nil
}
