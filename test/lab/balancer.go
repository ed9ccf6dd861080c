package main

// balancerFiles is haproxy as OpenStack-Ansible's haproxy_server role leaves it: a base fragment, a fragment for each
// service, and the assembled file. The galera fragment is there to be left alone.
func balancerFiles() map[string]string {
	const base = `global
        log         /dev/log local0
        chroot      /var/lib/haproxy
        user        haproxy
        group       haproxy
        daemon
        maxconn     4096
        stats       socket /var/run/haproxy.stat level admin mode 600

defaults
        log         global
        option      dontlognull
        option      redispatch
        retries     3
        timeout     client 50s
        timeout     connect 10s
        timeout     http-request 5s
        timeout     queue 1m
        timeout     server 50s
        timeout     check 10s
        maxconn     4096
`
	const galera = `
# Ansible managed

frontend galera-front-1
    bind ` + internalVIP + `:3306
    option tcplog
    timeout client 5000s
    mode tcp
    default_backend galera-back

backend galera-back
    mode tcp
    balance leastconn
    timeout server 5000s
    server infra1 172.29.236.11:3306 check port 9200 inter 12000 rise 3 fall 3
`
	return map[string]string{
		"etc/haproxy/conf.d/00-haproxy": base,
		"etc/haproxy/conf.d/galera":     galera,
		"etc/haproxy/haproxy.cfg":       base + galera,
	}
}
