package app_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/identity"
)

// T45: what was kept elsewhere shows a journal that is not what it was; and
// nothing is exported without an approved request.
func TestCheckpointAndExportCommands(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	h := open(t, c, &clock{})
	h.signIn(policy.Dispatcher)
	h.close()
	dir := []string{"--data", c.Data, "--keys", c.Keys}
	run := func(more ...string) outcome {
		return genba(t, nil, append(append([]string{more[0]}, dir...), more[1:]...)...)
	}

	o := run("checkpoint")
	require.Zero(t, o.code, o.err)
	require.Contains(t, o.out, `"signature"`)
	kept, key := filepath.Join(t.TempDir(), "kept.jsonl"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(kept, []byte(o.out), 0o600))
	o = run("checkpoint", "--key")
	require.Zero(t, o.code, o.err)
	require.Contains(t, o.out, "BEGIN PUBLIC KEY")
	require.NoError(t, os.WriteFile(key, []byte(o.out), 0o600))
	o = run("verify", "--checkpoint", kept, "--checkpoint-key", key)
	require.Zero(t, o.code, o.out+o.err)
	require.Contains(t, o.out, "checkpoints from elsewhere")

	h = open(t, c, &clock{})
	_, err := h.DB.SQL().ExecContext(t.Context(), "DROP TRIGGER journal_no_delete; DELETE FROM journal_entries; DELETE FROM journal_payloads; DELETE FROM journal_heads; DELETE FROM journal_checkpoints")
	require.NoError(t, err)
	h.close()
	o = run("verify", "--checkpoint", kept, "--checkpoint-key", key)
	require.Equal(t, 1, o.code)
	require.Contains(t, o.out, "is missing")
	require.Contains(t, o.err, "not what its checkpoints say")

	o = run("export", "--request", identity.NewID(), "--grant-file", kept, "--out", filepath.Join(t.TempDir(), "x"))
	require.Equal(t, 1, o.code)
	require.Contains(t, o.err, "NOT_FOUND")
	o = genba(t, nil, "verify", "--archive", kept)
	require.Equal(t, 1, o.code)
	require.Contains(t, o.err, "--passphrase-file or --identity")
}
