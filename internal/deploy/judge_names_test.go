package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
)

// Every judge that can keep a plan from being carried out can be allowed by its name, and no other name is taken.
func TestDangersAreTheJudgesThatBlock(t *testing.T) {
	var blocking []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.CompositeLit); ok {
				blocking = append(blocking, blockingJudge(lit)...)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(blocking)
	have := slices.Concat(deploy.Dangers(), deploy.RestoreDangers(), deploy.DestroyDangers())
	slices.Sort(have)
	if have, want := slices.Compact(have), slices.Compact(blocking); !slices.Equal(have, want) {
		t.Errorf("--allow takes %q, and what blocks plans is %q", have, want)
	}
}

// blockingJudge is the judge of a finding that says whether it blocks.
func blockingJudge(lit *ast.CompositeLit) []string {
	fields := map[string]ast.Expr{}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok {
				fields[key.Name] = kv.Value
			}
		}
	}
	name, ok := fields["Judge"].(*ast.BasicLit)
	if !ok || fields["Blocks"] == nil {
		return nil
	}
	text, err := strconv.Unquote(name.Value)
	if err != nil {
		return nil
	}
	return []string{text}
}
