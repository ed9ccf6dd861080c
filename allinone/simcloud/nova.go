package simcloud

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Nova's microversions that we know about.
const (
	minMicroversion    = 1
	maxMicroversion    = 96
	keypairTypes       = 2  // types of key pairs; 201 and 204
	softPolicies       = 15 // soft-affinity and soft-anti-affinity
	embeddedFlavors    = 47 // a server's flavor is an object and no link
	flavorDescriptions = 55
	flavorSpecs        = 61 // extra_specs in flavors
	onePolicy          = 64 // a server group's policies became its policy
	keypairImportOnly  = 92
)

// negotiate reads the microversion a client asks Nova for; other services answer every one.
func (q *call) negotiate() error {
	if q.service != compute {
		return nil
	}
	asked := q.Header.Get("X-OpenStack-Nova-API-Version")
	if kind, version, found := strings.Cut(q.Header.Get("OpenStack-API-Version"), " "); found && kind == "compute" {
		asked = strings.TrimSpace(version)
	}
	q.version = minMicroversion
	switch {
	case asked == "latest":
		q.version = maxMicroversion
	case asked != "":
		minor, err := strconv.Atoi(strings.TrimPrefix(asked, "2."))
		if err != nil || !strings.HasPrefix(asked, "2.") {
			return fail(http.StatusBadRequest, "API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", asked)
		}
		if minor < minMicroversion || minor > maxMicroversion {
			return fail(http.StatusNotAcceptable, "Version %s is not supported by the API. Minimum is 2.%d and maximum is 2.%d.",
				asked, minMicroversion, maxMicroversion)
		}
		q.version = minor
	}
	used := fmt.Sprintf("2.%d", q.version)
	q.header.Set("OpenStack-API-Version", "compute "+used)
	q.header.Set("X-OpenStack-Nova-API-Version", used)
	q.header.Set("Vary", "OpenStack-API-Version, X-OpenStack-Nova-API-Version")
	return nil
}

func novaDocument(q *call) obj {
	return obj{
		"id": "v2.1", "status": "CURRENT", "version": fmt.Sprintf("2.%d", maxMicroversion), "min_version": "2.1",
		"updated": "2013-07-23T11:33:21Z", "links": []obj{{"rel": "self", "href": q.base + "/compute/v2.1/"}},
	}
}

func (c *Cloud) novaVersions(q *call) (reply, error) {
	return ok(obj{"versions": []obj{novaDocument(q)}})
}

func (c *Cloud) novaVersion(q *call) (reply, error) { return ok(obj{"version": novaDocument(q)}) }

func (f flavor) document(q *call, detail bool) obj {
	d := obj{"id": f.ID, "name": f.Name, "links": []obj{{"rel": "self", "href": q.base + "/compute/v2.1/flavors/" + f.ID}}}
	if q.version >= flavorDescriptions {
		d["description"] = nil
	}
	if !detail {
		return d
	}
	d["vcpus"], d["ram"], d["disk"], d["swap"], d["rxtx_factor"] = f.VCPUs, f.RAM, f.Disk, "", 1.0
	if q.version >= 75 { // Nova 2.75: swap is a number.
		d["swap"] = 0
	}
	d["OS-FLV-EXT-DATA:ephemeral"], d["OS-FLV-DISABLED:disabled"], d["os-flavor-access:is_public"] = 0, false, true
	if q.version >= flavorSpecs {
		d["extra_specs"] = f.specs()
	}
	return d
}

func (f flavor) specs() map[string]string {
	if f.ExtraSpecs == nil {
		return map[string]string{}
	}
	return f.ExtraSpecs
}

func (c *Cloud) flavorList(q *call, detail bool) (reply, error) {
	query := q.URL.Query()
	atLeast := func(name string, have int) bool {
		want, err := strconv.Atoi(query.Get(name))
		return err != nil || have >= want
	}
	var list []obj
	for _, f := range c.flavors {
		if atLeast("minRam", f.RAM) && atLeast("minDisk", f.Disk) && (!query.Has("name") || query.Get("name") == f.Name) {
			list = append(list, f.document(q, detail))
		}
	}
	return listed(q, "flavors", list, "id")
}

func (c *Cloud) listFlavors(q *call) (reply, error) { return c.flavorList(q, false) }

func (c *Cloud) listFlavorDetails(q *call) (reply, error) { return c.flavorList(q, true) }

func (c *Cloud) flavorOf(q *call) (flavor, error) {
	for _, f := range c.flavors {
		if f.ID == q.PathValue("id") {
			return f, nil
		}
	}
	return flavor{}, fail(http.StatusNotFound, "Flavor %s could not be found.", q.PathValue("id"))
}

func (c *Cloud) showFlavor(q *call) (reply, error) {
	f, err := c.flavorOf(q)
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"flavor": f.document(q, true)})
}

func (c *Cloud) showExtraSpecs(q *call) (reply, error) {
	f, err := c.flavorOf(q)
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"extra_specs": f.specs()})
}

func (c *Cloud) listComputeZones(*call) (reply, error) {
	return ok(obj{"availabilityZoneInfo": c.zones()})
}

func (c *Cloud) zones() []obj {
	list := []obj{}
	for _, zone := range c.seed.AvailabilityZones {
		list = append(list, obj{"zoneName": zone, "zoneState": obj{"available": true}, "hosts": nil})
	}
	return list
}

// beyond tells whether whoever uses so many of a quota gets no other.
func beyond(used, quota int) bool { return quota >= 0 && used >= quota }

func (c *Cloud) showLimits(q *call) (reply, error) {
	s := c.store.view()
	groups, servers, cores, memory := 0, 0, 0, 0
	for _, g := range s.ServerGroups {
		if g.ProjectID == q.who.ProjectID {
			groups++
		}
	}
	for _, m := range s.Servers {
		if m.ProjectID == q.who.ProjectID {
			f, _ := c.flavorNamed(m.Flavor)
			servers, cores, memory = servers+1, cores+f.VCPUs, memory+f.RAM
		}
	}
	return ok(obj{"limits": obj{"rate": []obj{}, "absolute": obj{
		"maxServerGroups": c.seed.Quotas.ServerGroups, "totalServerGroupsUsed": groups, "maxTotalKeypairs": c.seed.Quotas.KeyPairs,
		"maxTotalInstances": c.seed.Quotas.Instances, "totalInstancesUsed": servers, "maxTotalCores": c.seed.Quotas.Cores, "totalCoresUsed": cores,
		"maxTotalRAMSize": c.seed.Quotas.RAM, "totalRAMUsed": memory, "maxServerMeta": 128,
		"maxServerGroupMembers": c.seed.Quotas.ServerGroupMembers,
	}}})
}

// status is Nova's word for where a machine is on its way.
func (m server) status(now time.Time) string {
	switch {
	case m.Fail != "" && !now.Before(m.ReadyAt):
		return "ERROR"
	case now.Before(m.ReadyAt):
		return "BUILD"
	default:
		return "ACTIVE"
	}
}

func (c *Cloud) serverDocument(q *call, m server, detail bool) obj {
	d := obj{"id": m.ID, "name": m.Name, "links": []obj{{"rel": "self", "href": q.base + "/compute/v2.1/servers/" + m.ID}}}
	if !detail {
		return d
	}
	status := m.status(c.now())
	d["status"], d["tenant_id"], d["user_id"] = status, m.ProjectID, m.UserID
	d["created"], d["updated"] = m.CreatedAt.UTC().Format(time.RFC3339), m.CreatedAt.UTC().Format(time.RFC3339)
	d["metadata"], d["addresses"], d["key_name"], d["config_drive"], d["image"] = obj{"cluster": m.Cluster}, obj{}, nil, "", ""
	d["OS-EXT-AZ:availability_zone"], d["OS-EXT-STS:vm_state"] = firstOf(c.seed.AvailabilityZones), strings.ToLower(status)
	d["OS-EXT-STS:task_state"], d["OS-EXT-STS:power_state"] = nil, 1
	if status == "ERROR" {
		d["fault"] = obj{"code": http.StatusInternalServerError, "message": m.Fail, "created": m.CreatedAt.UTC().Format(time.RFC3339)}
	}
	for _, i := range c.images {
		if m.Image == i.ID || m.Image == i.Name {
			d["image"] = obj{"id": i.ID}
		}
	}
	d["flavor"] = obj{"id": m.Flavor, "original_name": m.Flavor}
	if f, known := c.flavorNamed(m.Flavor); known {
		d["flavor"] = obj{"id": f.ID}
		if q.version >= embeddedFlavors {
			d["flavor"] = obj{
				"original_name": f.Name, "vcpus": f.VCPUs, "ram": f.RAM, "disk": f.Disk, "swap": 0, "ephemeral": 0, "extra_specs": f.specs(),
			}
		}
	}
	return d
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (c *Cloud) flavorNamed(nameOrID string) (flavor, bool) {
	i := slices.IndexFunc(c.flavors, func(f flavor) bool { return f.ID == nameOrID || f.Name == nameOrID })
	if i < 0 {
		return flavor{}, false
	}
	return c.flavors[i], true
}

// visibleServers are the project's; an admin asks for everybody's with all_tenants.
func (c *Cloud) visibleServers(q *call, all bool) []server {
	servers := sorted(c.store.view().Servers, func(a, b server) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.Name, b.Name))
	})
	return slices.DeleteFunc(servers, func(m server) bool {
		own := m.ProjectID == q.who.ProjectID && m.ProjectID != ""
		shown := own || all && q.who.admin()
		return !shown
	})
}

func (c *Cloud) serverList(q *call, detail bool) (reply, error) {
	query := q.URL.Query()
	all := query.Has("all_tenants") && query.Get("all_tenants") != "0" && !strings.EqualFold(query.Get("all_tenants"), "false")
	var list []obj
	for _, m := range c.visibleServers(q, all) {
		if !strings.Contains(m.Name, query.Get("name")) || query.Has("status") && !strings.EqualFold(query.Get("status"), m.status(c.now())) {
			continue
		}
		list = append(list, c.serverDocument(q, m, detail))
	}
	return listed(q, "servers", list, "id")
}

func (c *Cloud) listServers(q *call) (reply, error) { return c.serverList(q, false) }

func (c *Cloud) listServerDetails(q *call) (reply, error) { return c.serverList(q, true) }

func (c *Cloud) serverOf(q *call) (server, error) {
	for _, m := range c.visibleServers(q, true) {
		if m.ID == q.PathValue("id") {
			return m, nil
		}
	}
	return server{}, fail(http.StatusNotFound, "Instance %s could not be found.", q.PathValue("id"))
}

func (c *Cloud) showServer(q *call) (reply, error) {
	m, err := c.serverOf(q)
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"server": c.serverDocument(q, m, true)})
}

// refuseServer: machines come from Cluster API's in-memory provider and go with it.
func (c *Cloud) refuseServer(q *call) (reply, error) {
	if q.Method == http.MethodDelete {
		if _, err := c.serverOf(q); err != nil {
			return reply{}, err
		}
	}
	return reply{}, fail(http.StatusForbidden, "The simulated servers belong to Cluster API: resize or delete the cluster instead.")
}

// actOnServer shows an empty console, which is what a machine in memory has, and refuses every other action.
func (c *Cloud) actOnServer(q *call) (reply, error) {
	if _, err := c.serverOf(q); err != nil {
		return reply{}, err
	}
	var action struct {
		Console *struct{} `json:"os-getConsoleOutput"`
	}
	if err := q.decode(&action); err != nil || action.Console == nil {
		return c.refuseServer(q)
	}
	return ok(obj{"output": ""})
}
