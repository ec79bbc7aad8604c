package drill

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer     = 1 << 20
	maxFailures   = 5 // one after another
	requestWithin = 30 * time.Second
	weakChunk     = 16 << 10
	cookieName    = "__Host-caller"
)

// The modes that a dispatcher asks for.
const (
	live   = "LIVE"
	photos = "PHOTO"
	stored = "STORED"
)

// phone is the phone of one played caller.
type phone struct {
	o      Options
	call   Call
	secret string
	gate   *gate
	cookie string
	fixes  int
	sent   map[string]bool // modes that were answered with a photo
}

// own is what the phone's page knows of its video report.
type own struct {
	Asked string
	Over  bool
	Phone struct{ State string }
}

const ownFields = "asked over phone { state }"

// play is a whole call, from the message to its end.
func (x *phone) play(ctx context.Context) error {
	x.sent = map[string]bool{}
	if x.call.LateSMS {
		if err := x.wait(ctx, lateMessage); err != nil {
			return err
		}
	}
	if err := x.wait(ctx, takesToTap); err != nil {
		return err
	}
	if over, err := x.join(ctx); err != nil || over {
		return err
	}
	for failed := 0; ; {
		now, err := x.look(ctx)
		if err == nil && now.Over {
			return nil
		}
		if err == nil {
			err = x.answer(ctx, now)
		}
		if failed++; err == nil {
			failed = 0
		} else if failed >= maxFailures { // a line that breaks is tried again, as people do
			return err
		}
		if err := x.wait(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// join opens the link, and agrees.
func (x *phone) join(ctx context.Context) (over bool, err error) {
	var opened struct {
		OpenLink struct {
			Terms struct {
				CodeRequired bool
				Terms        []struct{ Version, Language string }
			}
		}
	}
	err = x.ask(ctx, "mutation($in: OpenLinkInput!) { openLink(input: $in) { terms { codeRequired terms { version language } } } }", map[string]any{"secret": x.secret}, &opened)
	if err != nil {
		return false, err
	}
	terms := opened.OpenLink.Terms
	if len(terms.Terms) == 0 {
		return false, errors.New("drill: the link shows no terms")
	}
	if err := x.wait(ctx, takesToAgree); err != nil {
		return false, err
	}
	input := map[string]any{
		"secret": x.secret, "agreed": true, "version": terms.Terms[0].Version, "language": terms.Terms[0].Language, "system": "Android 16", "browser": "Chrome 156",
	}
	if terms.CodeRequired {
		code, err := x.call.Code(ctx)
		if err != nil {
			return false, err
		}
		var entered struct{ EnterCode struct{ Pass string } }
		err = x.ask(ctx, "mutation($in: EnterCodeInput!) { enterCode(input: $in) { pass } }", map[string]any{"secret": x.secret, "code": code}, &entered)
		if err != nil {
			return false, err
		}
		input["pass"] = entered.EnterCode.Pass
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return false, err
	}
	input["publicKey"] = base64.StdEncoding.EncodeToString(der)
	var joined struct{ Join struct{ Session *own } }
	if err := x.ask(ctx, "mutation($in: JoinInput!) { join(input: $in) { session { "+ownFields+" } } }", input, &joined); err != nil {
		return false, err
	}
	if err := x.fix(ctx); err != nil {
		return false, err
	}
	return joined.Join.Session == nil || joined.Join.Session.Over, x.wait(ctx, takesToAim)
}

func (x *phone) look(ctx context.Context) (*own, error) {
	var me struct{ Me *struct{ Session *own } }
	if err := x.ask(ctx, "{ me { session { "+ownFields+" } } }", nil, &me); err != nil {
		return nil, err
	}
	if me.Me == nil || me.Me.Session == nil {
		return &own{Over: true}, nil
	}
	return me.Me.Session, nil
}

// answer does what the dispatcher asked for.
func (x *phone) answer(ctx context.Context, now *own) error {
	switch now.Asked {
	case live:
		if !x.call.CameraDenied {
			return x.show(ctx)
		}
		if !x.sent[live] {
			x.sent[live] = true
			return x.ask(ctx, "mutation($in: ReportTroubleInput!) { reportTrouble(input: $in) { done } }", map[string]any{"secret": x.secret, "reason": "CAMERA_DENIED"}, nil)
		}
	case photos, stored:
		if !x.sent[now.Asked] {
			x.sent[now.Asked] = true
			return x.send(ctx, now.Asked)
		}
	}
	return x.fix(ctx)
}

// fix reports where the caller stands, not more often than a phone does.
func (x *phone) fix(ctx context.Context) error {
	if x.fixes > 0 {
		if err := x.wait(ctx, positionEvery-lookEvery); err != nil {
			return err
		}
	}
	return x.fixNow(ctx)
}

func (x *phone) fixNow(ctx context.Context) error {
	at := places[x.call.Script]
	n := float64(x.fixes)
	x.fixes++
	err := x.ask(ctx, "mutation($in: ReportPositionInput!) { reportPosition(input: $in) { receivedAt } }", map[string]any{
		"latitude": at.latitude + n*at.north, "longitude": at.longitude + n*at.east, "accuracy": 8, "capturedAt": x.o.Now().UTC().Format(time.RFC3339Nano),
	}, nil)
	if reason := (refusal{}); errors.As(err, &reason) && reason.reason != "UNAUTHENTICATED" {
		return nil // too soon, or over: the next look tells
	}
	return err
}

// send sends the script's photo by tus.
func (x *phone) send(ctx context.Context, mode string) error {
	data, err := photo(x.call.Script)
	if err != nil {
		return fmt.Errorf("drill: read photo: %w", err)
	}
	capture := "NOW"
	if mode == stored {
		capture = "BEFORE"
	}
	var begun struct {
		BeginUpload struct {
			URL, Token string
			Chunk      int
		}
	}
	err = x.ask(ctx, "mutation($in: BeginUploadInput!) { beginUpload(input: $in) { url token chunk } }",
		map[string]any{"kind": "PHOTO", "capture": capture, "size": len(data), "name": "kunren.jpg"}, &begun)
	if err != nil {
		return err
	}
	b := begun.BeginUpload
	header := map[string]string{"Authorization": "Bearer " + b.Token, "Tus-Resumable": "1.0.0", "Upload-Length": strconv.Itoa(len(data))}
	made, err := x.do(ctx, http.MethodPost, b.URL, nil, header)
	if err != nil {
		return err
	}
	delete(header, "Upload-Length")
	header["Content-Type"] = "application/offset+octet-stream"
	chunk := b.Chunk
	if x.call.WeakNetwork {
		chunk = min(chunk, weakChunk)
	}
	for at := 0; at < len(data); at += chunk {
		header["Upload-Offset"] = strconv.Itoa(at)
		if _, err := x.do(ctx, http.MethodPatch, made.Header.Get("Location"), data[at:min(at+chunk, len(data))], header); err != nil {
			return err
		}
		if x.call.WeakNetwork {
			if err := x.wait(ctx, 2*lookEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// refusal is what the server answered with its reason.
type refusal struct{ reason string }

func (r refusal) Error() string { return "drill: the server refuses: " + r.reason }

// ask runs one operation as the caller's page does.
func (x *phone) ask(ctx context.Context, query string, input map[string]any, into any) error {
	shape := map[string]any{"query": query}
	if input != nil {
		shape["variables"] = map[string]any{"in": input}
	}
	body, err := json.Marshal(shape)
	if err != nil {
		return err
	}
	answer, err := x.do(ctx, http.MethodPost, "/graphql", body, map[string]string{"Content-Type": "application/json"})
	if err != nil {
		return err
	}
	var out struct {
		Data   json.RawMessage
		Errors []struct{ Extensions struct{ Reason string } }
	}
	if err := json.Unmarshal(answer.body, &out); err != nil {
		return fmt.Errorf("drill: read answer: %w", err)
	}
	if len(out.Errors) > 0 {
		return refusal{out.Errors[0].Extensions.Reason}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(out.Data, into)
}

type reply struct {
	http.Header
	body []byte
}

// do sends one request and takes the caller's cookie, where there is one.
func (x *phone) do(ctx context.Context, method, path string, body []byte, header map[string]string) (*reply, error) {
	if err := x.gate.pass(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	base := x.o.Base()
	if _, after, ok := strings.Cut(path, "://"); ok {
		_, path, _ = strings.Cut(after, "/")
		path = "/" + path
	}
	_, host, _ := strings.Cut(base, "://")
	r, err := http.NewRequestWithContext(ctx, method, "http://"+host+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Origin", base)
	r.Header.Set("Genba-Actor", "caller")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	if x.cookie != "" {
		r.Header.Set("Cookie", cookieName+"="+x.cookie)
	}
	answer, err := x.o.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	for _, c := range answer.Cookies() {
		if c.Name == cookieName {
			x.cookie = c.Value
		}
	}
	if answer.StatusCode >= http.StatusBadRequest && path != "/graphql" {
		var p struct{ Reason string }
		_ = json.Unmarshal(text, &p) // an answer without one has no reason
		return nil, refusal{p.Reason}
	}
	return &reply{answer.Header, text}, nil
}
