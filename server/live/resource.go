package live

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/webrtc/v4"
)

// Timing of transports.
const (
	quietAfter   = 4 * time.Second // no packet of any kind: in doubt
	failAfter    = 4 * time.Second // in doubt for so long: gone
	keepAlive    = time.Second
	nackEvery    = 30 * time.Millisecond
	nackTries    = 8
	feedbackRate = 100 * time.Millisecond
	mtu          = 1600

	restartsPerSec, restartBurst = 0.5, 10 // ICE restarts of one resource
)

// resource is one WHIP or WHEP resource: a peer's transport and how it was
// agreed. What flows over it is the business of the publisher or viewer.
type resource struct {
	server  *Server
	room    *room
	id      string
	session string
	peer    string
	verb    Verb
	pc      *webrtc.PeerConnection

	mu         sync.Mutex // one negotiation at a time
	offer      *offer
	formats    []format
	etag       string
	version    int
	candidates int
	restarts   bucket

	up      chan struct{} // closed when the transport works
	upOnce  sync.Once
	over    chan struct{} // closed when end begins
	reason  string        // why; set before over is closed
	ending  sync.Once
	release func(reason string) // stops what flows; called once
}

// secret is an unguessable name of 130 bits.
func secret() string { return rand.Text() }

// connect makes the media stack's side of a resource. formats are what the
// answer may name; nothing else of the offer reaches the stack.
func (x *resource) connect() error {
	var media webrtc.MediaEngine
	publishing := x.verb == Publish
	for _, f := range x.formats {
		mime := webrtc.MimeTypeH264
		if f.codec == vp8 {
			mime = webrtc.MimeTypeVP8
		}
		c := webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(f.payload), RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: clockRate, SDPFmtpLine: f.fmtp(),
		}}
		for _, fb := range f.kept(publishing) {
			kind, parameter := fb, ""
			for i := range fb {
				if fb[i] == ' ' {
					kind, parameter = fb[:i], fb[i+1:]
				}
			}
			c.RTCPFeedback = append(c.RTCPFeedback, webrtc.RTCPFeedback{Type: kind, Parameter: parameter})
		}
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			return fmt.Errorf("register codec: %w", err)
		}
	}
	chain, err := x.interceptors(&media)
	if err != nil {
		return err
	}
	var e webrtc.SettingEngine
	e.LoggerFactory = quiet()
	e.SetLite(true)
	e.SetICEUDPMux(x.server.sockets.udp)
	e.SetICETCPMux(x.server.sockets.tcp)
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	e.SetIncludeLoopbackCandidate(true)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetICETimeouts(quietAfter, failAfter, keepAlive)
	e.SetReceiveMTU(mtu)
	e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	e.SetDTLSInsecureSkipHelloVerify(true) // only addresses that ICE has validated get here; a cookie would cost a round trip
	if err := e.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return fmt.Errorf("set DTLS role: %w", err)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithSettingEngine(e), webrtc.WithInterceptorRegistry(chain))
	if x.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return fmt.Errorf("make peer: %w", err)
	}
	x.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			x.upOnce.Do(func() { close(x.up) })
		case webrtc.PeerConnectionStateFailed:
			x.endLater(ReasonLost)
		case webrtc.PeerConnectionStateClosed:
			x.endLater(ReasonDeleted)
		}
	})
	return nil
}

// interceptors are the feedback loops: towards a phone we ask for repairs and
// report what arrives; repairs for viewers come from the publisher's ring.
func (x *resource) interceptors(media *webrtc.MediaEngine) (*interceptor.Registry, error) {
	chain := &interceptor.Registry{}
	if x.verb == Watch {
		sr, err := report.NewSenderInterceptor()
		if err != nil {
			return nil, fmt.Errorf("make sender reports: %w", err)
		}
		chain.Add(sr)
		return chain, nil
	}
	if x.offer.transportCC > 0 {
		ext := webrtc.RTPHeaderExtensionCapability{URI: transportCC}
		if err := media.RegisterHeaderExtension(ext, webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverDirectionRecvonly); err != nil {
			return nil, fmt.Errorf("register extension: %w", err)
		}
	}
	ask, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(nackEvery), nack.GeneratorMaxNacksPerPacket(nackTries), nack.GeneratorSize(512))
	if err != nil {
		return nil, fmt.Errorf("make repair requests: %w", err)
	}
	rr, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, fmt.Errorf("make receiver reports: %w", err)
	}
	cc, err := twcc.NewSenderInterceptor(twcc.SendInterval(feedbackRate))
	if err != nil {
		return nil, fmt.Errorf("make congestion feedback: %w", err)
	}
	chain.Add(ask)
	chain.Add(rr)
	chain.Add(cc)
	return chain, nil
}

// negotiate answers the offer, the first one or one with new ICE credentials.
// It returns the stack's answer, complete with candidates.
func (x *resource) negotiate(ctx context.Context) (string, error) {
	x.version++
	o := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: x.offer.plain(x.formats, x.verb == Publish, x.version)}
	if err := x.pc.SetRemoteDescription(o); err != nil {
		return "", fmt.Errorf("take offer: %w", err)
	}
	a, err := x.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("make answer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(x.pc)
	if err := x.pc.SetLocalDescription(a); err != nil {
		return "", fmt.Errorf("take answer: %w", err)
	}
	select {
	case <-gathered:
	case <-x.over:
		return "", errors.New("peer ended")
	case <-ctx.Done():
		return "", fmt.Errorf("open transport: %w", ctx.Err())
	}
	x.etag = `"` + secret() + `"`
	return x.pc.LocalDescription().SDP, nil
}

// watchConnect ends a resource whose transport never comes up.
func (x *resource) watchConnect() {
	t := time.NewTimer(connectWait)
	defer t.Stop()
	select {
	case <-x.up:
	case <-x.over:
	case <-t.C:
		x.endLater(ReasonLost)
	}
}

// endLater is end for callers inside the stack, which end waits for.
func (x *resource) endLater(reason string) {
	select {
	case <-x.over:
		return
	default:
	}
	x.server.spawn(func() { x.end(reason) }, func() {})
}

// end stops what flows, hangs up and forgets the resource. Whoever calls it
// returns when nothing flows any more.
func (x *resource) end(reason string) {
	x.ending.Do(func() {
		x.reason = reason
		close(x.over)
		x.release(reason)
		x.server.forget(x)
		done := make(chan struct{})
		x.server.tasks.Go(func() {
			defer close(done)
			if err := x.pc.GracefulClose(); err != nil {
				x.server.log.Debug("close live peer", "error", err)
			}
		})
		t := time.NewTimer(closeWait)
		defer t.Stop()
		select {
		case <-done:
		case <-t.C:
		}
	})
}
