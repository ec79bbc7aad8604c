package live_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/live"
)

func TestRefusedMessageGoesApartAndTheNextIsGathered(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer c.Close()
	gathers, err := live.Refuse(c.LocalAddr().(*net.UDPAddr), 5)
	require.NoError(t, err)
	require.True(t, gathers)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	for range 5 {
		n, _, err := c.ReadFrom(make([]byte, 2000))
		require.NoError(t, err)
		require.Equal(t, 100, n)
	}
}
