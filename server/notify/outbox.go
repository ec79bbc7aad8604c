package notify

import (
	"context"
	"fmt"
	"time"
)

// Outbox is the channel of demonstrations and drills: nothing leaves the
// machine, and what was sent is read back from the deliveries.
type Outbox struct{}

// Send accepts every message; its row is the outbox.
func (Outbox) Send(context.Context, Message) (string, error) { return "", nil }

// OutboxEntry is one message as it would have arrived.
type OutboxEntry struct {
	ID      string      `json:"id"`
	At      time.Time   `json:"at"`
	Channel ChannelName `json:"channel"`
	To      string      `json:"to"`
	// Body is empty once the link is dead: the message was destroyed with it.
	Body string `json:"body"`
}

// Outbox reads the newest sent messages of all agencies, newest first. It is
// served in demo mode only.
func (n *Notify) Outbox(ctx context.Context) ([]OutboxEntry, error) {
	var found []*Delivery
	err := n.db.Read(ctx).Where("status IN ?", []Status{Sent, Delivered}).Order("queued_at DESC, id DESC").Limit(maxOutboxEntries).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	entries := make([]OutboxEntry, 0, len(found))
	for _, d := range found {
		e := OutboxEntry{ID: d.ID, At: d.QueuedAt, Channel: d.Channel, To: d.Address}
		if body, err := n.body(ctx, d); err == nil {
			e.Body = body
		}
		entries = append(entries, e)
	}
	return entries, nil
}
