package balancer

import (
	"bytes"
	"context"
	"database/sql"
)

// Octavia's own tables are what the API writes and reads: octavia/db/models.py of release 11.0 (Zed).

// LoadBalancer is a load balancer with all that hangs on it.
type LoadBalancer struct {
	ID, Project, Provisioning string
	Enabled                   bool
	VIP                       VIP
	Listeners                 []Listener
	Pools                     []Pool
}

// VIP is where a load balancer listens.
type VIP struct {
	Address, Port, Subnet string
	Owned                 bool // Octavia made the port
}

// Listener is one port of a load balancer.
type Listener struct {
	ID, Protocol, Provisioning            string
	Port, Limit                           int
	Pool                                  string
	Enabled                               bool
	ClientData, MemberConnect, MemberData int // milliseconds
	Headers                               map[string]string
	CIDRs                                 []string
	L7                                    int // how many policies, which nobody here carries out
}

// Pool is members that do the same.
type Pool struct {
	ID, Protocol, Algorithm, Provisioning string
	Enabled                               bool
	Persistence, Cookie                   string // SOURCE_IP, HTTP_COOKIE, APP_COOKIE or nothing
	Members                               []Member
	Monitor                               *Monitor
}

// Member is one server behind a pool.
type Member struct {
	ID, Address, Provisioning string
	Port, Weight              int
	Enabled, Backup           bool
	MonitorAddress            string
	MonitorPort               int
}

// Monitor is how members' health is found out.
type Monitor struct {
	ID, Type, Method, Path, Codes, Domain, Provisioning string
	Delay, Timeout, Fall, Rise                          int // seconds, seconds, counts
	Version                                             float64
	Enabled                                             bool
}

// leaving is what is on its way out and does nothing any more.
func leaving(provisioning string) bool {
	return provisioning == "PENDING_DELETE" || provisioning == "DELETED"
}

// each calls scan for every row.
func each(ctx context.Context, db *sql.DB, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err tells
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// load reads every load balancer that is not deleted.
func load(ctx context.Context, db *sql.DB) ([]*LoadBalancer, error) {
	var all []*LoadBalancer
	err := each(ctx, db, `SELECT l.id, l.project_id, l.provisioning_status, l.enabled, COALESCE(v.ip_address, ''), COALESCE(v.port_id, ''),
		COALESCE(v.subnet_id, ''), COALESCE(v.octavia_owned, 0)
		FROM load_balancer l LEFT JOIN vip v ON v.load_balancer_id = l.id WHERE l.provisioning_status <> 'DELETED' ORDER BY l.id`, nil,
		func(r *sql.Rows) error {
			var l LoadBalancer
			all = append(all, &l)
			return r.Scan(&l.ID, &l.Project, &l.Provisioning, &l.Enabled, &l.VIP.Address, &l.VIP.Port, &l.VIP.Subnet, &l.VIP.Owned)
		})
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if err := loadListeners(ctx, db, l); err != nil {
			return nil, err
		}
		if err := loadPools(ctx, db, l); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func loadListeners(ctx context.Context, db *sql.DB, l *LoadBalancer) error {
	err := each(ctx, db, `SELECT id, protocol, provisioning_status, protocol_port, COALESCE(connection_limit, -1), COALESCE(default_pool_id, ''), enabled,
		COALESCE(timeout_client_data, 50000), COALESCE(timeout_member_connect, 5000), COALESCE(timeout_member_data, 50000),
		COALESCE(insert_headers, ''), (SELECT COUNT(*) FROM l7policy p WHERE p.listener_id = listener.id AND p.provisioning_status <> 'PENDING_DELETE')
		FROM listener WHERE load_balancer_id = ? ORDER BY id`, []any{l.ID}, func(r *sql.Rows) error {
		var one Listener
		var headers []byte
		err := r.Scan(&one.ID, &one.Protocol, &one.Provisioning, &one.Port, &one.Limit, &one.Pool, &one.Enabled, &one.ClientData,
			&one.MemberConnect, &one.MemberData, &headers, &one.L7)
		one.Headers = pickled(headers)
		l.Listeners = append(l.Listeners, one)
		return err
	})
	if err != nil {
		return err
	}
	for n := range l.Listeners {
		one := &l.Listeners[n]
		err := each(ctx, db, `SELECT cidr FROM listener_cidr WHERE listener_id = ? ORDER BY cidr`, []any{one.ID}, func(r *sql.Rows) error {
			var cidr string
			err := r.Scan(&cidr)
			one.CIDRs = append(one.CIDRs, cidr)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pickled reads a pickled Python dictionary of headers to "true" or "false" as far as it has to: a header is there,
// unless its value stands right behind it and is false. (A value that was used before is only pointed to.)
func pickled(text []byte) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"} {
		if _, after, there := bytes.Cut(text, []byte(name)); there {
			next := bytes.ToLower(after[:min(len(after), 16)])
			out[name] = map[bool]string{true: "false", false: "true"}[bytes.Contains(next, []byte("false"))]
		}
	}
	return out
}

func loadPools(ctx context.Context, db *sql.DB, l *LoadBalancer) error {
	err := each(ctx, db, `SELECT p.id, p.protocol, p.lb_algorithm, p.provisioning_status, p.enabled, COALESCE(s.type, ''), COALESCE(s.cookie_name, '')
		FROM pool p LEFT JOIN session_persistence s ON s.pool_id = p.id WHERE p.load_balancer_id = ? ORDER BY p.id`, []any{l.ID}, func(r *sql.Rows) error {
		var p Pool
		err := r.Scan(&p.ID, &p.Protocol, &p.Algorithm, &p.Provisioning, &p.Enabled, &p.Persistence, &p.Cookie)
		l.Pools = append(l.Pools, p)
		return err
	})
	if err != nil {
		return err
	}
	for n := range l.Pools {
		p := &l.Pools[n]
		err := each(ctx, db, `SELECT id, ip_address, provisioning_status, protocol_port, COALESCE(weight, 1), enabled, COALESCE(backup, 0), COALESCE(monitor_address, ''),
			COALESCE(monitor_port, 0) FROM member WHERE pool_id = ? ORDER BY id`, []any{p.ID}, func(r *sql.Rows) error {
			var m Member
			err := r.Scan(&m.ID, &m.Address, &m.Provisioning, &m.Port, &m.Weight, &m.Enabled, &m.Backup, &m.MonitorAddress, &m.MonitorPort)
			p.Members = append(p.Members, m)
			return err
		})
		if err != nil {
			return err
		}
		err = each(ctx, db, `SELECT id, type, provisioning_status, delay, timeout, fall_threshold, rise_threshold, COALESCE(http_method, 'GET'),
			COALESCE(url_path, '/'), COALESCE(expected_codes, '200'), COALESCE(domain_name, ''), COALESCE(http_version, 0), enabled
			FROM health_monitor WHERE pool_id = ?`, []any{p.ID}, func(r *sql.Rows) error {
			var m Monitor
			p.Monitor = &m
			return r.Scan(&m.ID, &m.Type, &m.Provisioning, &m.Delay, &m.Timeout, &m.Fall, &m.Rise, &m.Method, &m.Path, &m.Codes, &m.Domain, &m.Version, &m.Enabled)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
