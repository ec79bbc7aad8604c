package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// CallbackPath is where an SMS gateway tells what became of a message.
const CallbackPath = "/callbacks/sms"

// The ways in which a callback is signed.
const (
	signedByTwilio = "twilio"
	signedByHMAC   = "hmac-sha256"
)

const (
	maxCallback  = 16 << 10
	maxReference = 200
	callbackSkew = 5 * time.Minute // that a callback's own time may be off
)

// callbackCounts are how many callbacks came, by what was made of them.
type callbackCounts struct{ taken, repeated, unknown, refused atomic.Int64 }

// CallbackCounts counts the callbacks since the start: those that told something
// new, told nothing new, named no message of ours, or were not signed.
func (n *Notify) CallbackCounts() map[string]int64 {
	return map[string]int64{
		"taken": n.told.taken.Load(), "repeated": n.told.repeated.Load(), "unknown": n.told.unknown.Load(), "refused": n.told.refused.Load(),
	}
}

// Callback takes the gateway's word on what became of a message. It is believed
// only with the gateway's signature; told again, whenever that is, it changes
// nothing more.
//
//	204  taken, or known already
//	403  not signed, or signed at another time
//	404  no message of ours; it is counted and nothing else
func (n *Notify) Callback(g *Gateway, writeProblem func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
		if err != nil {
			writeProblem(w, r, problem.Wrap(problem.TooLarge, err))
			return
		}
		if !g.signed(r, body, n.baseURL(), n.db.Now()) {
			n.told.refused.Add(1)
			writeProblem(w, r, problem.New(problem.Forbidden))
			return
		}
		known, err := n.takeCallback(r.Context(), g, r, body)
		switch {
		case err != nil:
			writeProblem(w, r, err)
		case !known:
			n.told.unknown.Add(1)
			writeProblem(w, r, problem.New(problem.NotFound))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// TellsDeliveries says whether the gateway calls back.
func (g *Gateway) TellsDeliveries() bool { return g.file.Callback != nil }

// signed checks the gateway's signature in constant time.
func (g *Gateway) signed(r *http.Request, body []byte, base string, now time.Time) bool {
	c := g.file.Callback
	secret := []byte(g.secrets[c.Secret])
	if c.Signature == signedByTwilio {
		given, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Twilio-Signature"))
		return err == nil && hmac.Equal(given, twilioSignature(secret, base+r.URL.RequestURI(), form(body)))
	}
	text := body
	if c.Timestamp != "" {
		stamp := r.Header.Get(c.Timestamp)
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > callbackSkew {
			return false
		}
		text = append([]byte(stamp+"."), body...)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(text)
	given := strings.TrimPrefix(r.Header.Get(c.Header), "sha256=")
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if sum, err := decode(given); err == nil && hmac.Equal(sum, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// twilioSignature is what Twilio signs: the address, then the fields in order,
// each name followed by its value.
func twilioSignature(secret []byte, address string, fields url.Values) []byte {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	mac := hmac.New(sha1.New, secret) // Twilio's choice; as a keyed hash it holds
	mac.Write([]byte(address))
	for _, name := range names {
		for _, value := range fields[name] {
			mac.Write([]byte(name + value))
		}
	}
	return mac.Sum(nil)
}

func form(body []byte) url.Values {
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		return url.Values{}
	}
	return fields
}

// takeCallback tells whether the callback names a message of ours, and takes its
// word.
func (n *Notify) takeCallback(ctx context.Context, g *Gateway, r *http.Request, body []byte) (known bool, err error) {
	c := g.file.Callback
	field := func(name string) string {
		if name == "" {
			return ""
		}
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
			if v := fieldOf(body, name); v != "" {
				return v
			}
		} else if v := form(body).Get(name); v != "" {
			return v
		}
		if c.Signature == signedByTwilio { // which signs the address, too
			return r.URL.Query().Get(name)
		}
		return ""
	}
	q := n.db.Read(ctx).Select("id").Limit(1)
	key, reference := field(c.Key), field(c.Reference)
	if _, bad := identity.ParseID(key); bad == nil {
		q = q.Where("id = ?", key)
	} else if reference != "" && len(reference) <= maxReference && !strings.ContainsRune(reference, 0) {
		q = q.Where("gateway_id = ?", reference)
	} else {
		return false, nil
	}
	var found []Delivery
	if err := q.Find(&found).Error; err != nil || len(found) == 0 {
		return false, err
	}
	status := field(c.Status)
	switch {
	case slices.Contains(c.Delivered, status):
		return true, n.arrived(ctx, found[0].ID, true)
	case slices.Contains(c.Failed, status):
		return true, n.arrived(ctx, found[0].ID, false)
	}
	n.told.repeated.Add(1) // on its way: nothing that is not known
	return true, nil
}

var errKnown = errors.New("notify: known already")

// arrived notes that a message reached the phone, or did not. What reached it
// stays so, whatever is said later; what failed may still turn out to have
// arrived.
func (n *Notify) arrived(ctx context.Context, id string, delivered bool) error {
	err := n.db.InTx(ctx, func(tx *database.Tx) error {
		var d Delivery
		if err := tx.Lock().Take(&d, "id = ?", id).Error; err != nil {
			return err
		}
		s, err := n.cases.Session(tx.Context(), d.AgencyID, d.SessionID)
		if err != nil {
			return err
		}
		waits := d.Status == Queued && d.Attempts > 0 || d.Status == Sent
		switch {
		case delivered && (waits || d.Status == Failed):
			d.Status, d.DeliveredAt, d.Failure = Delivered, &tx.Now, ""
		case !delivered && waits:
			d.Status, d.Failure = Failed, failOnTheWay
		default:
			return errKnown
		}
		if err := tx.Model(&d).Select("status", "delivered_at", "failure").Updates(&d).Error; err != nil {
			return err
		}
		if delivered {
			n.journal.Append(tx, d.entry(policy.SystemActor(), s, journal.DeliveryDelivered))
			return n.cases.Reached(tx, d.SessionID)
		}
		n.journal.Append(tx, d.entry(policy.SystemActor(), s, journal.DeliveryFailed))
		return n.undelivered(tx, &d)
	})
	if errors.Is(err, errKnown) {
		n.told.repeated.Add(1)
		return nil
	}
	if err == nil {
		n.told.taken.Add(1)
	}
	return err
}
