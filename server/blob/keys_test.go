package blob_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/server/blob"
)

func openKeys(t testing.TB) (*blob.Keys, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	keys, err := blob.OpenKeys(dir)
	require.NoError(t, err)
	return keys, dir
}

func TestKeys(t *testing.T) {
	t.Run("a key made once is read ever after", func(t *testing.T) {
		keys, dir := openKeys(t)
		key, err := keys.Ensure("due/agency-1/2026-12-01")
		require.NoError(t, err)
		sealed, err := key.Seal([]byte("hello"))
		require.NoError(t, err)

		again, err := blob.OpenKeys(dir)
		require.NoError(t, err)
		for _, get := range []func(string) (*blob.Key, error){again.Ensure, again.Get} {
			same, err := get("due/agency-1/2026-12-01")
			require.NoError(t, err)
			plain, err := same.Open(sealed)
			require.NoError(t, err)
			require.Equal(t, "hello", string(plain))
			require.Equal(t, key.MAC([]byte("x")), same.MAC([]byte("x")))
		}
	})
	t.Run("a destroyed key is gone and its bytes are nowhere", func(t *testing.T) {
		keys, dir := openKeys(t)
		_, err := keys.Ensure("open/a")
		require.NoError(t, err)
		path := filepath.Join(dir, "open", "a.key")
		secret, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(secret), "AGE-SECRET-KEY-")
		other := filepath.Join(dir, "kept-open")
		require.NoError(t, os.Link(path, other))

		require.NoError(t, keys.Destroy("open/a"))
		require.NoError(t, keys.Destroy("open/a"))
		_, err = keys.Get("open/a")
		require.ErrorIs(t, err, blob.ErrNoKey)
		left, err := os.ReadFile(other)
		require.NoError(t, err)
		require.Len(t, left, len(secret))
		require.Empty(t, bytes.Trim(left, "\x00"))
	})
	t.Run("a key overwritten but not yet unlinked is no key", func(t *testing.T) {
		keys, dir := openKeys(t)
		_, err := keys.Ensure("open/a")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "open", "a.key"), make([]byte, 75), 0o600))
		_, err = keys.Get("open/a")
		require.ErrorIs(t, err, blob.ErrNoKey)
		require.NoError(t, keys.Destroy("open/a"))
	})
	t.Run("a malformed key is an error that does not quote it", func(t *testing.T) {
		keys, dir := openKeys(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "server.key"), []byte("AGE-SECRET-KEY-1CANARY"), 0o600))
		_, err := keys.Get("server")
		require.Error(t, err)
		require.NotErrorIs(t, err, blob.ErrNoKey)
		require.NotContains(t, err.Error(), "CANARY")
		_, err = keys.Ensure("server")
		require.Error(t, err, "a broken key is never replaced by a new one")
	})
	t.Run("on a full disk nothing is left of a key, and it is made when there is room", func(t *testing.T) {
		keys, dir := openKeys(t)
		for _, room := range []int{0, 40} {
			keys.FillDisk(room)
			_, err := keys.Ensure("open/a")
			require.ErrorIs(t, err, syscall.ENOSPC)
			left, err := os.ReadDir(filepath.Join(dir, "open"))
			require.NoError(t, err)
			require.Empty(t, left)
		}
		keys.FreeDisk()
		_, err := keys.Ensure("open/a")
		require.NoError(t, err)
	})
	t.Run("a key is not handed out before it is on disk", func(t *testing.T) {
		keys, dir := openKeys(t)
		synced := map[string]int{}
		failing := dir
		watch := func(dir string) error {
			if dir == failing {
				return errors.New("disk says no")
			}
			synced[dir]++
			return nil
		}
		keys.Folders(watch)
		open := filepath.Join(dir, "open")
		for _, failing = range []string{dir, dir, open, open} {
			_, err := keys.Ensure("open/a")
			require.Error(t, err)
		}
		require.FileExists(t, filepath.Join(open, "a.key"))
		failing = ""
		for range 2 {
			_, err := keys.Ensure("open/a")
			require.NoError(t, err)
		}
		require.Equal(t, map[string]int{dir: 1, open: 1}, synced)

		again, err := blob.OpenKeys(dir + "/")
		require.NoError(t, err)
		again.Folders(watch)
		clear(synced)
		for range 2 {
			_, err := again.Ensure("open/a")
			require.NoError(t, err)
		}
		require.Equal(t, map[string]int{dir: 1, open: 1}, synced, "the process before may have ended in between")
	})
	t.Run("names are listed by prefix", func(t *testing.T) {
		keys, _ := openKeys(t)
		for _, name := range []string{"server", "open/b", "open/a", "due/x/2026-12-01"} {
			_, err := keys.Ensure(name)
			require.NoError(t, err)
		}
		names, err := keys.List("open/")
		require.NoError(t, err)
		require.Equal(t, []string{"open/a", "open/b"}, names)
		names, err = keys.List("due/x/2026-1")
		require.NoError(t, err)
		require.Equal(t, []string{"due/x/2026-12-01"}, names)
		names, err = keys.List("nothing/of/it")
		require.NoError(t, err)
		require.Empty(t, names)
		_, err = keys.List("../")
		require.ErrorIs(t, err, blob.ErrName)
		names, err = keys.List("")
		require.NoError(t, err)
		require.Len(t, names, 4)
	})
	t.Run("names that leave the folder are refused", func(t *testing.T) {
		keys, _ := openKeys(t)
		for _, name := range []string{"", "/", "..", "../x", "a/../b", "a//b", "/etc/passwd", ".hidden", "a/.new-b", "a\x00b", "a b", strings.Repeat("x", blob.MaxName+1)} {
			_, err := keys.Ensure(name)
			require.ErrorIs(t, err, blob.ErrName, "%q", name)
			_, err = keys.Get(name)
			require.ErrorIs(t, err, blob.ErrName, "%q", name)
			require.ErrorIs(t, keys.Destroy(name), blob.ErrName, "%q", name)
		}
	})
	t.Run("modes keep others out", func(t *testing.T) {
		keys, dir := openKeys(t)
		_, err := keys.Ensure("open/a")
		require.NoError(t, err)
		for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "open"): 0o700, filepath.Join(dir, "open", "a.key"): 0o600} {
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, mode, info.Mode().Perm(), path)
		}
		require.NoError(t, os.Chmod(dir, 0o755))
		_, err = blob.OpenKeys(dir)
		require.ErrorContains(t, err, "0700")
	})
	t.Run("racing makers get one key", func(t *testing.T) {
		_, dir := openKeys(t)
		macs := make([][]byte, 16)
		var wg sync.WaitGroup
		for i := range macs {
			wg.Go(func() {
				keys, err := blob.OpenKeys(dir)
				if err != nil {
					return
				}
				if key, err := keys.Ensure("due/a/2026-12-01"); err == nil {
					macs[i] = key.MAC(nil)
				}
			})
		}
		wg.Wait()
		for _, m := range macs {
			require.NotEmpty(t, m)
			require.Equal(t, macs[0], m)
		}
	})
	t.Run("a wrapped key opens what it sealed, and only its wrapper unwraps it", func(t *testing.T) {
		outer, err := blob.NewKey()
		require.NoError(t, err)
		inner, err := blob.NewKey()
		require.NoError(t, err)
		sealed, err := inner.Seal([]byte("evidence"))
		require.NoError(t, err)
		wrapped, err := outer.Wrap(inner)
		require.NoError(t, err)
		key, err := outer.Unwrap(wrapped)
		require.NoError(t, err)
		plain, err := key.Open(sealed)
		require.NoError(t, err)
		require.Equal(t, "evidence", string(plain))
		_, err = inner.Unwrap(wrapped)
		require.Error(t, err)
		require.NotEqual(t, outer.MAC([]byte("x")), inner.MAC([]byte("x")))
	})
}
