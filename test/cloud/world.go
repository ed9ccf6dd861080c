package main

// What an operator's cloud has beside its services.

type user struct {
	name, project string
	roles         []string
}

type service struct{ kind, name, url string }

type flavor struct {
	name             string
	vcpus, ram, disk int
}

type operated struct {
	users    []user
	services []service
	flavors  []flavor
}

// A user's password is its name, but for services and the administrator, whose password is "lab": nothing of this can
// be reached from outside the cloud's network namespace.
func (u user) password() string {
	if u.project == "service" || u.name == "admin" {
		return "lab"
	}
	return u.name
}

func world() operated {
	member := []string{"member", "load-balancer_member", "creator"}
	w := operated{
		users: []user{
			{"demo", "demo", member},
			{"other", "other", member},
			{"reader", "demo", []string{"reader", "load-balancer_observer"}},
			{"admin", "admin", []string{"admin", "load-balancer_admin"}},
		},
		services: []service{
			{"image", "glance", "http://" + address + ":9292"},
			{"placement", "placement", "http://" + address + ":8778"},
			{"compute", "nova", "http://" + address + ":8774/v2.1"},
			{"network", "neutron", "http://" + address + ":9696"},
			{"volumev3", "cinder", "http://" + address + ":8776/v3/$(project_id)s"},
			{"load-balancer", "octavia", "http://" + address + ":9876"},
			// Jeroboam's, which whoever tests it starts in the cloud's network.
			{"container-infra", "magnum", "http://" + gateway + ":9511/v1"},
		},
		// Enough for kubeadm: it wants two processors and 1700 MB. Disks are whole copies of an image.
		flavors: []flavor{{"m1.tiny", 1, 512, 2}, {"m1.small", 2, 2048, 5}, {"m1.medium", 2, 3072, 10}, {"m1.large", 4, 4096, 20}},
	}
	for _, name := range []string{"glance", "placement", "nova", "neutron", "cinder", "octavia", "magnum"} {
		w.users = append(w.users, user{name, "service", []string{"admin", "service"}})
	}
	return w
}

// people are those who get an entry in clouds.yaml; magnum is Jeroboam's service user.
func people() []user {
	var out []user
	for _, u := range world().users {
		if u.project != "service" || u.name == "magnum" {
			out = append(out, u)
		}
	}
	return out
}
