package live

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"
)

// Element ids of WebM.
const (
	idEBML, idSegment, idSeekHead, idInfo, idTracks, idCues, idCluster = 0x1a45dfa3, 0x18538067, 0x114d9b74, 0x1549a966, 0x1654ae6b, 0x1c53bb6b, 0x1f43b675
	idSimpleBlock, idTimestamp, idDuration                             = 0xa3, 0xe7, 0x4489
	unknownSize                                                        = 0x01ffffffffffffff
)

// webmWriter writes VP8 as WebM: a cluster a fragment, times in milliseconds.
type webmWriter struct{}

// element makes an EBML element with an eight-byte size, so that the length of
// what we write never depends on the numbers in it.
func element(id uint32, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	b := appendID(make([]byte, 0, size+12), id)
	b = binary.BigEndian.AppendUint64(b, 1<<56|uint64(size))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func appendID(b []byte, id uint32) []byte {
	switch {
	case id > 0xffffff:
		b = append(b, byte(id>>24))
		fallthrough
	case id > 0xffff:
		b = append(b, byte(id>>16))
		fallthrough
	case id > 0xff:
		b = append(b, byte(id>>8))
	}
	return append(b, byte(id))
}

func number(id uint32, v uint64) []byte { return element(id, binary.BigEndian.AppendUint64(nil, v)) }

func words(id uint32, s string) []byte { return element(id, []byte(s)) }

func webmStart() []byte {
	return element(idEBML, number(0x4286, 1), number(0x42f7, 1), number(0x42f2, 4), number(0x42f3, 8),
		words(0x4282, "webm"), number(0x4287, 2), number(0x4285, 2))
}

func webmInfo(total time.Duration) []byte {
	parts := [][]byte{number(0x2ad7b1, uint64(time.Millisecond)), words(0x4d80, "genba"), words(0x5741, "genba")}
	if total > 0 {
		ms := float64(total) / float64(time.Millisecond)
		parts = append(parts, element(idDuration, binary.BigEndian.AppendUint64(nil, math.Float64bits(ms))))
	}
	return element(idInfo, parts...)
}

func (w *webmWriter) header(first *frame) []byte {
	video := element(0xe0, number(0xb0, uint64(first.width)), number(0xba, uint64(first.height)))
	tracks := element(idTracks, element(0xae, number(0xd7, 1), number(0x73c5, 1), number(0x9c, 0), number(0x83, 1), words(0x86, "V_VP8"), video))
	out := appendID(webmStart(), idSegment)
	out = binary.BigEndian.AppendUint64(out, unknownSize)
	out = append(out, webmInfo(0)...)
	return append(out, tracks...)
}

// millis is a time in the file's unit.
func millis(t int64) int64 { return (t + clockRate/2000) / (clockRate / 1000) }

func (w *webmWriter) fragment(samples []sample) []byte {
	start := millis(samples[0].dts)
	parts := [][]byte{number(idTimestamp, uint64(start))}
	for _, s := range samples {
		at := min(millis(s.dts)-start, math.MaxInt16)
		flags := byte(0)
		if s.frame.key {
			flags = 0x80
		}
		parts = append(parts, element(idSimpleBlock, []byte{0x81, byte(at >> 8), byte(at), flags}, s.frame.data))
	}
	return element(idCluster, parts...)
}

// cutElement takes the first element, which must have that id and a known size
// within b, or the unknown size: then what follows is its body.
func cutElement(b []byte, id uint32) (whole, rest []byte, err error) {
	head := appendID(nil, id)
	n := len(head) + 8
	if len(b) < n || !bytes.HasPrefix(b, head) || b[len(head)] != 1 {
		return nil, nil, errHead
	}
	size := binary.BigEndian.Uint64(b[len(head):])
	if size == unknownSize {
		return b[:n], b[n:], nil
	}
	if size &= 1<<56 - 1; size > uint64(len(b)-n) {
		return nil, nil, errHead
	}
	return b[:n+int(size)], b[n+int(size):], nil
}

func webmHead(init []byte, fragments []FragmentInfo) ([]byte, error) {
	start, rest, err := cutElement(init, idEBML)
	if err != nil {
		return nil, err
	}
	if _, rest, err = cutElement(rest, idSegment); err != nil {
		return nil, err
	}
	if _, rest, err = cutElement(rest, idInfo); err != nil {
		return nil, err
	}
	tracks, rest, err := cutElement(rest, idTracks)
	if err != nil || len(rest) != 0 {
		return nil, errHead
	}
	var total time.Duration
	var media int64
	if n := len(fragments); n > 0 {
		total = fragments[n-1].Start + fragments[n-1].Duration
	}
	for _, f := range fragments {
		media += f.Size
	}
	info := webmInfo(total)
	// The index comes before what it points at; all sizes are fixed, so its own
	// length is known before the positions are.
	front := func(positions, cues []byte) []byte {
		return bytes.Join([][]byte{positions, info, tracks, cues}, nil)
	}
	seek := func(info, tracks, cues int) []byte {
		entry := func(id uint32, at int) []byte {
			return element(0x4dbb, element(0x53ab, appendID(nil, id)), number(0x53ac, uint64(at)))
		}
		return element(idSeekHead, entry(idInfo, info), entry(idTracks, tracks), entry(idCues, cues))
	}
	cues := func(first int64) []byte {
		var parts [][]byte
		at := first
		for _, f := range fragments {
			if f.Key {
				parts = append(parts, element(0xbb, number(0xb3, uint64(millis(ticks(f.Start)))),
					element(0xb7, number(0xf7, 1), number(0xf1, uint64(at)))))
			}
			at += f.Size
		}
		return element(idCues, parts...)
	}
	at := len(seek(0, 0, 0))
	length := len(front(seek(0, 0, 0), cues(0)))
	body := front(seek(at, at+len(info), at+len(info)+len(tracks)), cues(int64(length)))
	out := appendID(append([]byte{}, start...), idSegment)
	out = binary.BigEndian.AppendUint64(out, 1<<56|uint64(int64(len(body))+media))
	return append(out, body...), nil
}
