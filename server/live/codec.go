package live

import (
	"bytes"
	"encoding/binary"
	"errors"

	mch264 "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// Bounds of one picture.
const (
	maxFrameBytes   = 4 << 20
	maxFramePackets = 4096
	maxUnits        = 512    // NAL units in a picture
	maxParameterSet = 1024   // bytes of an SPS or PPS
	maxSide         = 16384  // pixels
	fillMarker      = 12     // NAL type filler data
	audMarker       = 9      // NAL type access unit delimiter
	stapA, fuA      = 24, 28 // RFC 6184 packet types
	startBit        = 1 << 7 // of an FU header
	endBit          = 1 << 6 // of an FU header
	unitType        = 0x1f   // mask of a NAL type
	unitHeader      = 0xe0   // mask of F and NRI
)

var errFrame = errors.New("unusable picture")

// frame is one decodable picture in the form its container stores.
type frame struct {
	ts            uint32
	key           bool
	data          []byte
	width, height int
	packets       []*packet
	whole         bool   // a keyframe that needs nothing from before it
	sps, pps      []byte // H.264: in force for this picture
}

// depacketizer knows one codec's RTP payload.
type depacketizer interface {
	// begins tells whether the payload is surely the start of a picture.
	begins(payload []byte) bool
	// frame joins the packets of one picture, all of them and in order.
	frame(packets []*packet) (*frame, error)
}

func newDepacketizer(f format) depacketizer {
	if f.codec == vp8 {
		return &vp8Depacketizer{}
	}
	d := &h264Depacketizer{}
	for _, nal := range f.sprops {
		d.remember(nal)
	}
	return d
}

// isKey tells whether a payload shows that its picture is a keyframe.
func isKey(c codec, payload []byte) bool {
	if c == vp8 {
		body, start, err := vp8Body(payload)
		return err == nil && start && len(body) > 0 && body[0]&1 == 0
	}
	if len(payload) < 2 {
		return false
	}
	key := func(t byte) bool { return t == 5 || t == 7 }
	switch t := payload[0] & unitType; t {
	case stapA:
		found := false
		_ = eachAggregated(payload[1:], func(nal []byte) { found = found || key(nal[0]&unitType) })
		return found
	case fuA:
		return payload[1]&startBit != 0 && key(payload[1]&unitType)
	default:
		return key(t)
	}
}

// eachAggregated walks the units of a STAP-A.
func eachAggregated(p []byte, f func(nal []byte)) error {
	for n := 0; len(p) > 0; n++ {
		if len(p) < 3 || n >= maxUnits {
			return errFrame
		}
		size := int(binary.BigEndian.Uint16(p))
		if p = p[2:]; size == 0 || size > len(p) {
			return errFrame
		}
		f(p[:size])
		p = p[size:]
	}
	return nil
}

// h264Depacketizer follows RFC 6184, modes 0 and 1. It keeps the parameter sets
// in force, so that each keyframe carries its own: phones change the size of the
// picture in mid-stream.
type h264Depacketizer struct {
	sps, pps      []byte
	width, height int
	inBand        bool // sets were seen among the pictures
}

func (d *h264Depacketizer) begins(p []byte) bool {
	if len(p) < 2 {
		return false
	}
	switch t := p[0] & unitType; t {
	case 7, audMarker:
		return true
	case stapA:
		return len(p) > 3 && (p[3]&unitType == 7 || p[3]&unitType == audMarker)
	}
	return false
}

func (d *h264Depacketizer) remember(nal []byte) {
	if len(nal) > maxParameterSet {
		return
	}
	switch nal[0] & unitType {
	case 7:
		if w, h, ok := sizeOf(nal); ok {
			d.sps, d.width, d.height = bytes.Clone(nal), w, h
		}
	case 8:
		d.pps = bytes.Clone(nal)
	}
}

// sizeOf reads the picture size; false when the set cannot be right.
func sizeOf(nal []byte) (w, h int, ok bool) {
	defer func() { // the parser is not ours and the bytes are a stranger's
		if recover() != nil {
			w, h, ok = 0, 0, false
		}
	}()
	var s mch264.SPS
	if len(nal) < 4 || s.Unmarshal(nal) != nil {
		return 0, 0, false
	}
	w, h = s.Width(), s.Height()
	return w, h, w > 0 && h > 0 && w <= maxSide && h <= maxSide
}

func (d *h264Depacketizer) frame(packets []*packet) (*frame, error) {
	units, err := joinUnits(packets)
	if err != nil {
		return nil, err
	}
	f := &frame{packets: packets, ts: packets[0].ts}
	var body [][]byte
	var picture, hasSPS, hasPPS bool
	size := 0
	for _, nal := range units {
		switch t := nal[0] & unitType; t {
		case audMarker, fillMarker:
			continue
		case 7:
			if d.remember(nal); !bytes.Equal(d.sps, nal) {
				return nil, errFrame
			}
			hasSPS, d.inBand = true, true
		case 8:
			d.remember(nal)
			hasPPS = true
		case 1, 5:
			// The first slice of a picture begins at macroblock 0: its first bit is 1.
			if !picture && (len(nal) < 2 || nal[1]&0x80 == 0) {
				return nil, errFrame
			}
			picture = true
			f.key = f.key || t == 5
		case 2, 3, 4: // data partitions: no browser makes or plays them
			return nil, errFrame
		}
		body = append(body, nal)
		size += 4 + len(nal)
	}
	if !picture {
		return nil, nil // parameter sets on their own: kept for the next keyframe
	}
	if f.key {
		if d.sps == nil || d.pps == nil {
			return nil, errFrame
		}
		var front [][]byte
		if !hasSPS {
			front = append(front, d.sps)
		}
		if !hasPPS {
			front = append(front, d.pps)
		}
		body = append(front, body...)
		size += 8 + len(d.sps) + len(d.pps)
		f.sps, f.pps, f.width, f.height = d.sps, d.pps, d.width, d.height
		f.whole = hasSPS && hasPPS || !d.inBand
	}
	f.data = make([]byte, 0, size)
	for _, nal := range body {
		f.data = binary.BigEndian.AppendUint32(f.data, uint32(len(nal)))
		f.data = append(f.data, nal...)
	}
	return f, nil
}

// joinUnits gives the NAL units of a picture.
func joinUnits(packets []*packet) ([][]byte, error) {
	var units [][]byte
	var open []byte // fragmented unit under way
	for i, p := range packets {
		b := p.payload
		if len(b) == 0 {
			continue
		}
		if len(units) >= maxUnits {
			return nil, errFrame
		}
		t := b[0] & unitType
		if open != nil && t != fuA {
			return nil, errFrame
		}
		switch {
		case t >= 1 && t <= 23:
			units = append(units, b)
		case t == stapA:
			if err := eachAggregated(b[1:], func(nal []byte) { units = append(units, nal) }); err != nil {
				return nil, err
			}
		case t == fuA && len(b) > 2:
			if b[1]&startBit != 0 {
				if open != nil {
					return nil, errFrame
				}
				open = append(make([]byte, 0, fragmented(packets[i:])), b[0]&unitHeader|b[1]&unitType)
			} else if open == nil {
				return nil, errFrame
			}
			open = append(open, b[2:]...)
			if b[1]&endBit != 0 {
				units = append(units, open)
				open = nil
			}
		default:
			return nil, errFrame
		}
	}
	if open != nil {
		return nil, errFrame
	}
	return units, nil
}

// fragmented is how many bytes the fragmented unit may have that begins with the
// first packet: those up to its end and no more, because a stranger decides how
// many units a picture has.
func fragmented(packets []*packet) (size int) {
	for _, p := range packets {
		size += len(p.payload)
		if len(p.payload) > 1 && p.payload[1]&endBit != 0 {
			break
		}
	}
	return size
}

// vp8Depacketizer follows RFC 7741.
type vp8Depacketizer struct{}

func (d *vp8Depacketizer) begins(p []byte) bool {
	_, start, err := vp8Body(p)
	return err == nil && start
}

func (d *vp8Depacketizer) frame(packets []*packet) (*frame, error) {
	f := &frame{packets: packets, ts: packets[0].ts}
	for _, p := range packets {
		if len(p.payload) == 0 {
			continue
		}
		body, start, err := vp8Body(p.payload)
		if err != nil || start != (f.data == nil) {
			return nil, errFrame
		}
		f.data = append(f.data, body...)
	}
	if f.data == nil {
		return nil, nil
	}
	if len(f.data) < 3 {
		return nil, errFrame
	}
	if f.key = f.data[0]&1 == 0; f.key {
		if len(f.data) < 10 || f.data[3] != 0x9d || f.data[4] != 0x01 || f.data[5] != 0x2a {
			return nil, errFrame
		}
		f.width = int(binary.LittleEndian.Uint16(f.data[6:]) & 0x3fff)
		f.height = int(binary.LittleEndian.Uint16(f.data[8:]) & 0x3fff)
		if f.width == 0 || f.height == 0 {
			return nil, errFrame
		}
		f.whole = true
	}
	return f, nil
}

// vp8Body strips the payload descriptor; start tells that a picture begins.
func vp8Body(p []byte) (body []byte, start bool, err error) {
	if len(p) < 2 {
		return nil, false, errFrame
	}
	start = p[0]&0x10 != 0 && p[0]&0x07 == 0
	n := 1
	if p[0]&0x80 != 0 {
		x := p[1]
		n = 2
		if x&0x80 != 0 {
			if n >= len(p) {
				return nil, false, errFrame
			}
			if p[n]&0x80 != 0 {
				n++
			}
			n++
		}
		if x&0x40 != 0 {
			n++
		}
		if x&0x30 != 0 {
			n++
		}
	}
	if n >= len(p) {
		return nil, false, errFrame
	}
	return p[n:], start, nil
}

// framer cuts ordered packets into pictures and leaves out each one that is
// damaged or that refers to one that is.
type framer struct {
	codec   depacketizer
	open    []*packet
	size    int
	synced  bool // the boundary before the open packets is known
	lastTS  uint32
	have    bool // lastTS is set
	needKey bool
	lost    bool // pictures were left out since the last one given
}

// push takes the next packet in order; lost says that packets before it are
// missing. It gives the pictures that are complete now.
func (f *framer) push(p *packet, lost bool) []*frame {
	var out []*frame
	if lost {
		f.damage()
		f.synced, f.have = false, false
	}
	if f.have && p.ts != f.lastTS {
		// A picture without marker ends where the next begins.
		if len(f.open) > 0 && f.synced {
			out = f.close(out)
		}
		f.open, f.size, f.synced = nil, 0, true
	}
	f.lastTS, f.have = p.ts, true
	if !f.synced && len(p.payload) > 0 && f.codec.begins(p.payload) {
		f.synced, f.open, f.size = true, nil, 0
	}
	if f.synced && len(p.payload) > 0 {
		f.open = append(f.open, p)
		f.size += len(p.payload)
		if len(f.open) > maxFramePackets || f.size > maxFrameBytes {
			f.damage()
			f.synced = false
		}
	}
	if p.marker {
		if len(f.open) > 0 && f.synced {
			out = f.close(out)
		}
		f.open, f.size, f.synced = nil, 0, true
	}
	return out
}

func (f *framer) damage() {
	f.open, f.size, f.needKey, f.lost = nil, 0, true, true
}

func (f *framer) close(out []*frame) []*frame {
	fr, err := f.codec.frame(f.open)
	switch {
	case err != nil:
		f.damage()
	case fr == nil:
	case f.needKey && !fr.whole:
		f.lost = true
	default:
		f.needKey = false
		out = append(out, fr)
	}
	return out
}
