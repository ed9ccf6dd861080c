package intent_test

import (
	"go/types"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/go/packages"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// TestIgnored sees that what is set and has no effect is told, once for each variable, and nothing that has one.
func TestIgnored(t *testing.T) {
	always := []string{"cluster_api_infrastructure_provider", "clusterctl_version", "magnum_magnum_cluster_api_git_install_branch", "magnum_user_pip_packages"} // of the clean directory
	for _, tc := range []struct {
		name  string
		edits []edit
		want  []string
	}{
		{"what the clean directory has", nil, nil},
		{
			"registries, downloads and charts",
			[]edit{{k8s, "", "kubeadm_download_url: https://mirror/kubeadm\ncert_manager_helm_values: {a: 1}\ncilium_node_image: mirror/cilium:v1\nrunc_version: 1.2.3"}},
			[]string{"cert_manager_helm_values", "cilium_node_image", "kubeadm_download_url", "runc_version"},
		},
		{"containers", []edit{{k8s, "", "lxc_container_backing_store: lvm\nlxc_container_fs_size: 50G\nk8s_serial: 1"}}, []string{"k8s_serial", "lxc_container_backing_store", "lxc_container_fs_size"}},
		{"what has an effect", []edit{{k8s, "", "lxc_container_allow_restarts: false\nkubernetes_image_repository: mirror.example.com/k8s\ncontainerd_insecure_registries: [mirror:5000]\ncontainerd_registries: {quay.io: {mirrors: ['https://m/quay']}}"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range findings(t, clean(t, tc.edits...)) {
				if f.Code == "ignored" {
					variable, _, _ := strings.Cut(f.Text, " ")
					got = append(got, variable)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(append(slices.Clone(always), tc.want...)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

const here = "github.com/jeroboam-cloud/jeroboam/internal/osa/intent"

// TestEveryFieldIsReadOrTold walks the typed intent: a field that no deployment reads is told as having no effect, or
// is there to be shown. Nothing is read and then dropped without a word.
func TestEveryFieldIsReadOrTold(t *testing.T) {
	read, told, walked := fieldsRead(t), map[string]bool{}, map[reflect.Type]bool{}
	var walk func(ty reflect.Type, path string)
	walk = func(ty reflect.Type, path string) {
		for i := range ty.NumField() {
			f := ty.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" {
				continue
			}
			inner, at := f.Type, path+name
			for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Map {
				if inner.Kind() == reflect.Slice {
					at += "[]"
				}
				inner = inner.Elem()
			}
			nested := inner.Kind() == reflect.Struct && inner.PkgPath() == here && inner.NumField() > 1
			if f.Anonymous {
				if !walked[inner] {
					walked[inner] = true
					walk(inner, path)
				}
				continue
			}
			field := strings.TrimSuffix(at, "[]")
			_, ignored := intent.Ignored()[field]
			_, informs := intent.Informative()[field]
			told[field] = true
			switch used := read[ty.Name()+"."+f.Name]; {
			case used && ignored:
				t.Errorf("%s (%s.%s) is read, and told as ignored", field, ty.Name(), f.Name)
			case used || ignored || informs:
			case nested: // its own fields say
			default:
				t.Errorf("%s (%s.%s) is read by nothing: let it have an effect, or name it in ignored() or informative()", field, ty.Name(), f.Name)
			}
			if nested && !ignored && !walked[inner] {
				walked[inner] = true
				walk(inner, at+".")
			}
		}
	}
	walk(reflect.TypeFor[intent.Intent](), "")
	for _, table := range []map[string]string{intent.Ignored(), intent.Informative()} {
		for field := range table {
			if !told[field] {
				t.Errorf("%s is in a table, and there is no such field", field)
			}
		}
	}
}

// fieldsRead are the fields of the intent that the code of a deployment names, as TYPE.FIELD.
func fieldsRead(t *testing.T) map[string]bool {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{
		Env:  append(os.Environ(), "CGO_ENABLED=0"), // as everything else is compiled: with C, which the race detector needs, it would be compiled anew
		Mode: packages.NeedName | packages.NeedImports | packages.NeedExportFile | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo, Dir: "../../..",
	}, "./internal/deploy/...", "./internal/cli", "./internal/osa/haproxy/...")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	for _, p := range loaded {
		for _, problem := range p.Errors {
			t.Fatal(problem)
		}
		for _, s := range p.TypesInfo.Selections {
			if field, ok := s.Obj().(*types.Var); ok && field.Pkg() != nil && field.Pkg().Path() == here {
				read[owner(s)+"."+field.Name()] = true
			}
		}
	}
	return read
}

// owner is the struct that a selected field stands in, which may be one that is embedded in the receiver.
func owner(s *types.Selection) string {
	at := s.Recv()
	for _, i := range s.Index()[:len(s.Index())-1] {
		at = structOf(at).Field(i).Type()
	}
	if p, ok := at.Underlying().(*types.Pointer); ok {
		at = p.Elem()
	}
	if named, ok := types.Unalias(at).(*types.Named); ok {
		return named.Obj().Name()
	}
	return ""
}

func structOf(at types.Type) *types.Struct {
	if p, ok := at.Underlying().(*types.Pointer); ok {
		at = p.Elem()
	}
	return at.Underlying().(*types.Struct) //nolint:forcetypeassert // it has a field
}
