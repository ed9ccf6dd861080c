// Package haproxy renders services for the load balancers of OpenStack-Ansible: the schema of its role haproxy_server,
// and fragments of haproxy.cfg that are equal in effect to those of the role.
//
// A Service is one entry of a variable such as k8s_haproxy_services, with the role's defaults filled in; Settings are
// the role's variables on one load balancer; Render makes the file of the service, /etc/haproxy/conf.d/<name>, which
// the role assembles with the others in the order of their names.
package haproxy

// Service is one service. Field by field it is the schema of the role (templates/service.j2 of
// openstack-ansible-haproxy_server, 2024.1 to 2026.1); the variable is in the comment where the name differs. Defaults
// are filled in.
type Service struct {
	// Name is haproxy_service_name: the file, the frontends <name>-front-N, the backend <name>-back.
	Name string `json:"name"`
	// Enabled is haproxy_service_enabled and state: false removes the fragment.
	Enabled bool `json:"enabled"`
	// LimitHosts is haproxy_limit_hosts: only hosts whose name it is found in.
	LimitHosts string `json:"limitHosts"`
	// Binds is haproxy_bind, or the host's VIPs and extra VIPs.
	Binds []Bind `json:"binds"`
	Port  int    `json:"port"`
	// Mode is haproxy_balance_type, "http" or "tcp"; Algorithm is haproxy_balance_alg.
	Mode      string   `json:"mode"`
	Algorithm string   `json:"algorithm"`
	Servers   []Server `json:"servers"`

	FrontendOnly bool `json:"frontendOnly"`
	BackendOnly  bool `json:"backendOnly"`
	// DefaultBackend is haproxy_default_backend without its "-back"; HasDefaultBackend says whether there is one.
	DefaultBackend    string `json:"defaultBackend"`
	HasDefaultBackend bool   `json:"hasDefaultBackend"`

	SSL               bool       `json:"ssl"`
	SSLAllVIPs        bool       `json:"sslAllVIPs"`
	SSLPath           string     `json:"sslPath"`
	FrontendH2        bool       `json:"frontendH2"`
	RedirectHTTPPort  int        `json:"redirectHTTPPort"`
	RedirectScheme    string     `json:"redirectScheme"`
	FrontendACLs      []ACL      `json:"frontendACLs"`
	ACLs              []ACL      `json:"acls"`
	AcceptBoth        bool       `json:"acceptBoth"` // haproxy_accept_both_protocols
	BothBackendPort   int        `json:"bothBackendPort"`
	HTTPKeepaliveMode string     `json:"httpKeepaliveMode"`
	TimeoutClient     string     `json:"timeoutClient"`
	TimeoutServer     string     `json:"timeoutServer"`
	AllowlistNetworks []string   `json:"allowlistNetworks"`
	HasAllowlist      bool       `json:"hasAllowlist"`
	Maps              []string   `json:"maps"`
	MapEntries        []MapEntry `json:"mapEntries"`
	FrontendRaw       []string   `json:"frontendRaw"`
	StickTable        []string   `json:"stickTable"` // empty if haproxy_stick_table_enabled is false
	BackendOptions    []string   `json:"backendOptions"`
	BackendArguments  []string   `json:"backendArguments"`
	HTTPCheckOptions  []string   `json:"httpCheckOptions"`
	ServerOptions     []string   `json:"serverOptions"`
	BackendSSL        bool       `json:"backendSSL"`
	BackendSSLCheck   bool       `json:"backendSSLCheck"`
	// BackendCA is the file that servers' certificates are verified with, "" for no verification.
	BackendCA string `json:"backendCA"`
	BackendH2 bool   `json:"backendH2"`
}

// Bind is an address a frontend binds, "*" for all, and an interface, "" for any.
type Bind struct {
	Address   string `json:"address"`
	Interface string `json:"interface"`
	// Type is "external" or "internal" where the VIPs say so.
	Type string `json:"type"`
}

// Server is a server of the backend.
type Server struct {
	Name      string   `json:"name"`
	Address   string   `json:"address"`
	Port      int      `json:"port"`
	CheckPort int      `json:"checkPort"`
	Interval  string   `json:"interval"` // of checks, in milliseconds without a unit
	Rise      string   `json:"rise"`
	Fall      string   `json:"fall"`
	Backup    bool     `json:"backup"`
	Options   []string `json:"options"`
}

// ACL is a named condition and the backend to use if it holds.
type ACL struct {
	Name    string `json:"name"`
	Rule    string `json:"rule"`
	Backend string `json:"backend"` // without its "-back"
}

// MapEntry is a service's part of a map file: /etc/haproxy/map.conf.d/<name>/<order>-<service>.map.
type MapEntry struct {
	Name    string   `json:"name"`
	Order   string   `json:"order"`
	Absent  bool     `json:"absent"`
	Entries []string `json:"entries"`
}

// Settings are the role's variables on one load balancer that a fragment depends on.
type Settings struct {
	// Hostname is part of the certificate's path.
	Hostname string `json:"hostname"`
	// CertPath is haproxy_ssl_cert_path.
	CertPath string `json:"certPath"`
	// ExtraVIPs and ExtraTLSVIPs are extra_lb_vip_addresses and extra_lb_tls_vip_addresses.
	ExtraVIPs    []string `json:"extraVIPs"`
	ExtraTLSVIPs []string `json:"extraTLSVIPs"`
	// FrontendRaw is haproxy_frontend_extra_raw, RedirectRaw haproxy_frontend_redirect_extra_raw.
	FrontendRaw []string `json:"frontendRaw"`
	RedirectRaw []string `json:"redirectRaw"`
}
