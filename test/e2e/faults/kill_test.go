package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// powerCut kills the all-in-one within a bound and starts it again with the same data.
func (s *site) powerCut(t *testing.T, r *rand.Rand, within time.Duration) {
	t.Helper()
	after := time.Duration(r.Int64N(int64(within)))
	time.Sleep(after) // the moment is the test
	s.kill()
	t.Logf("killed after %s", after.Round(time.Millisecond))
	s.start(t)
}

// The life of two clusters, with the process killed at two random moments of each of its parts.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	r := random(t)
	s := running(t)
	u := s.as(t, "demo")
	old, newer := u.template(t, "v1.34.2"), u.template(t, "v1.35.1")
	before := s.everything(t, u)

	a := asked{uuid: u.create(t, "a", old, 1, 1), masters: 1, workers: 1, version: "v1.34.2"}
	b := asked{uuid: u.create(t, "b", old, 3, 2), masters: 3, workers: 2, version: "v1.34.2"}
	ends := func(state string) {
		t.Helper()
		s.powerCut(t, r, 8*time.Second)
		s.powerCut(t, r, 4*time.Second)
		for _, c := range []asked{a, b} {
			u.reaches(t, c.uuid, state)
		}
		s.wantExactly(t, u, a, b)
	}
	ends("CREATE_COMPLETE")

	t.Log("resize: one grows, one shrinks")
	a.workers, b.workers = 3, 1
	for _, c := range []asked{a, b} {
		u.want(t, http.StatusAccepted, "POST", "/clusters/"+c.uuid+"/actions/resize", object{"node_count": c.workers}, nil)
	}
	ends("UPDATE_COMPLETE")

	t.Log("upgrade")
	a.version, b.version = "v1.35.1", "v1.35.1"
	for _, c := range []asked{a, b} {
		u.want(t, http.StatusAccepted, "POST", "/clusters/"+c.uuid+"/actions/upgrade", object{"cluster_template": newer}, nil)
	}
	ends("UPDATE_COMPLETE")

	t.Log("delete")
	for _, c := range []asked{a, b} {
		u.want(t, http.StatusNoContent, "DELETE", "/clusters/"+c.uuid, nil, nil)
	}
	s.powerCut(t, r, 4*time.Second)
	s.powerCut(t, r, 2*time.Second)
	for _, c := range []asked{a, b} {
		u.gone(t, c.uuid)
	}
	s.wantNothing(t, u, before)
}

// Many clusters at once, and the process is killed while they come up. Whoever got an answer has a cluster; whoever got
// none may ask again, and has one cluster then.
func TestManyAtOnce(t *testing.T) {
	r := random(t)
	s := running(t)
	u := s.as(t, "demo")
	template := u.template(t, "v1.34.2")
	before := s.everything(t, u)
	began := time.Now()
	made := make(chan asked, *clusters)
	for i := range *clusters {
		go func() {
			a, err := u.do(t.Context(), "POST", "/clusters", clusterBody(fmt.Sprintf("many-%d", i), template, 1, 1))
			c := asked{masters: 1, workers: 1, version: "v1.34.2"}
			if err != nil || a.status != http.StatusAccepted {
				t.Errorf("create cluster %d: %d %s %v", i, a.status, a.body, err)
			} else {
				c.uuid = strings.Split(string(a.body), `"`)[3]
			}
			made <- c
		}()
	}
	var all []asked
	for range *clusters {
		all = append(all, <-made)
	}
	if t.Failed() {
		return
	}
	t.Logf("%d clusters accepted after %.1fs", len(all), time.Since(began).Seconds())
	half := len(all)/4 + r.IntN(len(all)/2)
	complete := func(n int) func(context.Context) (bool, string, error) {
		return func(context.Context) (bool, string, error) {
			count := map[string]int{}
			for _, c := range u.list(t) {
				count[c.Status]++
				if strings.HasSuffix(c.Status, "_FAILED") {
					return false, "", givenUpError(fmt.Sprintf("%s %s", c.Status, c.StatusReason))
				}
			}
			return count["CREATE_COMPLETE"] >= n, fmt.Sprint(count), nil
		}
	}
	await(t, fmt.Sprintf("%d of %d are complete", half, len(all)), 15*time.Minute, complete(half))
	cpu := s.cpu(t)
	s.kill()
	s.start(t)
	t.Logf("killed and started again %.1fs after the first request; it serves after %.1fs", time.Since(began).Seconds(), time.Since(s.began).Seconds())
	await(t, "all are complete", 15*time.Minute, complete(len(all)))
	t.Logf("%d clusters: %.1fs from the first request to the last CREATE_COMPLETE, over a kill; processor %.1fs before it and %.1fs after it; %d MB resident",
		len(all), time.Since(began).Seconds(), cpu.Seconds(), s.cpu(t).Seconds(), s.resident(t))
	if have := u.list(t); len(have) != len(all) {
		t.Errorf("%d clusters are there, want %d", len(have), len(all))
	}
	s.wantExactly(t, u, all...)

	began = time.Now()
	for _, c := range all {
		u.want(t, http.StatusNoContent, "DELETE", "/clusters/"+c.uuid, nil, nil)
	}
	await(t, "all are gone", 15*time.Minute, func(context.Context) (bool, string, error) {
		left := u.list(t)
		return len(left) == 0, fmt.Sprintf("%d are left", len(left)), nil
	})
	t.Logf("%d clusters deleted in %.1fs", len(all), time.Since(began).Seconds())
	s.wantNothing(t, u, before)
}

// A client's request to create a cluster stores a record and then an application credential; nobody else can make the
// latter.
func TestKilledWithinCreate(t *testing.T) {
	t.Parallel()
	s := running(t)
	u, admin := s.as(t, "demo"), s.as(t, "admin")
	template := u.template(t, "v1.34.2")
	before := s.everything(t, u)

	// Keystone takes its time over application credentials: each POST stands still between the two.
	admin.faults(t, object{"service": "identity", "method": "POST", "path": "*/application_credentials", "delay": "10m"})
	names := []string{"alone", "early", "late"}
	answers := make(chan error, len(names))
	for _, name := range names {
		go func() {
			a, err := u.do(t.Context(), "POST", "/clusters", clusterBody(name, template, 1, 1))
			if err == nil {
				err = fmt.Errorf("answered %d %s", a.status, a.body)
			}
			answers <- err
		}()
	}
	uuid := map[string]string{}
	await(t, "the records are stored", soonBound, func(context.Context) (bool, string, error) {
		for _, c := range u.list(t) {
			uuid[c.Name] = c.UUID
		}
		return len(uuid) == len(names), fmt.Sprint(uuid), nil
	})
	s.kill()
	for range names {
		if err := <-answers; strings.Contains(err.Error(), "answered") {
			t.Errorf("a request that could not be finished was %v", err)
		}
	}
	s.start(t) // the rule is forgotten: it was not in the simulator's file
	if c := u.list(t); len(c) != len(names) {
		t.Errorf("%d records survived, want %d: %+v", len(c), len(names), c)
	}

	// The kill may as well have come after Keystone had made the credential and before it was stored.
	for _, name := range []string{"early", "late"} {
		u.cloud(t, http.StatusCreated, "POST", "/v3/users/"+u.user+"/application_credentials",
			object{"application_credential": object{"name": uuid[name]}}, nil)
	}
	if !slices.Contains(u.belongings(t), "application_credentials "+uuid["late"]) {
		t.Fatal("the credential of this test is not seen, so its end would prove nothing")
	}

	t.Log("one is deleted while it waits for its credential")
	u.want(t, http.StatusNoContent, "DELETE", "/clusters/"+uuid["early"], nil, nil)
	u.gone(t, uuid["early"])

	t.Log("the others fail when their time is up, and say why")
	for _, name := range []string{"alone", "late"} {
		c := u.reaches(t, uuid[name], "CREATE_FAILED")
		if !strings.Contains(c.StatusReason, "application credential") || !strings.Contains(c.StatusReason, "create it again") {
			t.Errorf("the reason does not say what happened and what to do: %q", c.StatusReason)
		}
		u.want(t, http.StatusNoContent, "DELETE", "/clusters/"+uuid[name], nil, nil)
		u.gone(t, uuid[name])
	}
	s.wantNothing(t, u, before)
}

// The same window without a kill: the owner deletes the cluster, or hangs up, while the request that makes it is under
// way.
func TestInterruptedCreate(t *testing.T) {
	t.Parallel()
	s := running(t)
	u, admin := s.as(t, "demo"), s.as(t, "admin")
	template := u.template(t, "v1.34.2")
	before := s.everything(t, u)

	slow := object{"service": "identity", "method": "POST", "path": "*/application_credentials", "delay": "3s"}
	admin.faults(t, slow)
	t.Log("deleted by somebody else before the request is answered")
	answered := make(chan answer, 1)
	go func() {
		a, _ := u.do(t.Context(), "POST", "/clusters", clusterBody("deleted", template, 1, 1))
		answered <- a
	}()
	await(t, "the record is stored", soonBound, func(context.Context) (bool, string, error) { return len(u.list(t)) == 1, "", nil })
	u.want(t, http.StatusNoContent, "DELETE", "/clusters/deleted", nil, nil)
	a := <-answered
	t.Logf("the request that made the cluster was answered %d %s", a.status, a.body)
	if a.status == http.StatusInternalServerError {
		t.Errorf("a cluster that its owner deletes is no fault of the service: %s", a.body)
	}
	u.gone(t, "deleted")
	s.wantNothing(t, u, before)

	t.Log("the client hangs up before the request is answered")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = u.do(ctx, "POST", "/clusters", clusterBody("hung-up", template, 1, 1))
	}()
	await(t, "the record is stored", soonBound, func(context.Context) (bool, string, error) { return len(u.list(t)) == 1, "", nil })
	cancel()
	<-done
	var c cluster
	await(t, "the cluster is complete or gone", clusterBound, func(ctx context.Context) (bool, string, error) {
		now, ok, err := u.get(ctx, "hung-up")
		c = now
		return err == nil && (!ok || c.Status == "CREATE_COMPLETE"), c.Status + " " + c.StatusReason, err
	})
	if c.UUID != "" {
		s.wantExactly(t, u, asked{c.UUID, 1, 1, "v1.34.2"})
		u.want(t, http.StatusNoContent, "DELETE", "/clusters/hung-up", nil, nil)
		u.gone(t, "hung-up")
	}
	time.Sleep(5 * time.Second) // longer than Keystone takes: what it makes too late is left behind
	s.wantNothing(t, u, before)
}
