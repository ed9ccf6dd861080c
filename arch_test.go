package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/jeroboam-cloud/jeroboam"

// floors is the picture in ARCHITECTURE.md. A package may import packages of lower floors, and its own children.
func floors() [][]string {
	return [][]string{
		1: {
			"internal/magnum", "internal/label", "internal/crd/v1alpha1", "internal/crd/manifests", "internal/policy",
			"internal/oslo", "internal/pki", "internal/phase", "internal/version", "internal/jinja",
			"internal/osa/haproxy", "internal/sni", "internal/proxy/manifests", "internal/plan", "internal/golden",
			"internal/sign", "internal/whole", "internal/publisher",
		},
		2: {
			"internal/openstack", "internal/kube", "internal/netns", "internal/osa", "internal/registry", "internal/host",
			"internal/remote", "internal/workload", "internal/tenant", "internal/notify", "internal/backup/offsite", "internal/sign/signtest", "internal/publisher/publishertest",
		},
		3: {
			"internal/store", "internal/capi", "internal/addon", "internal/osa/intent", "internal/backup", "internal/kube/kubetest", "internal/proxy/backend", "internal/image",
			"internal/deploy/site",
		},
		4: {
			"internal/api", "internal/controller", "internal/controller/cluster",
			"internal/controller/nodegroup", "internal/controller/health", "internal/controller/certificate",
			"internal/controller/addon",
			"internal/proxy", "internal/proxy/control", "internal/proxy/native", "internal/proxy/haproxy", "internal/bundle",
			"internal/deploy", "internal/deploy/node", "internal/deploy/balance", "internal/deploy/components", "internal/deploy/backups",
			"internal/deploy/magnum", "internal/deploy/keystone", "internal/deploy/proxy", "internal/deploy/preflight", "internal/deploy/kubeadm", "internal/deploy/kubeconfigs", "internal/verify",
		},
		5: {"internal/cli", "internal/deploy/deploytest"},
		6: {"."},
	}
}

// heavy is what the light module must never link, and why.
func heavy() map[string]string {
	return map[string]string{
		"k8s.io/kubernetes":            "the embedded API server lives in allinone/",
		"go.etcd.io/etcd/server/v3":    "the embedded etcd lives in allinone/",
		"sigs.k8s.io/cluster-api":      "its types are in the light module sigs.k8s.io/cluster-api/api",
		"sigs.k8s.io/cluster-api/test": "the in-memory infrastructure lives in allinone/",
		"k8s.io/apiserver":             "an API server is not a client",
		"github.com/stretchr/testify":  "tests use the standard library and go-cmp",
		"github.com/onsi/ginkgo/v2":    "tests use the standard library and go-cmp",
	}
}

// source is one Go file as far as this test looks at it.
type source struct {
	path, pkg string // path from the root; directory, slash separated
	test      bool
	file      *ast.File
	fset      *token.FileSet
	lines     int
}

// sources reads the files instead of asking "go list", whose answers the test cache would remember.
func sources(t *testing.T, root string) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "generated") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(d.Name(), "zz_generated") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, source{
			path: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)), file: f, fset: fset,
			test: strings.HasSuffix(path, "_test.go"), lines: strings.Count(string(text), "\n"),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func light(s source) bool {
	return !strings.HasPrefix(s.pkg, "allinone") && s.pkg != "release" && !strings.HasPrefix(s.pkg, "test/")
}

func TestImportsGoDownOnly(t *testing.T) {
	floorOf := map[string]int{}
	for n, pkgs := range floors() {
		for _, p := range pkgs {
			floorOf[p] = n
		}
	}
	for _, s := range sources(t, ".") {
		if !light(s) || s.test {
			continue
		}
		mine, known := floorOf[s.pkg]
		if !known {
			t.Errorf("%s: package %s stands on no floor: name it in floors() and in ARCHITECTURE.md", s.path, s.pkg)
			continue
		}
		for _, imp := range s.file.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			for h, why := range heavy() {
				if path == h || strings.HasPrefix(path, h+"/") && !strings.HasPrefix(path, "sigs.k8s.io/cluster-api/api/") {
					t.Errorf("%s imports %s: %s", s.path, path, why)
				}
			}
			if path == "k8s.io/client-go/kubernetes" {
				t.Errorf("%s: Kubernetes' whole client set is 7 MB of the binary: take the groups that are asked", s.path)
			}
			other, ours := strings.CutPrefix(path, module+"/")
			if !ours || strings.HasPrefix(other, s.pkg+"/") {
				continue
			}
			if theirs, ok := floorOf[other]; !ok || theirs >= mine {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go down only, siblings never meet", s.path, mine, other, theirs)
			}
		}
	}
}

// TestLightStaysLight asks what the binary really links. It is worth the most with -count=1: the test cache does not
// see what "go list" reads.
func TestLightStaysLight(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		for h, why := range heavy() {
			if h == "sigs.k8s.io/cluster-api" && strings.HasPrefix(path, h+"/api/") {
				continue
			}
			if path == h || strings.HasPrefix(path, h+"/") {
				t.Errorf("the light binary links %s: %s", path, why)
			}
		}
	}
}

func TestFloorsNameExistingPackages(t *testing.T) {
	have := map[string]bool{}
	for _, s := range sources(t, ".") {
		have[s.pkg] = true
	}
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for n, pkgs := range floors() {
		for _, p := range pkgs {
			if !have[p] {
				t.Errorf("floor %d names %s, which does not exist", n, p)
			}
			if name := strings.TrimPrefix(p, "internal/"); name != "." && !hasRow(string(page), n, name) {
				t.Errorf("ARCHITECTURE.md has no row of floor %d that names `%s`", n, name)
			}
		}
	}
}

// hasRow says whether the table of a page has a package on a floor.
func hasRow(page string, floor int, name string) bool {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| "+strconv.Itoa(floor)+" |") && strings.Contains(line, "`"+name+"`") {
			return true
		}
	}
	return false
}

func TestEveryPackageTeaches(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t, ".") {
		if s.test {
			continue
		}
		said[s.pkg] = said[s.pkg] || len(s.file.Doc.Text()) > 60
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf("package %s has no comment that says what it is for", pkg)
		}
	}
}

func TestShape(t *testing.T) {
	for _, s := range sources(t, ".") {
		if s.test {
			continue
		}
		if s.lines > 400 {
			t.Errorf("%s has %d lines: split it by meaning (limit 400)", s.path, s.lines)
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: init(): what runs must be written where it is called", s.path)
			}
			from, to := s.fset.Position(fn.Pos()).Line, s.fset.Position(fn.End()).Line
			if to-from >= 100 {
				t.Errorf("%s: %s has %d lines (limit 100)", s.path, fn.Name.Name, to-from+1)
			}
		}
		if s.file.Name.Name == "main" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "os" && sel.Sel.Name == "Exit" {
					t.Errorf("%s: os.Exit: only main exits", s.path)
				}
			}
			return true
		})
	}
}

func TestGoModHasNoReplace(t *testing.T) {
	b, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(strings.Split(string(b), "\n"), func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "replace") }) {
		t.Error("go.mod has a replace: nobody could then install the command with its version")
	}
}
