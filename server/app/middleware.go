package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"

	"genba/graph"
	"genba/policy"
	"genba/server/identity"
	"genba/server/problem"
)

// The cookies, one for each page; the page names the one that counts in the
// header Genba-Actor.
const (
	actorHeader   = "Genba-Actor"
	cookieOptions = "; Path=/; Secure; HttpOnly; SameSite=Strict"
	consolePage   = "console"
	// A terminal proves itself by DPoP (RFC 9449).
	proofHeader = "DPoP"
	nonceHeader = "DPoP-Nonce"
)

var cookieNames = map[string]string{"console": "__Host-console", "caller": "__Host-caller", "staff": "__Host-staff"}

const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; " +
	"manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

// outermost is around every request: headers that hold everywhere, the client's
// address for throttling, and an answer whatever breaks.
func (a *App) outermost(next http.Handler) http.Handler {
	var proxy netip.Prefix
	if a.Config.TrustedProxy != "" {
		proxy, _ = parseNetwork(a.Config.TrustedProxy) // checked when it was read
	}
	secure := strings.HasPrefix(a.URL(), "https://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(self), geolocation=(self), microphone=()")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		if secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // panics with this very value
					panic(v)
				}
				a.log.Error("panic in a request", "path", firstPart(r.URL.Path), "stack", string(debug.Stack()))
				writeProblem(w, r, problem.New(problem.Internal))
			}
		}()
		next.ServeHTTP(w, r.WithContext(identity.WithAddress(r.Context(), clientAddress(r, proxy))))
	})
}

// firstPart is the first part of a path: what follows may be a name.
func firstPart(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return "/" + first
}

// clientAddress is the peer's address, or what a trusted proxy says it is: the
// last entry, which that proxy itself added.
func clientAddress(r *http.Request, proxy netip.Prefix) string {
	host := hostOf(r.RemoteAddr)
	peer, err := netip.ParseAddr(host)
	if err != nil || !proxy.IsValid() || !proxy.Contains(peer.Unmap()) {
		return host
	}
	forwarded := r.Header.Values("X-Forwarded-For")
	if len(forwarded) == 0 {
		return host
	}
	list := strings.Split(forwarded[len(forwarded)-1], ",")
	last := strings.TrimSpace(list[len(list)-1])
	if a, err := netip.ParseAddr(last); err == nil {
		return a.String()
	}
	return host
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// foreign tells whether a browser says that another site's page asks.
func (a *App) foreign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != a.URL() {
		return true
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none"
}

// ours refuses another site's pages where bearers and grants rule, which no
// browser sends by itself.
func (a *App) ours(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.foreign(r) {
			writeProblem(w, r, problem.New(problem.OriginRefused))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// visitors finds out who asks. A cookie without our exact Origin is refused,
// and so is every upgrade.
func (a *App) visitors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade") != ""
		cookies := map[string]string{}
		for page, name := range cookieNames {
			if c, err := r.Cookie(name); err == nil {
				cookies[page] = c.Value
			}
		}
		if a.foreign(r) || (len(cookies) > 0 || upgrade) && r.Header.Get("Origin") != a.URL() {
			writeProblem(w, r, problem.New(problem.OriginRefused))
			return
		}
		method, address := r.Method, a.URL()+r.URL.Path // a line lives long, and must not keep its request
		v := graph.Visitor{
			Actor: policy.Actor{Kind: policy.Nobody}, Language: language(r), Done: a.done,
			Recognise: func(ctx context.Context, page string) (policy.Actor, error) {
				return a.recognise(ctx, page, cookies[page])
			},
			Prove: func(ctx context.Context, page, proof string) (context.Context, error) {
				return a.prove(ctx, page, proof, method, address)
			},
		}
		if !upgrade {
			var err error
			if r, err = a.visit(r, &v, w.Header()); err != nil {
				writeProblem(w, r, err)
				return
			}
			v.SetCookie = func(page, value string) {
				if value == "" {
					w.Header().Add("Set-Cookie", cookieNames[page]+"="+cookieOptions+"; Max-Age=0")
					w.Header().Set("Clear-Site-Data", `"cache"`) // the key of the terminal stays in its storage
					return
				}
				w.Header().Add("Set-Cookie", cookieNames[page]+"="+value+cookieOptions)
			}
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r.WithContext(graph.WithVisitor(r.Context(), v)))
	})
}

// visit finds out from a request's header and cookies who asks and from which
// terminal. What has to do with terminals is told as GraphQL's answer.
func (a *App) visit(r *http.Request, v *graph.Visitor, answer http.Header) (*http.Request, error) {
	page, proof := r.Header.Get(actorHeader), strings.Join(r.Header.Values(proofHeader), ",") // two are none
	if page == consolePage || proof != "" {
		answer.Set(nonceHeader, a.People.Nonce())
	}
	ctx, err := v.Prove(r.Context(), page, proof)
	r = r.WithContext(ctx)
	if err == nil {
		var actor policy.Actor
		if actor, err = v.Recognise(ctx, page); err == nil {
			v.Actor = actor
			return r, nil
		}
	}
	switch problem.Of(err).Reason() {
	case problem.Unauthenticated:
		return r, nil
	case problem.TerminalDiffers: // so that somebody can sign in here
		answer.Add("Set-Cookie", cookieNames[page]+"="+cookieOptions+"; Max-Age=0")
	case problem.TerminalNonce:
		answer.Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
	case problem.Internal:
		return r, err
	}
	v.Refused = err
	return r, nil
}

// prove finds the terminal that a request of the console comes from. In demo
// mode one without any proof counts as coming from the demonstration's terminal,
// so that programs go on signing in by password alone; so does one that names no
// page.
func (a *App) prove(ctx context.Context, page, proof, method, address string) (context.Context, error) {
	switch {
	case page != consolePage && page != "":
		return ctx, nil
	case proof != "":
		return a.People.Prove(ctx, proof, method, address)
	case a.demoTerminal != "":
		seated, err := a.People.Sit(ctx, a.demoTerminal)
		if err != nil && page == "" {
			return ctx, nil
		}
		return seated, err
	case page == consolePage:
		return ctx, problem.New(problem.TerminalUnknown)
	}
	return ctx, nil
}

// recognise asks the page's room who holds the cookie.
func (a *App) recognise(ctx context.Context, page, token string) (policy.Actor, error) {
	if token == "" {
		return policy.Actor{}, problem.New(problem.Unauthenticated)
	}
	switch page {
	case "console":
		return a.People.Recognise(ctx, token)
	case "caller":
		return a.Cases.Recognise(ctx, token)
	case "staff":
		return a.Cases.RecogniseStaff(ctx, token)
	}
	return policy.Actor{}, problem.New(problem.Unauthenticated)
}

// language is "ja" or "en": whichever the reader names first, Japanese where
// they name neither.
func language(r *http.Request) string {
	for _, part := range strings.Split(strings.ToLower(r.Header.Get("Accept-Language")), ",") {
		part = strings.TrimSpace(part)
		for _, known := range []string{"ja", "en"} {
			if strings.HasPrefix(part, known) {
				return known
			}
		}
	}
	return "ja"
}

// writeProblem answers a refusal over HTTP: RFC 9457, with the same code,
// reason and words as GraphQL's.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p, reference := problem.Of(err), rand.Text()[:12]
	if p.Code() == problem.InternalFailure {
		slog.ErrorContext(r.Context(), "internal error", "id", reference, "path", firstPart(r.URL.Path), "error", err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Status() == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.Code() == problem.Limited {
		h.Set("Retry-After", "60")
	}
	w.WriteHeader(p.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{ // the reader may have left
		"title": p.Text(language(r)), "status": p.Status(), "code": p.Code(), "reason": p.Reason(), "id": reference,
	})
}
