package app_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The officers' page alone may make the policy by which it registers its worker
// (T30), and what stands beside it is a name of its own or nothing.
func TestStaffPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const policy = "trusted-types svelte-trusted-html genba-worker"
	a := h.must(http.MethodGet, "/staff/", nil)
	require.Contains(t, a.header.Get("Content-Security-Policy"), policy)
	require.Contains(t, a.header.Get("Content-Security-Policy"), "worker-src 'self'")
	for _, other := range []string{"/v", "/console"} {
		require.NotContains(t, h.must(http.MethodGet, other, nil).header.Get("Content-Security-Policy"), policy)
	}
	for _, name := range []string{"/staff/none.js", "/staff/..%2fconsole.html", "/staff/a/b"} {
		require.Equal(t, http.StatusNotFound, h.must(http.MethodGet, name, nil).status, name)
	}
}
