package app_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var benchmark = regexp.MustCompile(`(?m)^func (Benchmark\w+)\(`)

// TestThreatsAreHeldOff holds docs/threats.md to what it says: a row for each
// threat against links, people and pages, in order, and no test that there is
// not.
func TestThreatsAreHeldOff(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "threats.md"))
	require.NoError(t, err)
	tests, titles := goTests(t, root), pageTests(t, root)
	for name := range benchmarks(t, root) {
		tests[name] = true
	}
	var wanted, found []string
	for n := 1; n <= 14; n++ {
		wanted = append(wanted, fmt.Sprintf("T%02d", n))
	}
	wanted = append(wanted, "T29", "T30", "T45")
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| T") || strings.HasPrefix(line, "| T |") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		require.Len(t, cells, 5, line)
		name := strings.TrimSpace(cells[0])
		if len(found) == 0 || found[len(found)-1] != name {
			found = append(found, name)
			require.NotEmpty(t, strings.TrimSpace(cells[1]), name)
			require.NotEmpty(t, strings.TrimSpace(cells[2]), name)
		}
		require.NotEmpty(t, strings.TrimSpace(cells[3]), name)
		named := quoted.FindAllStringSubmatch(cells[4], -1)
		require.True(t, len(named) > 0 || strings.Contains(cells[4], "not yet"), "%s: neither a test nor owed", name)
		for _, m := range named {
			if title := pageTitle.FindStringSubmatch(m[1]); title != nil {
				require.True(t, titles[title[1]].has(title[2]), "%s: pwa/e2e/%s.test.mjs has no test named %q", name, title[1], title[2])
			} else {
				require.True(t, tests[m[1]], "%s: there is no test %s", name, m[1])
			}
		}
	}
	require.Equal(t, wanted, found)
}

func benchmarks(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{"graph", "server"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range benchmark.FindAllStringSubmatch(string(text), -1) {
				names[m[1]] = true
			}
			return err
		}))
	}
	return names
}
