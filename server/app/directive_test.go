package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// articles are every article and item of the directive, in its order.
var articles = strings.Fields(`第1
	第2の1 第2の2 第2の3 第2の4 第2の5(1) 第2の5(2) 第2の6 第2の7 第2の8 第2の9 第2の10 第2の11
	第3の1(1) 第3の1(2) 第3の2(1) 第3の2(2) 第3の3(1) 第3の3(2)
	第4の1(1) 第4の1(2) 第4の1(3) 第4の2(1) 第4の2(2)ア 第4の2(2)イ 第4の2(2)ウ 第4の2(2)エ 第4の3(1) 第4の3(2) 第4の3(3)
	第4の4(1)ア 第4の4(1)イ 第4の4(1)ウ 第4の4(1)エ
	第4の4(2)ア 第4の4(2)イ 第4の4(2)ウ 第4の4(2)エ 第4の4(2)オ 第4の4(2)カ 第4の4(2)キ 第4の4(2)ク
	第4の5 第4の6 第5の1(1) 第5の1(2) 第5の2 第6の1 第6の2 第6の3(1) 第6の3(2) 第6の4 第6の5
	第7の1 第7の2 第8の1 第8の2 第9 第10 第11`)

var (
	goTest      = regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+)\(`)
	pageTest    = regexp.MustCompile("(?m)^\\s*test\\(\\s*(?:'((?:[^'\\\\]|\\\\.)+)'|`([^`]+)`)")
	quoted      = regexp.MustCompile("`([^`]+)`")
	pageTitle   = regexp.MustCompile(`^([a-z-]+): (.+)$`)
	placeholder = regexp.MustCompile(`\\\$\\\{[^}]*\\\}`)
)

// TestDirectiveIsCarriedOut holds docs/directive.md to what it says: a row for
// each article and item, in order, and no operation and no test that there is not.
func TestDirectiveIsCarriedOut(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "directive.md"))
	require.NoError(t, err)
	operations, tests, titles := rootFields(t, root), goTests(t, root), pageTests(t, root)

	var rows []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		article := strings.TrimSpace(cells[0])
		if !strings.HasPrefix(line, "| 第") {
			continue
		}
		rows = append(rows, article)
		if !assertShape(t, article, cells) {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[3], -1) {
			if !operations[m[1]] {
				t.Errorf("%s: the schema has no %s", article, m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[5], -1) {
			if title := pageTitle.FindStringSubmatch(m[1]); title != nil {
				if !titles[title[1]].has(title[2]) {
					t.Errorf("%s: pwa/e2e/%s.test.mjs has no test named %q", article, title[1], title[2])
				}
			} else if !tests[m[1]] {
				t.Errorf("%s: there is no test %s", article, m[1])
			}
		}
	}
	require.Equal(t, articles, rows)
}

// assertShape tells whether a row says what carries its article out, and either
// names a test or says that it is a person's to do.
func assertShape(t *testing.T, article string, cells []string) bool {
	t.Helper()
	if len(cells) != 6 {
		t.Errorf("%s: %d cells", article, len(cells))
		return false
	}
	for i, c := range cells[:3] {
		if strings.TrimSpace(c) == "" {
			t.Errorf("%s: cell %d is empty", article, i+1)
		}
	}
	if !quoted.MatchString(cells[5]) && !strings.Contains(cells[5], "a person's") && !strings.Contains(cells[5], "not yet") {
		t.Errorf("%s: neither a test, nor a person's, nor owed's", article)
	}
	return true
}

func rootFields(t *testing.T, root string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "graph", "schema", "*.graphqls"))
	require.NoError(t, err)
	var sources []*ast.Source
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		sources = append(sources, &ast.Source{Name: f, Input: string(text)})
	}
	schema, err := gqlparser.LoadSchema(sources...)
	require.NoError(t, err)
	fields := map[string]bool{}
	for _, d := range []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription} {
		for _, f := range d.Fields {
			fields[f.Name] = true
		}
	}
	return fields
}

func goTests(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{"graph", "policy", "server"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range goTest.FindAllStringSubmatch(string(text), -1) {
				names[m[1]] = true
			}
			return err
		}))
	}
	return names
}

// titled are the titles of one file; a template's is the form of several.
type titled []*regexp.Regexp

func (all titled) has(title string) bool {
	for _, form := range all {
		if form.MatchString(title) {
			return true
		}
	}
	return false
}

func pageTests(t *testing.T, root string) map[string]titled {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "pwa", "e2e", "*.test.mjs"))
	require.NoError(t, err)
	titles := map[string]titled{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(f), ".test.mjs")
		for _, m := range pageTest.FindAllStringSubmatch(string(text), -1) {
			form := placeholder.ReplaceAllString(regexp.QuoteMeta(strings.ReplaceAll(m[1], `\'`, `'`)+m[2]), ".+")
			titles[name] = append(titles[name], regexp.MustCompile("^"+form+"$"))
		}
	}
	return titles
}
