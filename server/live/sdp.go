package live

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// Bounds of a description.
const (
	maxBody       = 64 << 10
	maxSections   = 4
	maxCandidates = 40
	maxFormats    = 64 // payload types of the video section
	keptFormats   = 12 // of those, how many a viewer's answer may name
)

const transportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

var (
	errNoVideo     = errors.New("no acceptable video section")
	errDescription = errors.New("unusable description")

	iceToken    = regexp.MustCompile(`^[A-Za-z0-9+/]{4,256}$`)
	icePassword = regexp.MustCompile(`^[A-Za-z0-9+/]{22,256}$`)
	midToken    = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_{|}~-]{1,32}$`)
	printLine   = regexp.MustCompile(`^sha-(256|384|512) [0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}$`)
	profileHex  = regexp.MustCompile(`^(42|4d|64)[0-9a-f]{4}$`)
	formatToken = regexp.MustCompile(`^[A-Za-z0-9-]{1,32}$`)
	mapping     = regexp.MustCompile(`^[0-9]{1,3} [A-Za-z0-9._+-]{1,32}/[0-9]{1,6}(/[0-9]{1,2})?$`)
	protocol    = regexp.MustCompile(`^[A-Z0-9/]{1,32}$`)
)

// codec is a video codec the room can forward and record.
type codec string

const (
	h264 codec = "h264"
	vp8  codec = "vp8"
)

func (c codec) track() Track {
	if c == vp8 {
		return Track{ContentType: "video/webm", Codec: string(vp8)}
	}
	return Track{ContentType: "video/mp4", Codec: string(h264)}
}

// format is one payload type of an offer that the room can use.
type format struct {
	payload  uint8
	codec    codec
	mode     int    // H.264 packetization mode
	profile  string // H.264 profile-level-id
	sprops   [][]byte
	feedback []string
}

func (f format) fmtp() string {
	if f.codec != h264 {
		return ""
	}
	return fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", f.mode, f.profile)
}

// rank orders formats: H.264 before VP8, fragmentation allowed before not,
// constrained baseline first because every phone encodes it.
func (f format) rank() int {
	if f.codec == vp8 {
		return 100
	}
	r := 0
	if f.mode == 0 {
		r += 10
	}
	switch f.profile[:4] {
	case "42e0":
	case "4200", "42c0":
		r++
	default:
		r += 2
		if f.profile[:2] == "64" {
			r++
		}
	}
	return r
}

// section is one m-line, kept to mirror it in the answer.
type section struct {
	kind, protocol, mid string
	formats, maps       []string
}

// offer is the part of a peer's description that the room uses. Addresses in
// it are counted and dropped: an ICE-lite server has no use for them.
type offer struct {
	ufrag, pwd, fingerprint, setup string
	sections                       []section
	video                          int // index in sections
	formats                        []format
	ssrc                           uint32
	transportCC                    int // header extension id, 0 when not offered
	candidates                     int
}

// parseOffer reads a WHIP or WHEP offer. publishing says which way the video
// must flow. Every error wraps errDescription or errNoVideo.
func parseOffer(body []byte, publishing bool) (o *offer, err error) {
	defer func() { // the parser below is not ours
		if v := recover(); v != nil {
			o, err = nil, fmt.Errorf("%w: %v", errDescription, v)
		}
	}()
	var d sdp.SessionDescription
	if err := d.Unmarshal(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errDescription, err)
	}
	if n := len(d.MediaDescriptions); n == 0 || n > maxSections {
		return nil, fmt.Errorf("%w: %d media sections", errDescription, n)
	}
	o = &offer{video: -1}
	for i, m := range d.MediaDescriptions {
		mid, _ := m.Attribute("mid")
		sec := section{kind: m.MediaName.Media, protocol: strings.Join(m.MediaName.Protos, "/"), mid: mid, formats: m.MediaName.Formats}
		if mid != "" && !midToken.MatchString(mid) || !protocol.MatchString(sec.protocol) || len(sec.formats) > maxFormats ||
			slices.ContainsFunc(sec.formats, func(f string) bool { return !formatToken.MatchString(f) }) {
			return nil, fmt.Errorf("%w: section %d", errDescription, i)
		}
		switch sec.kind {
		case "audio", "video", "application", "text":
		default:
			return nil, fmt.Errorf("%w: kind of section %d", errDescription, i)
		}
		for _, a := range m.Attributes {
			switch {
			case a.Key == "candidate":
				o.candidates++
			case a.Key == "rtpmap" && mapping.MatchString(a.Value) && len(sec.maps) < maxFormats:
				sec.maps = append(sec.maps, a.Value)
			}
		}
		o.sections = append(o.sections, sec)
		if o.video < 0 && wantsVideo(m, publishing) {
			if o.formats = videoFormats(m); len(o.formats) > 0 {
				o.video = i
				o.ssrc, o.transportCC = primarySSRC(m), extension(m, transportCC)
			}
		}
	}
	if o.candidates > maxCandidates {
		return nil, fmt.Errorf("%w: %d candidates", errDescription, o.candidates)
	}
	if o.video < 0 {
		return nil, errNoVideo
	}
	if o.sections[o.video].mid == "" {
		o.sections[o.video].mid = strconv.Itoa(o.video)
	}
	// A bundled section may leave its transport to the session or to the first
	// section of the bundle.
	find := func(key string) string {
		if v, ok := d.MediaDescriptions[o.video].Attribute(key); ok {
			return v
		}
		if v, ok := d.Attribute(key); ok {
			return v
		}
		for _, m := range d.MediaDescriptions {
			if v, ok := m.Attribute(key); ok {
				return v
			}
		}
		return ""
	}
	o.ufrag, o.pwd, o.fingerprint, o.setup = find("ice-ufrag"), find("ice-pwd"), find("fingerprint"), find("setup")
	if !iceToken.MatchString(o.ufrag) || !icePassword.MatchString(o.pwd) {
		return nil, fmt.Errorf("%w: ICE credentials", errDescription)
	}
	if !printLine.MatchString(o.fingerprint) {
		return nil, fmt.Errorf("%w: fingerprint", errDescription)
	}
	if o.setup != "actpass" && o.setup != "active" {
		return nil, fmt.Errorf("%w: setup", errDescription)
	}
	return o, nil
}

// wantsVideo tells whether the section can carry the room's video that way.
func wantsVideo(m *sdp.MediaDescription, publishing bool) bool {
	if m.MediaName.Media != "video" {
		return false
	}
	if _, bundled := m.Attribute("bundle-only"); m.MediaName.Port.Value == 0 && !bundled {
		return false
	}
	if _, mux := m.Attribute("rtcp-mux"); !mux {
		return false
	}
	if !strings.HasPrefix(strings.Join(m.MediaName.Protos, "/"), "UDP/TLS/RTP/SAVP") {
		return false
	}
	has := func(k string) bool { _, ok := m.Attribute(k); return ok }
	switch {
	case has("inactive"):
		return false
	case publishing:
		return !has("recvonly")
	}
	return !has("sendonly")
}

func videoFormats(m *sdp.MediaDescription) []format {
	names, params, feedback := map[string]string{}, map[string]string{}, map[string][]string{}
	for _, a := range m.Attributes {
		pt, v, ok := strings.Cut(a.Value, " ")
		if !ok {
			continue
		}
		switch a.Key {
		case "rtpmap":
			names[pt] = strings.ToLower(v)
		case "fmtp":
			params[pt] = v
		case "rtcp-fb":
			if pt == "*" {
				for _, f := range m.MediaName.Formats {
					feedback[f] = append(feedback[f], v)
				}
			} else {
				feedback[pt] = append(feedback[pt], v)
			}
		}
	}
	var out []format
	for _, pt := range m.MediaName.Formats {
		n, err := strconv.ParseUint(pt, 10, 7)
		if err != nil || (n >= 64 && n <= 95) || slices.ContainsFunc(out, func(f format) bool { return f.payload == uint8(n) }) {
			continue // 64-95 cannot be told from RTCP on one port
		}
		f := format{payload: uint8(n), feedback: feedback[pt]}
		switch names[pt] {
		case "vp8/90000":
			f.codec = vp8
		case "h264/90000":
			f.codec = h264
			if !f.readH264(params[pt]) {
				continue
			}
		default:
			continue
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b format) int { return a.rank() - b.rank() })
	if len(out) > keptFormats {
		// VP8 stands last and must not be crowded out by H.264 variants.
		last := out[len(out)-1]
		out = append(out[:keptFormats-1], last)
	}
	return out
}

// readH264 takes the parameters the room needs; false means it cannot use them.
func (f *format) readH264(fmtp string) bool {
	f.profile = "420010"
	for kv := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(kv), "=")
		switch strings.ToLower(k) {
		case "packetization-mode":
			if v != "0" && v != "1" {
				return false
			}
			f.mode = int(v[0] - '0')
		case "profile-level-id":
			f.profile = strings.ToLower(v)
		case "sprop-parameter-sets":
			for set := range strings.SplitSeq(v, ",") {
				if nal, err := base64.StdEncoding.DecodeString(set); err == nil && len(nal) > 1 && len(nal) <= maxParameterSet && len(f.sprops) < 8 {
					f.sprops = append(f.sprops, nal)
				}
			}
		}
	}
	return profileHex.MatchString(f.profile)
}

// primarySSRC is the first declared source: repair streams follow it.
func primarySSRC(m *sdp.MediaDescription) uint32 {
	v, ok := m.Attribute("ssrc")
	if !ok {
		return 0
	}
	id, _, _ := strings.Cut(v, " ")
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func extension(m *sdp.MediaDescription, uri string) int {
	for _, a := range m.Attributes {
		if a.Key != "extmap" {
			continue
		}
		id, rest, _ := strings.Cut(a.Value, " ")
		id, _, _ = strings.Cut(id, "/")
		if name, _, _ := strings.Cut(rest, " "); name == uri {
			if n, err := strconv.Atoi(id); err == nil && n >= 1 && n <= 14 {
				return n
			}
		}
	}
	return 0
}

// kept is the offered feedback the room gives or understands.
func (f format) kept(publishing bool) []string {
	var out []string
	for _, fb := range f.feedback {
		switch fb {
		case "nack", "nack pli", "ccm fir":
		case "goog-remb", "transport-cc":
			if !publishing {
				continue
			}
		default:
			continue
		}
		if !slices.Contains(out, fb) {
			out = append(out, fb)
		}
	}
	return out
}

// answer is the answer to a resource's offer: the video section agreed, every
// other one declined, the published addresses as candidates.
func (x *resource) answer(c credentials) string {
	var b strings.Builder
	line := func(f string, a ...any) { fmt.Fprintf(&b, f+"\r\n", a...) }
	o, publishing := x.offer, x.verb == Publish
	line("v=0")
	line("o=- %d %d IN IP4 0.0.0.0", x.born.UnixNano(), x.version)
	line("s=-")
	line("t=0 0")
	line("a=group:BUNDLE %s", o.sections[o.video].mid)
	line("a=ice-lite")
	for i, sec := range o.sections {
		if i != o.video {
			line("m=%s 0 %s %s", sec.kind, sec.protocol, strings.Join(sec.formats, " "))
			line("c=IN IP4 0.0.0.0")
			if sec.mid != "" {
				line("a=mid:%s", sec.mid)
			}
			line("a=inactive")
			for _, v := range sec.maps { // some clients insist on them in a declined section too
				line("a=rtpmap:%s", v)
			}
			continue
		}
		b.WriteString("m=video 9 UDP/TLS/RTP/SAVPF")
		for _, f := range x.formats {
			fmt.Fprintf(&b, " %d", f.payload)
		}
		b.WriteString("\r\n")
		line("c=IN IP4 0.0.0.0")
		if publishing {
			line("b=AS:%d", advisedKilobits)
		}
		line("a=mid:%s", sec.mid)
		line("a=ice-ufrag:%s", c.ufrag)
		line("a=ice-pwd:%s", c.pwd)
		line("a=fingerprint:%s", x.server.fingerprint)
		line("a=setup:passive")
		line("a=rtcp-mux")
		line("a=rtcp-rsize")
		if publishing {
			line("a=recvonly")
			if o.transportCC > 0 {
				line("a=extmap:%d %s", o.transportCC, transportCC)
			}
		} else {
			line("a=sendonly")
			line("a=msid:live video")
			line("a=ssrc:%d cname:live", x.viewer.ssrc)
		}
		for _, f := range x.formats {
			name := "H264"
			if f.codec == vp8 {
				name = "VP8"
			}
			line("a=rtpmap:%d %s/90000", f.payload, name)
			if p := f.fmtp(); p != "" {
				line("a=fmtp:%d %s", f.payload, p)
			}
			for _, fb := range f.kept(publishing) {
				line("a=rtcp-fb:%d %s", f.payload, fb)
			}
		}
		for _, v := range candidates(x.server.port.hosts) {
			line("a=candidate:%s", v)
		}
		line("a=end-of-candidates")
	}
	return b.String()
}

// candidates are the values of our host candidate lines, UDP before TCP.
func candidates(hosts []netip.AddrPort) []string {
	var out []string
	for i, h := range hosts {
		out = append(out, fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, 2130706431-i, h.Addr(), h.Port()))
	}
	for i, h := range hosts {
		out = append(out, fmt.Sprintf("%d 1 tcp %d %s %d typ host tcptype passive", len(hosts)+i+1, 1671430143-i, h.Addr(), h.Port()))
	}
	return out
}

// fragment is an application/trickle-ice-sdpfrag body (RFC 8840).
type fragment struct {
	ufrag, pwd string
	candidates int
}

// parseFragment reads a PATCH body. Every error wraps errDescription.
func parseFragment(body []byte) (fragment, error) {
	var f fragment
	for line := range strings.SplitSeq(string(body), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return f, fmt.Errorf("%w: not an SDP line", errDescription)
		}
		key, value, _ := strings.Cut(line[2:], ":")
		if line[0] != 'a' {
			continue
		}
		switch key {
		case "ice-ufrag":
			f.ufrag = value
		case "ice-pwd":
			f.pwd = value
		case "candidate":
			if f.candidates++; f.candidates > maxCandidates {
				return f, fmt.Errorf("%w: too many candidates", errDescription)
			}
			if !wellFormedCandidate(value) {
				return f, fmt.Errorf("%w: candidate", errDescription)
			}
		}
	}
	if f.ufrag != "" && !iceToken.MatchString(f.ufrag) || f.pwd != "" && !icePassword.MatchString(f.pwd) || (f.ufrag == "") != (f.pwd == "") {
		return f, fmt.Errorf("%w: ICE credentials", errDescription)
	}
	if f.ufrag == "" && f.candidates == 0 && !strings.Contains(string(body), "a=end-of-candidates") {
		return f, fmt.Errorf("%w: nothing in it", errDescription)
	}
	return f, nil
}

func wellFormedCandidate(v string) bool {
	p := strings.Fields(v)
	if len(p) < 8 || len(p) > 64 || p[6] != "typ" {
		return false
	}
	_, err := strconv.ParseUint(p[5], 10, 16)
	return err == nil
}

// restartAnswer is the body of the answer to an ICE restart: our new
// credentials and the same addresses.
func (x *resource) restartAnswer(c credentials) string {
	o := x.offer
	var b strings.Builder
	fmt.Fprintf(&b, "a=ice-lite\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=group:BUNDLE %s\r\n", c.ufrag, c.pwd, o.sections[o.video].mid)
	fmt.Fprintf(&b, "m=video 9 UDP/TLS/RTP/SAVPF %d\r\na=mid:%s\r\n", o.formats[0].payload, o.sections[o.video].mid)
	for _, v := range candidates(x.server.port.hosts) {
		fmt.Fprintf(&b, "a=candidate:%s\r\n", v)
	}
	b.WriteString("a=end-of-candidates\r\n")
	return b.String()
}
