package notify

import "context"

// Channels sends each message the way it is for. A way that is nil carries
// nothing.
type Channels struct{ SMS, Email Channel }

// Send hands the message to its way.
func (c Channels) Send(ctx context.Context, m Message) (string, error) {
	way := c.SMS
	if m.Channel == Email {
		way = c.Email
	}
	if way == nil {
		return "", errNoChannel
	}
	return way.Send(ctx, m)
}
