package blob_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"genba/server/blob"
)

const name = "agency/file"

func openStore(t testing.TB) (*blob.Store, *blob.Key, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "blobs")
	store, err := blob.OpenStore(dir)
	require.NoError(t, err)
	key, err := blob.NewKey()
	require.NoError(t, err)
	return store, key, filepath.Join(dir, filepath.FromSlash(name))
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// write makes a file of the given parts and answers where each segment ends.
func write(t testing.TB, store *blob.Store, key *blob.Key, path string, parts ...[]byte) (ends []int64, chain [32]byte) {
	t.Helper()
	f, err := store.Create(name, key)
	require.NoError(t, err)
	for i, p := range parts {
		require.NoError(t, f.Append(p, []byte{'m', byte(i)}))
		info, err := os.Stat(path)
		require.NoError(t, err)
		ends = append(ends, info.Size())
	}
	chain = f.Chain()
	require.NoError(t, f.Close())
	return ends, chain
}

func TestFile(t *testing.T) {
	t.Run("what was appended is read back, with its meta, hash and chain", func(t *testing.T) {
		store, key, _ := openStore(t)
		f, err := store.Create(name, key)
		require.NoError(t, err)
		parts := [][]byte{random(1, 10), {}, random(2, blob.MaxSegment), random(3, 70000)}
		whole := bytes.Join(parts, nil)
		for i, p := range parts {
			require.NoError(t, f.Append(p, []byte{byte(i)}))
		}
		require.EqualValues(t, len(whole), f.Size())
		require.Equal(t, 4, f.Segments())
		require.Equal(t, sha256.Sum256(whole), f.SHA256())

		live, err := f.Reader()
		require.NoError(t, err)
		require.NoError(t, f.Append([]byte("later"), nil))
		got, err := io.ReadAll(io.NewSectionReader(live, 0, live.Size()))
		require.NoError(t, err)
		require.True(t, bytes.Equal(whole, got), "a reader of a growing file sees what was there")
		require.NoError(t, live.Close())
		require.NoError(t, f.Close())
		require.ErrorIs(t, f.Append([]byte("x"), nil), blob.ErrStopped)

		r, err := store.Reader(name, key)
		require.NoError(t, err)
		defer r.Close()
		require.Equal(t, f.Chain(), r.Chain())
		require.EqualValues(t, len(whole)+5, r.Size())
		segments := r.Segments()
		require.Len(t, segments, 5)
		require.Equal(t, blob.Segment{Offset: 10 + blob.MaxSegment, Size: 70000, Meta: []byte{3}}, segments[3])
		require.Empty(t, segments[4].Meta)
		require.NoError(t, r.Verify())
	})
	t.Run("nothing plain stands in the file", func(t *testing.T) {
		store, key, path := openStore(t)
		plain := bytes.Repeat([]byte("canary in the evidence "), 100)
		write(t, store, key, path, plain)
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "canary")
		require.NotContains(t, string(raw), name)
	})
	t.Run("a taken name, an unknown name, a bad name and a second writer are refused", func(t *testing.T) {
		store, key, _ := openStore(t)
		f, err := store.Create(name, key)
		require.NoError(t, err)
		defer f.Close()
		_, err = store.Create(name, key)
		require.ErrorIs(t, err, blob.ErrExists)
		_, err = store.Reopen(name, key)
		require.ErrorIs(t, err, blob.ErrBusy)
		_, err = store.Reopen("none", key)
		require.ErrorIs(t, err, blob.ErrNotFound)
		_, err = store.Reader("none", key)
		require.ErrorIs(t, err, blob.ErrNotFound)
		_, err = store.Create("../out", key)
		require.ErrorIs(t, err, blob.ErrName)
	})
	t.Run("over-size segments are refused and change nothing", func(t *testing.T) {
		store, key, _ := openStore(t)
		f, err := store.Create(name, key)
		require.NoError(t, err)
		defer f.Close()
		require.ErrorIs(t, f.Append(make([]byte, blob.MaxSegment+1), nil), blob.ErrTooLarge)
		require.ErrorIs(t, f.Append(nil, make([]byte, blob.MaxMeta+1)), blob.ErrTooLarge)
		require.Zero(t, f.Segments())
	})
	t.Run("reopened, it goes on as if never closed", func(t *testing.T) {
		store, key, path := openStore(t)
		write(t, store, key, path, random(1, 500), random(2, 500))
		f, err := store.Reopen(name, key)
		require.NoError(t, err)
		require.EqualValues(t, 1000, f.Size())
		require.NoError(t, f.Append(random(3, 500), nil))
		whole := bytes.Join([][]byte{random(1, 500), random(2, 500), random(3, 500)}, nil)
		require.Equal(t, sha256.Sum256(whole), f.SHA256())
		require.NoError(t, f.Close())
		r, err := store.Reader(name, key)
		require.NoError(t, err)
		defer r.Close()
		require.NoError(t, r.Verify())
		require.Equal(t, f.Chain(), r.Chain())
	})
	t.Run("after a failed sync the file refuses everything and forgets the segment", func(t *testing.T) {
		store, key, _ := openStore(t)
		f, err := store.Create(name, key)
		require.NoError(t, err)
		require.NoError(t, f.Append([]byte("one"), nil))
		store.FailSync()
		require.Error(t, f.Append([]byte("two"), nil))
		store.HealSync()
		require.ErrorIs(t, f.Append([]byte("three"), nil), blob.ErrStopped)
		require.EqualValues(t, 3, f.Size())
		require.NoError(t, f.Close())
		again, err := store.Reopen(name, key)
		require.NoError(t, err, "what was acknowledged before can still be read and sealed")
		require.ErrorIs(t, again.Append([]byte("three"), nil), blob.ErrStopped)
		require.EqualValues(t, 3, again.Size())
		require.Equal(t, f.SHA256(), again.SHA256())
		require.Equal(t, f.Chain(), again.Chain())
		require.NoError(t, again.Close())
		r, err := store.Reader(name, key)
		require.NoError(t, err)
		defer r.Close()
		require.EqualValues(t, 3, r.Size())
		require.Equal(t, f.Chain(), r.Chain())
	})
	t.Run("a file taken up again whose sync fails is not opened by this process any more", func(t *testing.T) {
		store, key, path := openStore(t)
		write(t, store, key, path, []byte("one"))
		store.FailSync()
		_, err := store.Reopen(name, key)
		require.Error(t, err)
		store.HealSync()
		_, err = store.Reopen(name, key)
		require.ErrorIs(t, err, blob.ErrStopped, "the next sync may say that all is well")
		next, err := blob.OpenStore(filepath.Dir(filepath.Dir(path)))
		require.NoError(t, err)
		f, err := next.Reopen(name, key)
		require.NoError(t, err)
		require.EqualValues(t, 3, f.Size())
		require.NoError(t, f.Close())
	})
	t.Run("a file is not made before its folders are on disk", func(t *testing.T) {
		store, key, path := openStore(t)
		folder := filepath.Dir(path)
		synced := map[string]int{}
		failing := filepath.Dir(folder)
		store.Folders(func(dir string) error {
			if dir == failing {
				return errors.New("disk says no")
			}
			synced[dir]++
			return nil
		})
		for range 2 {
			_, err := store.Create(name, key)
			require.Error(t, err)
		}
		failing = folder
		_, err := store.Create(name, key)
		require.Error(t, err)
		require.NoFileExists(t, path)
		failing = ""
		f, err := store.Create(name, key)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, map[string]int{filepath.Dir(folder): 1, folder: 1}, synced)

		next, err := blob.OpenStore(filepath.Dir(folder) + "/./") // as people write paths
		require.NoError(t, err)
		clear(synced)
		next.Folders(func(dir string) error { synced[dir]++; return nil })
		for _, other := range []string{"agency/a", "agency/b"} {
			f, err := next.Create(other, key)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		f, err = next.Reopen(name, key)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, map[string]int{filepath.Dir(folder): 1, folder: 3}, synced, "the process before may have ended in between")
	})
	t.Run("a full disk leaves the file as it was, and it goes on when there is room", func(t *testing.T) {
		store, key, path := openStore(t)
		f, err := store.Create(name, key)
		require.NoError(t, err)
		require.NoError(t, f.Append([]byte("one"), nil))
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, room := range []int{0, 1, 100, 200} {
			store.FillDisk(room)
			require.ErrorIs(t, f.Append([]byte("two"), nil), syscall.ENOSPC)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after)
		}
		store.FreeDisk()
		require.NoError(t, f.Append([]byte("two"), nil))
		require.NoError(t, f.Close())
		r, err := store.Reader(name, key)
		require.NoError(t, err)
		defer r.Close()
		require.NoError(t, r.Verify())
		require.EqualValues(t, 6, r.Size())
	})
	t.Run("removed is gone, twice is no error, names are walked", func(t *testing.T) {
		store, key, path := openStore(t)
		write(t, store, key, path, []byte("x"))
		other, err := store.Create("agency/other", key)
		require.NoError(t, err)
		require.NoError(t, other.Close())
		names := func() (names []string) {
			for n, err := range store.Names() {
				require.NoError(t, err)
				names = append(names, n)
			}
			return names
		}
		require.Equal(t, []string{name, "agency/other"}, names())
		require.NoError(t, store.Remove(name))
		require.NoError(t, store.Remove(name))
		require.Equal(t, []string{"agency/other"}, names())
		for range store.Names() {
			break
		}
	})
	t.Run("free space is told", func(t *testing.T) {
		store, _, _ := openStore(t)
		free, used, err := store.Free()
		require.NoError(t, err)
		require.Positive(t, free)
		require.GreaterOrEqual(t, used, 0.0)
		require.LessOrEqual(t, used, 1.0)
	})
}

func TestTornTail(t *testing.T) {
	store, key, path := openStore(t)
	ends, _ := write(t, store, key, path, random(1, 300), random(2, 200), random(3, 100))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	for cut := ends[1]; cut < ends[2]; cut++ {
		require.NoError(t, os.WriteFile(path, raw[:cut], 0o600))
		f, err := store.Reopen(name, key)
		require.NoError(t, err, "cut at %d", cut)
		require.EqualValues(t, 500, f.Size(), "cut at %d", cut)
		require.NoError(t, f.Append([]byte("again"), nil))
		require.NoError(t, f.Close())
		r, err := store.Reader(name, key)
		require.NoError(t, err)
		require.NoError(t, r.Verify())
		require.EqualValues(t, 505, r.Size())
		require.NoError(t, r.Close())
	}
	t.Run("a tail of garbage or zeros is dropped too", func(t *testing.T) {
		for _, tail := range [][]byte{make([]byte, 5000), random(9, 5000), append(bytes.Clone(raw[:100]), random(4, 300)...)} {
			require.NoError(t, os.WriteFile(path, append(bytes.Clone(raw), tail...), 0o600))
			_, err := store.Reader(name, key)
			var damaged *blob.DamagedError
			require.ErrorAs(t, err, &damaged)
			require.Equal(t, 3, damaged.Segment)
			f, err := store.Reopen(name, key)
			require.NoError(t, err)
			require.EqualValues(t, 600, f.Size())
			require.NoError(t, f.Close())
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, ends[2], info.Size())
		}
	})
	t.Run("damage before the last segment is not taken for a torn tail", func(t *testing.T) {
		for _, at := range []int64{ends[0] + 3, ends[0] + 40, ends[1] - 1} {
			bad := bytes.Clone(raw)
			bad[at] ^= 1
			require.NoError(t, os.WriteFile(path, bad, 0o600))
			_, err := store.Reopen(name, key)
			var damaged *blob.DamagedError
			require.ErrorAs(t, err, &damaged)
			require.Equal(t, 1, damaged.Segment)
			now, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, bad, now, "nothing is cut off")
		}
	})
}

// damage answers what opening and verifying a file found.
func damage(store *blob.Store, key *blob.Key) (chain [32]byte, err error) {
	r, err := store.Reader(name, key)
	if err != nil {
		return chain, err
	}
	return r.Chain(), errors.Join(r.Verify(), r.Close())
}

func TestDamage(t *testing.T) {
	store, key, path := openStore(t)
	ends, chain := write(t, store, key, path, random(1, 120), random(2, 120), random(3, 120))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	segmentOf := func(at int64) int {
		for i, end := range ends {
			if at < end {
				return i
			}
		}
		return len(ends)
	}
	requireDamaged := func(t *testing.T, bytes []byte, segment int, what string, args ...any) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, bytes, 0o600))
		_, err := damage(store, key)
		var damaged *blob.DamagedError
		require.ErrorAs(t, err, &damaged, append([]any{what}, args...)...)
		require.Equal(t, segment, damaged.Segment, append([]any{what}, args...)...)
	}
	cut := func(i int) []byte {
		from := int64(0)
		if i > 0 {
			from = ends[i-1]
		}
		return raw[from:ends[i]]
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	t.Run("one flipped bit anywhere is found and located", func(t *testing.T) {
		for at := range int64(len(raw)) {
			bad := bytes.Clone(raw)
			bad[at] ^= 1 << (at % 8)
			requireDamaged(t, bad, segmentOf(at), "byte %d", at)
		}
	})
	t.Run("reading elsewhere still works beside a damaged segment", func(t *testing.T) {
		bad := bytes.Clone(raw)
		bad[ends[1]-1] ^= 1
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		r, err := store.Reader(name, key)
		require.NoError(t, err)
		defer r.Close()
		p := make([]byte, 120)
		_, err = r.ReadAt(p, 240)
		require.NoError(t, err)
		require.Equal(t, random(3, 120), p)
		_, err = r.ReadAt(p, 60)
		var damaged *blob.DamagedError
		require.ErrorAs(t, err, &damaged)
		require.Equal(t, 1, damaged.Segment)
	})
	t.Run("swapped, repeated and missing segments are refused", func(t *testing.T) {
		requireDamaged(t, join(cut(1), cut(0), cut(2)), 0, "first two swapped")
		requireDamaged(t, join(cut(0), cut(2), cut(1)), 1, "last two swapped")
		requireDamaged(t, join(cut(0), cut(1), cut(1)), 2, "repeated")
		requireDamaged(t, join(cut(0), cut(2)), 1, "middle missing")
		requireDamaged(t, join(cut(1), cut(2)), 0, "first missing")
	})
	t.Run("a body that stands in for another's of the same length is refused", func(t *testing.T) {
		head := 128
		require.Equal(t, len(cut(0)), len(cut(1)))
		requireDamaged(t, join(cut(0)[:head], cut(1)[head:], cut(1), cut(2)), 0, "body swapped in")
	})
	t.Run("cut off inside a segment it is located, at an edge the chain tells", func(t *testing.T) {
		requireDamaged(t, raw[:ends[2]-1], 2, "last byte missing")
		requireDamaged(t, raw[:ends[0]+1], 1, "one byte of the second")
		require.NoError(t, os.WriteFile(path, raw[:ends[1]], 0o600))
		got, err := damage(store, key)
		require.NoError(t, err)
		require.NotEqual(t, chain, got)
	})
	t.Run("another file of the same key cannot stand in", func(t *testing.T) {
		other, err := store.Create("agency/preview", key)
		require.NoError(t, err)
		require.NoError(t, other.Append(random(7, 120), nil))
		require.NoError(t, other.Close())
		bytes, err := os.ReadFile(filepath.Join(filepath.Dir(path), "preview"))
		require.NoError(t, err)
		requireDamaged(t, bytes, 0, "other name")
	})
	t.Run("another key opens nothing", func(t *testing.T) {
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		wrong, err := blob.NewKey()
		require.NoError(t, err)
		_, err = damage(store, wrong)
		var damaged *blob.DamagedError
		require.ErrorAs(t, err, &damaged)
		require.Zero(t, damaged.Segment)
	})
	t.Run("restored, it verifies", func(t *testing.T) {
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		got, err := damage(store, key)
		require.NoError(t, err)
		require.Equal(t, chain, got)
	})
}

func TestReaderRanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store, key, path := openStore(t)
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 12).Draw(rt, "sizes")
		var parts [][]byte
		for i, n := range sizes {
			parts = append(parts, random(uint64(i), n))
		}
		whole := bytes.Join(parts, nil)
		write(t, store, key, path, parts...)
		r, err := store.Reader(name, key)
		require.NoError(rt, err)
		defer r.Close()
		require.EqualValues(rt, len(whole), r.Size())
		for range 10 {
			off := rapid.IntRange(0, len(whole)+10).Draw(rt, "offset")
			n := rapid.IntRange(0, 5000).Draw(rt, "length")
			p := make([]byte, n)
			got, err := r.ReadAt(p, int64(off))
			want := whole[min(off, len(whole)):min(off+n, len(whole))]
			require.Equal(rt, len(want), got)
			require.True(rt, bytes.Equal(want, p[:got]))
			if got < n {
				require.ErrorIs(rt, err, io.EOF)
			} else {
				require.NoError(rt, err)
			}
		}
		_, err = r.ReadAt(make([]byte, 1), -1)
		require.Error(rt, err)
	})
}

func FuzzSegments(f *testing.F) {
	store, key, path := openStore(f)
	write(f, store, key, path, []byte("one"), []byte("two"))
	raw, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(raw)
	f.Add(raw[:130])
	f.Add([]byte{})
	f.Add(append([]byte("GBS1"), make([]byte, 200)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		segments, plain, err := blob.ParseSegments(name, key, b)
		if segments > 2 || plain > 6 {
			t.Fatalf("accepted %d segments, %d bytes that were never sealed", segments, plain)
		}
		if err == nil && len(b) != 0 && !bytes.HasPrefix(raw, b) {
			t.Fatal("accepted a file that was never written")
		}
	})
}
