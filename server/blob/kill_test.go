package blob_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/blob"
)

const (
	childVariable = "BLOB_KILL_CHILD"
	kills         = 20
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, appendForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// part is what segment i of the killed writer holds.
func part(i int) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint32(nil, uint32(i)), 1+i%9000)
}

// appendForEver continues the file of the folder and tells each acknowledged
// count on its output.
func appendForEver(dir string) error {
	keys, err := blob.OpenKeys(dir + "/keys")
	if err != nil {
		return err
	}
	store, err := blob.OpenStore(dir + "/blobs")
	if err != nil {
		return err
	}
	key, err := keys.Ensure("open/x")
	if err != nil {
		return err
	}
	f, err := store.Reopen(name, key)
	if errors.Is(err, blob.ErrNotFound) {
		f, err = store.Create(name, key)
	}
	if err != nil {
		return err
	}
	for i := f.Segments(); ; i++ {
		if err := f.Append(part(i), nil); err != nil {
			return err
		}
		fmt.Println(i + 1)
	}
}

func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	acknowledged := 0
	for range kills {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+dir)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		var complaint strings.Builder
		child.Stderr = &complaint
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		more := 1 + r.IntN(5)
		for range more {
			require.True(t, lines.Scan(), "the writer stopped: %s", &complaint)
			n, err := strconv.Atoi(lines.Text())
			require.NoError(t, err)
			require.Greater(t, n, acknowledged)
			acknowledged = n
		}
		timer := time.NewTimer(time.Duration(r.IntN(2000)) * time.Microsecond)
		<-timer.C
		require.NoError(t, child.Process.Kill())
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			require.NoError(t, err)
			acknowledged = n
		}
		require.Error(t, child.Wait())
	}
	keys, err := blob.OpenKeys(dir + "/keys")
	require.NoError(t, err)
	key, err := keys.Get("open/x")
	require.NoError(t, err)
	store, err := blob.OpenStore(dir + "/blobs")
	require.NoError(t, err)
	f, err := store.Reopen(name, key)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	rd, err := store.Reader(name, key)
	require.NoError(t, err)
	defer rd.Close()
	require.GreaterOrEqual(t, len(rd.Segments()), acknowledged)
	for i, s := range rd.Segments() {
		got, err := io.ReadAll(io.NewSectionReader(rd, s.Offset, s.Size))
		require.NoError(t, err)
		require.True(t, bytes.Equal(part(i), got), "segment %d", i)
	}
}
