// Command testserver is the product with demo data and a clock that a test
// moves: what the browser tests run against. It is not part of a release. It
// prints one line of JSON when it is ready; POST controlURL/clock with
// {"advance":"192h"} lets that much time pass and answers when the work that
// fell due is done.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"genba/server/app"
	"genba/server/database"
	"genba/server/evidence"
)

// movable is the machine's clock, ahead by what the test said.
type movable struct {
	database.SystemClock
	mu    sync.Mutex
	ahead time.Duration
}

func (c *movable) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func (c *movable) by() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

func (c *movable) Now() time.Time { return c.SystemClock.Now().Add(c.by()) }

func (c *movable) Boot() (string, time.Duration) {
	id, elapsed := c.SystemClock.Boot()
	return id, elapsed + c.by()
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == evidence.PreviewArgument {
		if evidence.PreviewMain(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() (err error) {
	folder := flag.String("folder", "", "folder of data and keys (default: a new one, removed at the end)")
	listen := flag.String("listen", "127.0.0.1:0", "HOST:PORT of HTTP")
	media := flag.String("media", "127.0.0.1:0", "HOST:PORT of WebRTC")
	databaseURL := flag.String("database", "", "postgres:// URL (default: SQLite)")
	strict := flag.Bool("strict", false, "ask every console for its terminal's proof")
	flag.Parse()
	if *folder == "" {
		if *folder, err = os.MkdirTemp("", "genba-test-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(*folder)) }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	slog.SetDefault(log)
	clock := &movable{}
	c := app.Config{
		Data: filepath.Join(*folder, "data"), Keys: filepath.Join(*folder, "keys"), Listen: *listen, Media: *media, Database: *databaseURL,
		Demo: true, DemoAgency: "福島県警察", DemoAgencyEn: "Fukushima Prefectural Police",
	}
	var options []app.Option
	if *strict {
		options = append(options, app.WithStrictTerminals())
	}
	a, err := app.New(ctx, c, clock, log, options...)
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // lives as long as the process
	if err != nil {
		return errors.Join(err, a.Close())
	}
	s := &http.Server{Handler: controls(a, clock), ReadHeaderTimeout: time.Second}
	go func() { _ = s.Serve(control) }()
	defer func() { _ = s.Close() }()
	ready, err := json.Marshal(map[string]any{"baseURL": a.URL(), "controlURL": "http://" + control.Addr().String(), "dataDir": c.Data, "keysDir": c.Keys, "demo": a.Demo()})
	if err != nil {
		return err
	}
	go func() { fmt.Println(string(ready)) }()
	return a.Run(ctx)
}

func controls(a *app.App, clock *movable) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /clock", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Advance string }
		err := json.NewDecoder(r.Body).Decode(&in)
		var d time.Duration
		if err == nil {
			d, err = time.ParseDuration(in.Advance)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		clock.advance(d)
		if err := a.DueWork(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}
