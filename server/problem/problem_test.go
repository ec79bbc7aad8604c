package problem_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/server/problem"
)

func TestEveryReasonHasCodeStatusAndWords(t *testing.T) {
	for _, r := range problem.Reasons() {
		p := problem.New(r)
		require.NotEmpty(t, p.Code(), r)
		require.NotEmpty(t, p.Text("ja"), r)
		require.NotEmpty(t, p.Text("en"), r)
		require.GreaterOrEqual(t, p.Status(), 400, r)
		require.NotEqual(t, p.Text("ja"), p.Text("en"), r)
	}
}

func TestOf(t *testing.T) {
	require.Nil(t, problem.Of(nil))
	inner := problem.Wrap(problem.NotFound, io.EOF)
	require.Equal(t, problem.NotFound, problem.Of(fmt.Errorf("read case: %w", inner)).Reason())
	require.ErrorIs(t, inner, io.EOF)
	unknown := problem.Of(errors.New("SELECT * FROM users"))
	require.Equal(t, problem.Internal, unknown.Reason())
	require.NotContains(t, unknown.Text("en"), "SELECT")
	require.True(t, problem.Is(inner, problem.NotFound))
	require.False(t, problem.Is(io.EOF, problem.NotFound))
}
