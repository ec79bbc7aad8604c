package graph_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/database/dbtest"
)

const (
	hostileRate  = 500 // documents a second
	askedRate    = 50  // questions of honest readers a second
	hostileTurns = 6   // with and without, in turn: the machine is the same for both
	hostileTurn  = 4 * time.Second

	maxSlower = 2 // times the 99th percentile without
)

// boardAsked is what the console's board asks for.
const boardAsked = `{ cases(first: 50) { cursor nodes { id number class place openedAt changedAt sessions { id state asked phones { id state } counts { photosNow recordings } } } pageInfo { hasNextPage } } }`

// BenchmarkHostileDocuments asks for the board while somebody who is signed in
// sends 500 documents a second that are refused. Figures: the 99th percentile of
// an honest answer without and beside them. It fails where theirs more than
// doubles it.
func BenchmarkHostileDocuments(b *testing.B) {
	h := newHouse(b, dbtest.Open(b, dbtest.SQLiteDSN(b)))
	d := h.dispatcher()
	for range 20 {
		h.newSession(d)
	}
	server := h.listen()
	var bad [][]byte
	for _, one := range hostiles() {
		bad = append(bad, bodyOf(one.query, one.variables))
	}
	post := func(body []byte) ([]byte, error) {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/graphql", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header = h.request(d, nil).Header
		return send(server, r)
	}
	// paced calls f as often a second as rate says, for one turn.
	paced := func(rate int, f func(i int) error) error {
		var calls sync.WaitGroup
		var first error
		var once sync.Once
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := range rate * int(hostileTurn/time.Second) {
			<-tick.C
			calls.Go(func() {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
				}
			})
		}
		calls.Wait()
		return first
	}
	board := bodyOf(boardAsked, nil)
	var mu sync.Mutex
	took := map[bool][]time.Duration{}
	ask := func(beside bool) error {
		return paced(askedRate, func(int) error {
			began := time.Now()
			_, err := post(board)
			mu.Lock()
			defer mu.Unlock()
			took[beside] = append(took[beside], time.Since(began))
			return err
		})
	}
	_, err := post(board)
	require.NoError(b, err)
	for turn := range hostileTurns {
		var sending sync.WaitGroup
		var failed error
		beside := turn%2 == 1
		if beside {
			sending.Go(func() {
				failed = paced(hostileRate, func(i int) error {
					_, err := post(bad[(turn*hostileRate+i)%len(bad)])
					return err
				})
			})
		}
		require.NoError(b, ask(beside))
		sending.Wait()
		require.NoError(b, failed)
	}
	p99 := func(beside bool) float64 {
		slices.Sort(took[beside])
		return float64(took[beside][len(took[beside])*99/100].Microseconds()) / 1000
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(p99(false), "p99-alone-ms")
	b.ReportMetric(p99(true), "p99-beside-ms")
	if p99(true) > maxSlower*p99(false) {
		b.Errorf("99 of 100 answers take up to %.1f ms beside hostile documents, %.1f ms without", p99(true), p99(false))
	}
}

func send(server *httptest.Server, r *http.Request) ([]byte, error) {
	res, err := server.Client().Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}
