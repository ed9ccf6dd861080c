package api

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

const (
	// lookWithin bounds the look into a cluster: its owner waits, and the API server may be silent.
	lookWithin = 8 * time.Second
	mostNamed  = 10 // of each kind of obstacle
)

// lookInto looks into a cluster for what would make its upgrade fail or hang: APIs in use that the new version has no
// more, and budgets that let no pod go, so that no node could ever be drained. What it finds is a refusal, unless the
// owner has said that a warning is enough. A cluster that does not answer is upgraded all the same: an upgrade may be
// what repairs it.
func (s *server) lookInto(ctx context.Context, g policy.Grant, k *magnum.Cluster, to string) (note string, err error) {
	if s.Workload == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	apis, budgets, err := s.look(ctx, g, k.UUID)
	if err != nil {
		s.Logger.LogAttrs(ctx, slog.LevelInfo, "a cluster is upgraded without a look into it",
			slog.String("cluster", k.UUID), slog.String("problem", err.Error()))
		note = "Nobody could look into the cluster before its upgrade, because it did not answer."
	}
	found := slices.Concat(removedBy(to, kubernetesOf(k), apis), forbidding(budgets))
	if len(found) == 0 {
		return note, nil
	}
	if label.Of(k.Labels).String(label.UpgradeChecks) == "warn" {
		return sentences(found), nil
	}
	return "", magnum.Invalid("%s Fix that, or set the label %s of the cluster to warn.", sentences(found), label.UpgradeChecks)
}

// look asks both questions at once. What one of them has learned is worth telling even when the other fails.
func (s *server) look(ctx context.Context, g policy.Grant, id string) (apis []workload.DeprecatedAPI, budgets []workload.Budget, err error) {
	w, err := s.Workload(ctx, g, id)
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	var questions errgroup.Group
	questions.Go(func() (err error) { apis, err = w.DeprecatedAPIs(ctx); return err })
	questions.Go(func() (err error) { budgets, err = w.Budgets(ctx); return err })
	err = questions.Wait()
	return apis, budgets, err
}

// removedBy names the APIs in use that a version of Kubernetes has no more and the present one has.
func removedBy(to, from string, apis []workload.DeprecatedAPI) []string {
	next, okNext := parseTag(to)
	now, okNow := parseTag(from)
	if !okNext || !okNow {
		return nil
	}
	var names []string
	for _, a := range apis {
		major, minor, ok := strings.Cut(a.Removed, ".")
		n, err := strconv.Atoi(minor)
		if ok && err == nil && major == strconv.Itoa(next[0]) && n > now[1] && n <= next[1] {
			names = append(names, a.String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []string{fmt.Sprintf("Kubernetes %s has removed %s, which was used since the API server started.", to, few(names))}
}

// forbidding names the budgets that let no pod go.
func forbidding(budgets []workload.Budget) []string {
	var names []string
	for _, b := range budgets {
		if b.Forbids() {
			names = append(names, fmt.Sprintf("%s/%s (%d of %d must stay)", b.Namespace, b.Name, b.Wanted, b.Expected))
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []string{"PodDisruptionBudgets allow no eviction, so nodes cannot be drained: " + few(names) + "."}
}

func few(names []string) string {
	if len(names) > mostNamed {
		return strings.Join(names[:mostNamed], ", ") + fmt.Sprintf(" and %d more", len(names)-mostNamed)
	}
	return strings.Join(names, ", ")
}
