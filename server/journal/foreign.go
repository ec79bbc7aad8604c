package journal

import (
	"context"
	"fmt"
	"sync"
)

// heard is up to where this process knows each agency's journal and positions.
type heard struct {
	mu sync.Mutex
	at map[string]Cursor
}

// note keeps the furthest place, and tells whether it is new.
func (h *heard) note(agency string, entries, positions int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = map[string]Cursor{}
	}
	was := h.at[agency]
	now := Cursor{Entries: max(was.Entries, entries), Positions: max(was.Positions, positions)}
	h.at[agency] = now
	return now != was
}

// RingForeign rings for what other processes wrote: a command of the operator
// beside the server, which has a bell of its own. Call it every second.
func (j *Journal) RingForeign(ctx context.Context) error {
	var heads []head
	if err := j.db.Read(ctx).Select("agency_id", "number", "positions").Find(&heads).Error; err != nil {
		return fmt.Errorf("read heads of the journal: %w", err)
	}
	for _, h := range heads {
		if j.heard.note(h.AgencyID, h.Number, h.Positions) {
			j.bus.Ring(Topic(h.AgencyID))
		}
	}
	return nil
}
