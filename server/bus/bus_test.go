package bus_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"genba/server/bus"
)

func TestBus(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b, err := bus.Open("")
	require.NoError(t, err)
	defer b.Close()

	one, err := b.Listen("a")
	require.NoError(t, err)
	two, err := b.Listen("a")
	require.NoError(t, err)
	other, err := b.Listen("b")
	require.NoError(t, err)

	for range 100 { // a listener that does not read holds nobody up
		b.Ring("a")
	}
	for _, bell := range []*bus.Bell{one, two} {
		select {
		case <-bell.C:
		case <-time.After(5 * time.Second):
			t.Fatal("not rung")
		}
		require.Empty(t, bell.C, "many rings are one")
	}
	require.Empty(t, other.C)

	one.Close()
	one.Close()
	b.Ring("a")
	<-two.C
	require.Empty(t, one.C)
	two.Close()
	other.Close()
}
