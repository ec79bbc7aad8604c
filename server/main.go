// Command genba is the whole of Genba in one binary: the server, and the
// commands that an operator needs beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"genba/server/app"
)

// gcPercent trades memory for processor time; GOGC overrides it. With more, a
// thousand lines of a board that changes take over 64 KiB each.
const gcPercent = 150

func main() {
	if was, err := app.PreviewWorker(os.Args[1:], os.Stdin, os.Stdout); was {
		exit(err)
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	slog.SetDefault(log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := app.Command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr, log)
	stop()
	if !errors.Is(err, flag.ErrHelp) {
		exit(err)
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
