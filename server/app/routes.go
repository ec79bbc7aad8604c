package app

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"genba/server/evidence"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/problem"
)

// web holds the built pages, and a placeholder that stands before the first
// build.
//
//go:embed all:web
var web embed.FS

// routes is every address that Genba answers.
//
//	/v                     the caller's page; the link's secret stands behind #
//	/console, /console/…   the console
//	/staff/, /staff/…      the officers' app: page, worker, manifests, icons; /staff redirects
//	/outbox, /outbox.json  sent messages, in demo mode only
//	/graphql               GraphQL: POST, server-sent events, graphql-transport-ws
//	/files/                tus 1.0, with a bearer of beginUpload or takeSnapshot
//	/media/{id}            previews and video, with a grant of openMedia, Range
//	/exports/{writing}     an encrypted archive, once, with a grant of beginExport
//	/journal/{export}      the journal, once, with a grant of exportJournal
//	/whip/{session}        WHIP (RFC 9725), with a bearer of publish
//	/whep/{session}        WHEP, with a bearer of watch
//	/callbacks/sms         what became of an SMS, signed by the gateway (docs/messages.md)
//	/healthz, /readyz      the process lives; it can work
//	/metrics               Prometheus, for this machine only
//	/graphiql              GraphiQL, with --dev only
func (a *App) routes(api http.Handler) (http.Handler, error) {
	pages, err := loadPages()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v", a.page(pages, "caller.html"))
	mux.Handle("GET /console", a.page(pages, "console.html"))
	mux.Handle("GET /console/", a.page(pages, "console.html"))
	mux.Handle("GET /staff", http.RedirectHandler(staffPath, http.StatusPermanentRedirect))
	mux.Handle("GET /staff/{$}", withWorker(a.page(pages, "staff.html")))
	mux.Handle("GET /staff/{name}", http.HandlerFunc(pages.staffFile))
	mux.Handle("GET /assets/", http.HandlerFunc(pages.asset))
	mux.Handle("GET /{$}", http.RedirectHandler("/console", http.StatusSeeOther))
	mux.Handle("/graphql", a.visitors(api))
	mux.Handle(evidence.FilesPath, a.ours(a.Evidence.Files()))
	mux.Handle(evidence.MediaPath, a.ours(a.Evidence.Media()))
	mux.Handle(evidence.ExportPath, a.ours(a.Evidence.Archives()))
	mux.Handle(journal.ExportPath, a.ours(a.Journal.Exports(writeProblem)))
	mux.Handle("/whip/", a.ours(a.Live))
	mux.Handle("/whep/", a.ours(a.Live))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", a.metrics())
	if a.gateway != nil && a.gateway.TellsDeliveries() {
		mux.Handle("POST "+notify.CallbackPath, a.Notify.Callback(a.gateway, writeProblem))
	}
	if a.Config.Demo {
		mux.Handle("GET /outbox", a.page(pages, "console.html"))
		mux.HandleFunc("GET /outbox.json", a.outbox)
	}
	if a.Config.Dev {
		mux.Handle("GET /graphiql", relaxed(a.page(pages, "graphiql.html")))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeProblem(w, r, problem.New(problem.NotFound)) })
	return a.outermost(timely(mux)), nil
}

// staffPath is the officers' app, and how far its worker reaches.
const staffPath = "/staff/"

// withWorker lets a page register its service worker, by a named policy of
// Trusted Types that no other page may make.
func withWorker(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", csp+" genba-worker")
		page.ServeHTTP(w, r)
	})
}

// staffFile serves what stands beside the officers' page: names without a hash,
// asked for anew each time.
func (p pages) staffFile(w http.ResponseWriter, r *http.Request) {
	f := p["staff/"+r.PathValue("name")]
	if f == nil {
		writeProblem(w, r, problem.New(problem.NotFound))
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	f.serve(w, r)
}

// relaxed lets GraphiQL write styles of its own. Its scripts are ours, too.
func relaxed(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "+
			"font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		page.ServeHTTP(w, r)
	})
}

func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	if err := a.DB.Ping(r.Context()); err != nil {
		writeProblem(w, r, problem.Wrap(problem.Unavailable, err))
		return
	}
	if a.Evidence.ClockInDoubt() {
		_, _ = w.Write([]byte("ready; the clock is in doubt: nothing is purged until a manager confirms it\n"))
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

func (a *App) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for what := range a.Notify.CallbackCounts() {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "genba_sms_callbacks_total", Help: "What SMS gateways told of messages, by what was made of it.", ConstLabels: prometheus.Labels{"result": what},
		}, func() float64 { return float64(a.Notify.CallbackCounts()[what]) }))
	}
	h := promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !loopback(hostOf(req.RemoteAddr)) || req.Header.Get("X-Forwarded-For") != "" {
			writeProblem(w, req, problem.New(problem.NotFound))
			return
		}
		h.ServeHTTP(w, req)
	})
}

// outbox shows what demo mode would have sent, under our own name only: another
// site's page may point its own name at this machine.
func (a *App) outbox(w http.ResponseWriter, r *http.Request) {
	if _, public, _ := strings.Cut(a.URL(), "://"); r.Host != public && !loopback(hostOf(r.Host)) {
		writeProblem(w, r, problem.New(problem.NotFound))
		return
	}
	entries, err := a.Notify.Outbox(r.Context())
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(entries) // the reader may have left
}

// pages are the built files, compressed once.
type pages map[string]*file

type file struct {
	kind        string
	plain, gzip []byte
}

func loadPages() (pages, error) {
	all := pages{}
	err := fs.WalkDir(web, "web/dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := web.ReadFile(name)
		if err != nil {
			return err
		}
		f := &file{kind: mime.TypeByExtension(path.Ext(name)), plain: data}
		if path.Ext(name) == ".webmanifest" {
			f.kind = "application/manifest+json" // not every system knows it
		}
		if strings.HasPrefix(f.kind, "text/") || strings.Contains(f.kind, "javascript") || strings.Contains(f.kind, "svg") || strings.Contains(f.kind, "json") {
			var b bytes.Buffer
			z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
			if err != nil {
				return err
			}
			if _, err := z.Write(data); err != nil {
				return err
			}
			if err := z.Close(); err != nil {
				return err
			}
			f.gzip = b.Bytes()
		}
		all[strings.TrimPrefix(name, "web/dist/")] = f
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil // not built: every page says so
	}
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	return all, nil
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if f.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func (p pages) asset(w http.ResponseWriter, r *http.Request) {
	f := p[strings.TrimPrefix(r.URL.Path, "/")]
	if f == nil {
		writeProblem(w, r, problem.New(problem.NotFound))
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/assets/graphiql/") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // names carry a hash
	}
	f.serve(w, r)
}

// page serves one page. Reading it changes nothing, however often and by whom
// .
func (a *App) page(p pages, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name == "console.html" {
			w.Header().Set(nonceHeader, a.People.Nonce()) // for the first proof; HEAD is enough to have it
		}
		if to := a.elsewhere(r); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		f := p[name]
		if f == nil {
			http.Error(w, "The pages are not built: run `make build`.", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		f.serve(w, r)
	})
}

// elsewhere sends a browser that came by another loopback name to the public
// address, where cookies and camera work.
func (a *App) elsewhere(r *http.Request) string {
	public := strings.TrimPrefix(a.URL(), "http://")
	if public == a.URL() || r.Host == public || !loopback(hostOf(r.Host)) {
		return ""
	}
	return a.URL() + r.URL.Path
}
