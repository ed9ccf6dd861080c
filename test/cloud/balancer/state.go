package balancer

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// State is the operating status of a load balancer and all that hangs on it, by id.
type State map[string]string

// asked is haproxy's table of statistics.
func asked(ctx context.Context, socket string) (map[string]string, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // only read
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		return nil, err
	}
	return servers(conn)
}

// servers is the state of each member: UP, DOWN, "no check" and others of haproxy's.
func servers(from io.Reader) (map[string]string, error) {
	in := bufio.NewReader(from)
	if _, err := in.Discard(2); err != nil { // "# "
		return nil, err
	}
	table := csv.NewReader(in)
	table.FieldsPerRecord = -1
	head, err := table.Read()
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	for n, name := range head {
		column[name] = n
	}
	out := map[string]string{}
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if len(row) > column["status"] && row[column["svname"]] != "FRONTEND" && row[column["svname"]] != "BACKEND" {
			out[row[column["svname"]]] = row[column["status"]]
		}
	}
}

// Judge makes Octavia's words of haproxy's: octavia/common/constants.py and api/drivers/driver_agent of release 11.0.
func Judge(l *LoadBalancer, stats map[string]string) State {
	state := State{l.ID: "ONLINE"}
	bad := Unsupported(l)
	worst := func(id, now string) {
		rank := map[string]int{"ONLINE": 0, "DEGRADED": 1, "ERROR": 2}
		if rank[now] > rank[state[id]] {
			state[id] = now
		}
	}
	if !l.Enabled {
		state[l.ID] = "OFFLINE"
	}
	pools := map[string]string{}
	for _, p := range l.Pools {
		state[p.ID] = pool(p, stats, state)
		if bad[p.ID] != "" {
			state[p.ID] = "ERROR"
		}
		if p.Monitor != nil {
			state[p.Monitor.ID] = "ONLINE"
			if !p.Monitor.Enabled {
				state[p.Monitor.ID] = "OFFLINE"
			}
		}
		pools[p.ID] = state[p.ID]
	}
	for _, one := range l.Listeners {
		state[one.ID] = "ONLINE"
		switch {
		case bad[one.ID] != "":
			state[one.ID] = "ERROR"
		case !one.Enabled || !l.Enabled:
			state[one.ID] = "OFFLINE"
		default:
			worst(one.ID, pools[one.Pool])
		}
		if l.Enabled {
			worst(l.ID, state[one.ID])
		}
	}
	return state
}

// pool judges a pool's members, and by them the pool.
func pool(p Pool, stats map[string]string, state State) string {
	up, down := 0, 0
	for _, m := range p.Members {
		if leaving(m.Provisioning) {
			continue
		}
		now, known := stats[m.ID]
		switch {
		case !m.Enabled:
			state[m.ID] = "OFFLINE"
			continue
		case p.Monitor == nil || !p.Monitor.Enabled || !known || strings.HasPrefix(now, "no check"):
			state[m.ID] = "NO_MONITOR"
			up++
		case m.Weight == 0:
			state[m.ID] = "DRAINING"
		case strings.HasPrefix(now, "UP"):
			state[m.ID] = "ONLINE"
			up++
		default:
			state[m.ID] = "ERROR"
			down++
		}
	}
	switch {
	case !p.Enabled:
		return "OFFLINE"
	case down == 0:
		return "ONLINE"
	case up == 0:
		return "ERROR"
	}
	return "DEGRADED"
}
