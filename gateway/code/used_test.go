package code_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every code of the modules is logged somewhere: help does not explain what can not happen.
func TestEveryCodeIsUsed(t *testing.T) {
	names := map[string]bool{}
	own, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range own {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				// Those of life and control are texts of commands as well.
				if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Value < `"GW6` {
					names[v.Names[0].Name] = false
				}
			}
		}
	}
	for _, root := range []string{"..", "../../cmd/honeyant-gateway"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for name := range names {
				if !names[name] && strings.Contains(string(text), "code."+name) {
					names[name] = true
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, used := range names {
		if !used {
			t.Errorf("code.%s is explained, but nothing logs it", name)
		}
	}
}
