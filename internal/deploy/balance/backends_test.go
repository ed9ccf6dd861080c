package balance

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// On metal hosts the API server and Magnum are servers of one name: the service tells them apart.
func TestBackends(t *testing.T) {
	const text = "# pxname,svname,status,check_status,\nk8s-front,FRONTEND,OPEN,,\nk8s-back,infra1,UP,* L7OK,\nk8s-back,BACKEND,UP,,\nmagnum-back,infra1,DOWN,L4CON,\n"
	for _, tt := range []struct {
		reason, service, text string
		want                  []Backend
	}{
		{"of one service", "k8s", text, []Backend{{Balancer: "lb", Service: "k8s", Server: "infra1", Status: "UP", Check: "L7OK"}}},
		{"of another", "magnum", text, []Backend{{Balancer: "lb", Service: "magnum", Server: "infra1", Status: "DOWN", Check: "L4CON"}}},
		{"it has none", "nova", text, nil},
		{"nothing came", "k8s", "", []Backend{{Balancer: "lb", Service: "k8s", Status: "haproxy's answer cannot be read"}}},
		{"another program", "k8s", "a,b\n", []Backend{{Balancer: "lb", Service: "k8s", Status: "haproxy's answer lacks columns"}}},
	} {
		if diff := cmp.Diff(tt.want, backends("lb", tt.service, tt.text)); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.reason, diff)
		}
	}
}
