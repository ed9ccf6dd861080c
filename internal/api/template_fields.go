package api

import (
	"net/netip"
	"strings"
	"sync"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// A templateField is everything the API knows of one attribute of a cluster template. Reading a request, patching,
// showing and sorting all walk the one table templateFields, so that an attribute stands in it once and in all of them.
type templateField struct {
	name  string
	fixed bool // a patch may change it but not remove it (Magnum 1.14, A4)

	read    func(f *fields, t *magnum.ClusterTemplate) // from a request, with the default of Magnum 1.14
	write   func(o *object, t *magnum.ClusterTemplate) // into an answer
	value   func(t *magnum.ClusterTemplate) any        // as patches see it: what is not set is null
	compare func(a, b *magnum.ClusterTemplate) int     // nil: lists are not sorted by it
}

// templateFields are the attributes that a client sets, in the order in which answers show them.
var templateFields = sync.OnceValue(func() []templateField {
	type t = magnum.ClusterTemplate
	return []templateField{
		textField("name", (*fields).name, func(t *t) *string { return &t.Name }),
		textField("coe", func(f *fields, name string) (string, bool) { return f.text(name, 0, 255) }, func(t *t) *string { return &t.COE }).kept(),
		textField("driver", (*fields).name, func(t *t) *string { return &t.Driver }),
		textField("cluster_distro", (*fields).name, func(t *t) *string { return &t.ClusterDistro }).kept(),
		textField("image_id", (*fields).required, func(t *t) *string { return &t.ImageID }).kept(),
		textField("flavor_id", (*fields).name, func(t *t) *string { return &t.FlavorID }),
		textField("master_flavor_id", (*fields).name, func(t *t) *string { return &t.MasterFlavorID }),
		textField("keypair_id", (*fields).name, func(t *t) *string { return &t.KeypairID }),
		textField("dns_nameserver", (*fields).addresses, func(t *t) *string { return &t.DNSNameserver }),
		textField("external_network_id", (*fields).name, func(t *t) *string { return &t.ExternalNetworkID }).kept(),
		textField("fixed_network", (*fields).name, func(t *t) *string { return &t.FixedNetwork }),
		textField("fixed_subnet", (*fields).name, func(t *t) *string { return &t.FixedSubnet }),
		textField("network_driver", (*fields).name, func(t *t) *string { return &t.NetworkDriver }).kept(),
		textField("volume_driver", (*fields).name, func(t *t) *string { return &t.VolumeDriver }),
		numberField("apiserver_port", 1024, 65535, func(t *t) *int { return &t.APIServerPort }),
		numberField("docker_volume_size", 1, maxGiB, func(t *t) *int { return &t.DockerVolumeSize }),
		textField("docker_storage_driver", (*fields).name, func(t *t) *string { return &t.DockerStorageDriver }),
		textField("http_proxy", (*fields).name, func(t *t) *string { return &t.HTTPProxy }),
		textField("https_proxy", (*fields).name, func(t *t) *string { return &t.HTTPSProxy }),
		textField("no_proxy", (*fields).name, func(t *t) *string { return &t.NoProxy }),
		textField("insecure_registry", (*fields).name, func(t *t) *string { return &t.InsecureRegistry }),
		boolField("registry_enabled", false, func(t *t) *bool { return &t.RegistryEnabled }).kept(),
		boolField("tls_disabled", false, func(t *t) *bool { return &t.TLSDisabled }).kept(),
		boolField("public", false, func(t *t) *bool { return &t.Public }).kept(),
		boolField("hidden", false, func(t *t) *bool { return &t.Hidden }).kept(),
		boolField("master_lb_enabled", false, func(t *t) *bool { return &t.MasterLBEnabled }),
		boolField("floating_ip_enabled", true, func(t *t) *bool { return &t.FloatingIPEnabled }),
		textField("server_type", (*fields).serverType, func(t *t) *string { return &t.ServerType }).kept(),
		labelField(),
		textField("tags", func(f *fields, name string) (string, bool) { return f.text(name, 0, 255) }, func(t *t) *string { return &t.Tags }),
	}
})

func (d templateField) kept() templateField { d.fixed = true; return d }

// textField is an attribute that is a text; empty is not set.
func textField(name string, read func(*fields, string) (string, bool), at func(*magnum.ClusterTemplate) *string) templateField {
	return templateField{
		name:    name,
		read:    func(f *fields, t *magnum.ClusterTemplate) { *at(t), _ = read(f, name) },
		write:   func(o *object, t *magnum.ClusterTemplate) { o.text(name, *at(t)) },
		value:   func(t *magnum.ClusterTemplate) any { return orNull(*at(t)) },
		compare: field(func(t *magnum.ClusterTemplate) string { return *at(t) }),
	}
}

// numberField is an attribute that is a number; 0 is not set.
func numberField(name string, least, most int, at func(*magnum.ClusterTemplate) *int) templateField {
	return templateField{
		name:    name,
		read:    func(f *fields, t *magnum.ClusterTemplate) { *at(t), _ = f.integer(name, least, most) },
		write:   func(o *object, t *magnum.ClusterTemplate) { o.size(name, *at(t)) },
		value:   func(t *magnum.ClusterTemplate) any { return numberOrNull(*at(t)) },
		compare: field(func(t *magnum.ClusterTemplate) int { return *at(t) }),
	}
}

// boolField is an attribute that is true or false.
func boolField(name string, otherwise bool, at func(*magnum.ClusterTemplate) *bool) templateField {
	return templateField{
		name: name,
		read: func(f *fields, t *magnum.ClusterTemplate) {
			v, given := f.boolean(name)
			*at(t) = given && v || !given && otherwise
		},
		write:   func(o *object, t *magnum.ClusterTemplate) { o.boolean(name, *at(t)) },
		value:   func(t *magnum.ClusterTemplate) any { return *at(t) },
		compare: flag(func(t *magnum.ClusterTemplate) bool { return *at(t) }),
	}
}

func labelField() templateField {
	return templateField{
		name: "labels",
		read: func(f *fields, t *magnum.ClusterTemplate) {
			if t.Labels, _ = f.labels("labels"); t.Labels == nil {
				t.Labels = map[string]string{}
			}
		},
		write: func(o *object, t *magnum.ClusterTemplate) { o.dict("labels", t.Labels) },
		value: func(t *magnum.ClusterTemplate) any { return dictionary(t.Labels) },
	}
}

// template reads a cluster template's attributes. New templates and patched ones are both read here, so that a patch
// can make nothing that could not have been created.
func (f *fields) template() magnum.ClusterTemplate {
	var t magnum.ClusterTemplate
	for _, d := range templateFields() {
		d.read(f, &t)
	}
	return t
}

// required is a name that must be given.
func (f *fields) required(name string) (string, bool) {
	v, given := f.name(name)
	if _, wrong := f.take(name); !given && !wrong {
		f.mandatory(name)
	}
	return v, given
}

func (f *fields) serverType(name string) (string, bool) {
	if v, given := f.enum(name, "vm", "bm"); given {
		return v, true
	}
	return "vm", false
}

// addresses reads a comma list of IPv4 addresses.
func (f *fields) addresses(name string) (string, bool) {
	list, given := f.name(name)
	if !given {
		return "", false
	}
	for item := range strings.SplitSeq(list, ",") {
		if a, err := netip.ParseAddr(strings.TrimSpace(item)); err != nil || !a.Is4() {
			f.wrong(name, list, "A comma-separated list of IPv4 addresses is expected.")
			return "", false
		}
	}
	return list, true
}

// templateDocument is a template as patches see it.
func templateDocument(t *magnum.ClusterTemplate) document {
	doc := make(document, len(templateFields()))
	for _, d := range templateFields() {
		doc[d.name] = d.value(t)
	}
	return doc
}

// template writes a cluster template.
func (o *object) template(c *call, t *magnum.ClusterTemplate) {
	o.str("uuid", t.UUID)
	for _, d := range templateFields() {
		d.write(o, t)
	}
	o.str("project_id", t.ProjectID)
	o.str("user_id", t.UserID)
	o.links(c.base, "clustertemplates", t.UUID)
	o.date("created_at", t.CreatedAt)
	o.date("updated_at", t.UpdatedAt)
}

// templateOrder is how templates may be sorted: by the columns of Magnum's table.
func templateOrder(key string) order[*magnum.ClusterTemplate] {
	type t = *magnum.ClusterTemplate
	if key == "id" { // nearly every request
		return order[t]{"id": field(func(t t) int64 { return t.ID })}
	}
	out := order[t]{
		"uuid":       field(func(t t) string { return t.UUID }),
		"project_id": field(func(t t) string { return t.ProjectID }),
		"user_id":    field(func(t t) string { return t.UserID }),
		"created_at": field(func(t t) int64 { return t.CreatedAt.UnixMicro() }),
		"updated_at": field(func(t t) int64 { return t.UpdatedAt.UnixMicro() }),
	}
	for _, d := range templateFields() {
		if d.compare != nil {
			out[d.name] = d.compare
		}
	}
	return out
}

func templatePatchRules() patchRules {
	rules := patchRules{
		internal: []string{"created_at", "id", "links", "updated_at", "uuid", "project_id", "user_id"},
		literals: []string{"labels"},
	}
	for _, d := range templateFields() {
		if d.fixed {
			rules.fixed = append(rules.fixed, d.name)
		}
	}
	return rules
}
