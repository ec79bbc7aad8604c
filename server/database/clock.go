package database

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is the one source of time. The wall clock decides due times; the boot
// clock, which nobody can set, is what the wall clock is believed by.
type Clock interface {
	// Now is the wall clock.
	Now() time.Time
	// Boot names this start of the machine and the time since, sleep included.
	Boot() (id string, elapsed time.Duration)
	// Synchronised tells whether the kernel says that a time source steers the
	// wall clock. Virtual machines often say no although their clock is right.
	Synchronised() bool
}

// SystemClock is the machine's own clock.
type SystemClock struct{}

// Now is the wall clock.
func (SystemClock) Now() time.Time { return time.Now() }

var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // another system: anchors of this process alone compare
	}
	return strings.TrimSpace(string(b))
})

// Boot reads the kernel's boot id and boot clock.
func (SystemClock) Boot() (string, time.Duration) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0
	}
	return bootID(), time.Duration(ts.Nano())
}

// Synchronised asks the kernel's clock discipline.
func (SystemClock) Synchronised() bool {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	return err == nil && state != unix.TIME_ERROR
}
