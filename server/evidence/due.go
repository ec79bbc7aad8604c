package evidence

import (
	"fmt"
	"time"
)

// RetentionDays is how many whole days, Asia/Tokyo, a file is kept after the
// day on which it was acquired (第6の4). No setting moves it.
const RetentionDays = 7

// tokyo is compiled in: Japan keeps no summer time, and no machine's zone
// tables may move a due time.
var tokyo = time.FixedZone("JST", 9*60*60)

const dayLayout = "2006-01-02"

// Due answers when a file acquired at that instant is due for destruction:
// 00:00:00 in Tokyo on the eighth day after the day of acquisition there
// (第6の4), as an instant in UTC and as the name of that day.
func Due(acquired time.Time) (due time.Time, day string) {
	y, m, d := acquired.In(tokyo).Date()
	at := time.Date(y, m, d+RetentionDays+1, 0, 0, 0, 0, tokyo)
	return at.UTC(), at.Format(dayLayout)
}

// EarliestDue answers the due time of a file made from others: the earliest of
// its own and those of its sources.
func EarliestDue(acquired time.Time, sources ...time.Time) (due time.Time, day string) {
	due, _ = Due(acquired)
	for _, s := range sources {
		if s.Before(due) {
			due = s.UTC()
		}
	}
	return due, due.In(tokyo).Format(dayLayout)
}

// dueInstant is the instant a due day begins.
func dueInstant(day string) (time.Time, error) {
	at, err := time.ParseInLocation(dayLayout, day, tokyo)
	if err != nil {
		return time.Time{}, fmt.Errorf("read due day: %w", err)
	}
	return at.UTC(), nil
}
