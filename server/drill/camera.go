package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	connectWithin = 20 * time.Second
	// A weak network loses pictures, and now and then shows none for a while.
	weakLoss  = 0.3
	weakEvery = 12 * time.Second
	weakGap   = 5 * time.Second
)

// show publishes the script's clip by WHIP until something else is asked for, the
// report is over, or the call has to wait; whoever calls asks again then.
func (x *phone) show(ctx context.Context) error {
	var granted struct{ Publish struct{ URL, Token string } }
	if err := x.ask(ctx, "mutation { publish { url token } }", nil, &granted); err != nil {
		return err
	}
	clip, err := filmOf(x.call.Script)
	if err != nil {
		return err
	}
	pc, track, wantKey, err := x.camera()
	if err != nil {
		return err
	}
	defer func() { _ = pc.GracefulClose() }()
	location, err := x.connect(ctx, pc, granted.Publish.URL, granted.Publish.Token)
	if err != nil {
		return err
	}
	err = x.roll(ctx, clip, track, wantKey)
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestWithin)
	defer cancel()
	_ = x.hangUp(leave, location, granted.Publish.Token) // the server notices silence, too
	return err
}

func (x *phone) camera() (*webrtc.PeerConnection, *webrtc.TrackLocalStaticSample, *atomic.Bool, error) {
	var engine webrtc.MediaEngine
	codec := webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}},
	}}
	if err := engine.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, nil, nil, fmt.Errorf("drill: camera: %w", err)
	}
	chain := &interceptor.Registry{}
	if err := webrtc.ConfigureNack(&engine, chain); err != nil {
		return nil, nil, nil, fmt.Errorf("drill: camera: %w", err)
	}
	var settings webrtc.SettingEngine
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	settings.SetIncludeLoopbackCandidate(true)
	home := x.o.Media.Addr()
	settings.SetIPFilter(func(ip net.IP) bool { return !home.IsLoopback() || ip.IsLoopback() })
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(&engine), webrtc.WithInterceptorRegistry(chain), webrtc.WithSettingEngine(settings)).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("drill: camera: %w", err)
	}
	track, err := webrtc.NewTrackLocalStaticSample(codec.RTPCodecCapability, "video", "phone")
	if err == nil {
		var t *webrtc.RTPTransceiver
		t, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err == nil {
			wantKey := &atomic.Bool{}
			go func() { // ends with the connection
				for {
					packets, _, err := t.Sender().ReadRTCP()
					if err != nil {
						return
					}
					for _, p := range packets {
						if _, lost := p.(*rtcp.PictureLossIndication); lost {
							wantKey.Store(true)
						}
					}
				}
			}()
			return pc, track, wantKey, nil
		}
	}
	return nil, nil, nil, errors.Join(fmt.Errorf("drill: camera: %w", err), pc.GracefulClose())
}

// connect offers, takes the answer, and waits until the line is up.
func (x *phone) connect(ctx context.Context, pc *webrtc.PeerConnection, url, token string) (location string, err error) {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("drill: offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return "", fmt.Errorf("drill: offer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	up := make(chan struct{}, 1)
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			select {
			case up <- struct{}{}:
			default:
			}
		}
	})
	answer, err := x.do(ctx, http.MethodPost, url, []byte(pc.LocalDescription().SDP), map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/sdp"})
	if err != nil {
		return "", err
	}
	err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: x.near(string(answer.body))})
	if err != nil {
		return "", fmt.Errorf("drill: answer: %w", err)
	}
	t := time.NewTimer(connectWithin)
	defer t.Stop()
	select {
	case <-up:
		return answer.Get("Location"), nil
	case <-t.C:
		return "", errors.New("drill: live video does not connect")
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// near puts the media port as this machine reaches it in place of the published
// addresses, which may be a router's.
func (x *phone) near(sdp string) string {
	var lines []string
	placed := false
	for _, line := range strings.Split(sdp, "\r\n") {
		if strings.HasPrefix(line, "a=candidate:") {
			if placed {
				continue
			}
			placed = true
			line = fmt.Sprintf("a=candidate:1 1 udp 2130706431 %s %d typ host", x.o.Media.Addr(), x.o.Media.Port())
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\r\n")
}

// roll plays the clip again and again, and looks meanwhile whether it is still
// wanted.
func (x *phone) roll(ctx context.Context, clip *film, track *webrtc.TrackLocalStaticSample, wantKey *atomic.Bool) error {
	each := time.Second / time.Duration(max(clip.rate, 1))
	beat := time.NewTicker(each)
	defer beat.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	begun, looked := x.o.Now(), 0
	for i := 0; ; i++ {
		_, held := x.gate.states()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-held:
			return nil
		case <-look.C:
			now, err := x.look(ctx)
			if err != nil || now.Over || now.Asked != live {
				return err
			}
			if looked++; looked%int(positionEvery/lookEvery) == 0 {
				if err := x.fixNow(ctx); err != nil {
					return err
				}
			}
		case <-beat.C:
			if wantKey.Swap(false) {
				for !clip.keys[i%len(clip.keys)] {
					i++
				}
			}
			n := i % len(clip.frames)
			if x.call.WeakNetwork && (x.o.Now().Sub(begun)%weakEvery > weakEvery-weakGap || !clip.keys[n] && rand.Float64() < weakLoss) {
				continue
			}
			if err := track.WriteSample(media.Sample{Data: clip.frames[n], Duration: each}); err != nil {
				return fmt.Errorf("drill: send picture: %w", err)
			}
		}
	}
}

// hangUp takes the stream away. A held call may do that, too.
func (x *phone) hangUp(ctx context.Context, location, token string) error {
	y := *x
	y.gate = newGate()
	_, err := y.do(ctx, http.MethodDelete, location, nil, map[string]string{"Authorization": "Bearer " + token})
	return err
}
