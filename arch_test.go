package honeyant_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The layers of doc/architecture.md: imports only point down, and within a layer only
// from a sub-package to its parent or from a parent's tests to its sub-packages.
var layers = []struct {
	layer int
	path  string // prefix of the import path below the module
}{
	{0, ""}, {0, "internal/worker"}, {0, "internal/version"}, {0, "internal/mountinfo"}, {0, "internal/lazy"}, {0, "internal/spin"},
	{1, "kv"}, {1, "rpc"}, {1, "config"}, {1, "disk"},
	{2, "meta"}, {2, "chunk"}, {2, "placement"}, {2, "bench"},
	{3, "consensus"}, {3, "cluster"}, {3, "replica"}, {3, "backup"},
	{4, "volume"}, {4, "maintenance"}, {4, "advice"}, {4, "transfer"},
	{5, "frontend"}, {5, "gateway"}, {5, "admin"},
	{6, "node"},
	{7, "clustertest"}, {7, "cmd"}, {7, "test"},
}

const module = "github.com/honeyant/honeyant"

// sideways lists the imports within a layer that are part of the design.
var sideways = map[string]bool{
	"kv -> rpc/wire": true, // rpc/wire is the encoding everybody shares; it imports only the root
}

func layerOf(path string) (layer int, role string, ok bool) {
	best := -1
	for _, l := range layers {
		match := path == l.path || l.path != "" && strings.HasPrefix(path, l.path+"/")
		if match && len(l.path) > best {
			best, layer, role, ok = len(l.path), l.layer, l.path, true
		}
	}
	return layer, role, ok
}

type file struct {
	path, dir string
	lines     int
	ast       *ast.File
	fset      *token.FileSet
}

func goFiles(t *testing.T) []file {
	t.Helper()
	var all []file
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if dir == "." {
			dir = ""
		}
		all = append(all, file{filepath.ToSlash(path), dir, strings.Count(string(src), "\n"), parsed, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func isTest(f file) bool { return strings.HasSuffix(f.path, "_test.go") }

// isTestPackage tells packages that exist for tests: they may import testing.
func isTestPackage(dir string) bool {
	return strings.HasSuffix(filepath.Base(dir), "test") || strings.HasPrefix(dir, "test/") || dir == "test"
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range goFiles(t) {
		if isTest(f) {
			continue
		}
		layer, role, ok := layerOf(f.dir)
		if !ok {
			t.Errorf("%s: directory %q is in no layer; add it to doc/architecture.md and to this test", f.path, f.dir)
			continue
		}
		for _, imp := range f.ast.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if path != module && !strings.HasPrefix(path, module+"/") {
				if f.dir == "" && strings.Contains(path, ".") {
					t.Errorf("%s imports %s: the root package is standard library only", f.path, path)
				}
				continue
			}
			target := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
			toLayer, toRole, ok := layerOf(target)
			switch {
			case !ok:
				t.Errorf("%s imports %s, which is in no layer", f.path, target)
			case toLayer > layer:
				t.Errorf("%s (layer %d) imports %s (layer %d): arrows point down", f.path, layer, target, toLayer)
			case toLayer == layer && toRole != role && toRole != "" && !sideways[role+" -> "+target] && layer != 7:
				t.Errorf("%s imports %s of the same layer: declare an interface and join the two in node", f.path, target)
			}
		}
	}
}

func TestTestingStaysInTests(t *testing.T) {
	for _, f := range goFiles(t) {
		if isTest(f) || isTestPackage(f.dir) {
			continue
		}
		for _, imp := range f.ast.Imports {
			if imp.Path.Value == `"testing"` {
				t.Errorf("%s imports testing", f.path)
			}
		}
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	has := map[string]bool{}
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		if isTest(f) {
			continue
		}
		seen[f.dir] = true
		if f.ast.Doc != nil && len(f.ast.Doc.Text()) > 40 {
			has[f.dir] = true
		}
	}
	for dir := range seen {
		if !has[dir] {
			t.Errorf("package %q has no comment that says what it is for", dir)
		}
	}
}

// Only commands may end the process.
func TestOnlyCommandsExit(t *testing.T) {
	for _, f := range goFiles(t) {
		if isTest(f) || strings.HasPrefix(f.dir, "cmd/") || strings.HasPrefix(f.dir, "test/") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && (x.Name == "os" && sel.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
				t.Errorf("%s: %s.%s ends the process; return an error", f.fset.Position(sel.Pos()), x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

// The budgets of the house rules: beyond them a thing is two things.
const (
	maxFileLines     = 800
	maxFunctionLines = 120
	maxPackageLines  = 6000
	maxInterface     = 10
	maxParams        = 6 // besides ctx; methods of foreign interfaces included
	maxFields        = 25
)

func TestBudgets(t *testing.T) {
	packages := map[string]int{}
	for _, f := range goFiles(t) {
		if f.lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: split it", f.path, f.lines, maxFileLines)
		}
		if isTest(f) {
			continue
		}
		packages[f.dir] += f.lines
		checkDeclarations(t, f)
	}
	for dir, lines := range packages {
		if lines > max(maxPackageLines, widePackages[dir]) {
			t.Errorf("package %q has %d lines, more than %d", dir, lines, maxPackageLines)
		}
	}
}

func checkDeclarations(t *testing.T, f file) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.FuncDecl:
			from, to := f.fset.Position(d.Pos()).Line, f.fset.Position(d.End()).Line
			if to-from > maxFunctionLines && !isTestPackage(f.dir) {
				t.Errorf("%s: %s has %d lines, more than %d", f.fset.Position(d.Pos()), d.Name.Name, to-from, maxFunctionLines)
			}
			if n := params(d.Type); n > maxParams {
				t.Errorf("%s: %s takes %d parameters, more than %d", f.fset.Position(d.Pos()), d.Name.Name, n, maxParams)
			}
		case *ast.TypeSpec:
			switch u := d.Type.(type) {
			case *ast.InterfaceType:
				if n := u.Methods.NumFields(); n > maxInterface {
					t.Errorf("%s: interface %s has %d methods, more than %d", f.fset.Position(d.Pos()), d.Name.Name, n, maxInterface)
				}
			case *ast.StructType:
				if n := u.Fields.NumFields(); n > maxFields {
					t.Errorf("%s: struct %s has %d fields, more than %d", f.fset.Position(d.Pos()), d.Name.Name, n, maxFields)
				}
			}
		}
		return true
	})
}

func params(ft *ast.FuncType) int {
	n := ft.Params.NumFields()
	if n > 0 {
		if sel, ok := ft.Params.List[0].Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Context" {
			n--
		}
	}
	return n
}

// widePackages may be larger, each for a reason.
var widePackages = map[string]int{
	"volume": 8000,  // the state of one inode is shared by reading, writing, names and the journal: split by concern, in files
	"meta":   13200, // some 80 operations, one file of about 70 lines each: split by operation, not by package
}

var docPath = regexp.MustCompile(`\bdoc/[A-Za-z0-9_/-]+\.md\b`)

// What code and documents point at must exist.
func TestDocumentPathsExist(t *testing.T) {
	check := func(where, text string) {
		for _, p := range docPath.FindAllString(text, -1) {
			if _, err := os.Stat(p); err != nil {
				t.Errorf("%s mentions %s, which does not exist", where, p)
			}
		}
	}
	for _, f := range goFiles(t) {
		for _, g := range f.ast.Comments {
			check(f.path, g.Text())
		}
	}
	err := filepath.WalkDir("doc", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		check(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
