package balancer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// settle says in Octavia's tables that what was asked for is done. The API refuses every change of a load balancer that
// is PENDING, so nothing was asked for meanwhile.
func settle(ctx context.Context, db *sql.DB, l *LoadBalancer) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	s := &settling{ctx: ctx, tx: tx, project: l.Project}
	all := leaving(l.Provisioning)
	for _, one := range l.Listeners {
		if all || leaving(one.Provisioning) {
			s.listener(one.ID)
		}
	}
	for _, p := range l.Pools {
		s.pool(p, all || leaving(p.Provisioning))
	}
	if all {
		s.do(`UPDATE load_balancer SET provisioning_status = 'DELETED', operating_status = 'OFFLINE' WHERE id = ?`, l.ID)
		s.do(`DELETE FROM tags WHERE resource_id = ?`, l.ID)
		s.free("load_balancer")
	} else {
		s.active(l)
	}
	if s.err != nil {
		return errors.Join(s.err, tx.Rollback())
	}
	return tx.Commit()
}

// settling is one transaction; after the first error nothing more is done.
type settling struct {
	ctx     context.Context //nolint:containedctx // lives as long as one call of settle
	tx      *sql.Tx
	project string
	err     error
}

func (s *settling) do(query string, args ...any) {
	if s.err != nil {
		return
	}
	if _, err := s.tx.ExecContext(s.ctx, query, args...); err != nil {
		s.err = fmt.Errorf("%s: %w", query, err)
	}
}

// free gives one of something back to the project's quota.
func (s *settling) free(what string) {
	column := "in_use_" + what
	s.do(`UPDATE quotas SET `+column+` = `+column+` - 1 WHERE project_id = ? AND `+column+` > 0`, s.project)
}

func (s *settling) listener(id string) {
	s.do(`DELETE r FROM l7rule r JOIN l7policy p ON r.l7policy_id = p.id WHERE p.listener_id = ?`, id)
	s.do(`DELETE FROM l7policy WHERE listener_id = ?`, id)
	s.do(`DELETE FROM listener_cidr WHERE listener_id = ?`, id)
	s.do(`DELETE FROM sni WHERE listener_id = ?`, id)
	s.do(`DELETE FROM listener_statistics WHERE listener_id = ?`, id)
	s.do(`DELETE FROM listener WHERE id = ?`, id)
	s.do(`DELETE FROM tags WHERE resource_id = ?`, id)
	s.free("listener")
}

func (s *settling) pool(p Pool, whole bool) {
	for _, m := range p.Members {
		if whole || leaving(m.Provisioning) {
			s.do(`DELETE FROM member WHERE id = ?`, m.ID)
			s.do(`DELETE FROM tags WHERE resource_id = ?`, m.ID)
			s.free("member")
		}
	}
	if m := p.Monitor; m != nil && (whole || leaving(m.Provisioning)) {
		s.do(`DELETE FROM health_monitor WHERE id = ?`, m.ID)
		s.do(`DELETE FROM tags WHERE resource_id = ?`, m.ID)
		s.free("health_monitor")
	}
	if whole {
		s.do(`DELETE FROM session_persistence WHERE pool_id = ?`, p.ID)
		s.do(`UPDATE listener SET default_pool_id = NULL WHERE default_pool_id = ?`, p.ID)
		s.do(`DELETE FROM pool WHERE id = ?`, p.ID)
		s.do(`DELETE FROM tags WHERE resource_id = ?`, p.ID)
		s.free("pool")
	}
}

// active moves what is pending to ACTIVE, and to ERROR what nobody here can do.
func (s *settling) active(l *LoadBalancer) {
	bad := Unsupported(l)
	move := func(table, id string) error {
		to := "ACTIVE"
		if bad[id] != "" {
			to = "ERROR"
		}
		s.do(`UPDATE `+table+` SET provisioning_status = ? WHERE id = ? AND provisioning_status LIKE 'PENDING%'`, to, id)
		return nil
	}
	for _, one := range l.Listeners {
		s.do(`DELETE r FROM l7rule r JOIN l7policy p ON r.l7policy_id = p.id WHERE p.listener_id = ? AND (p.provisioning_status = 'PENDING_DELETE'
			OR r.provisioning_status = 'PENDING_DELETE')`, one.ID)
		s.do(`DELETE FROM l7policy WHERE listener_id = ? AND provisioning_status = 'PENDING_DELETE'`, one.ID)
		s.do(`UPDATE l7rule r JOIN l7policy p ON r.l7policy_id = p.id SET r.provisioning_status = 'ERROR' WHERE p.listener_id = ?`, one.ID)
		s.do(`UPDATE l7policy SET provisioning_status = 'ERROR', operating_status = 'ERROR' WHERE listener_id = ?`, one.ID)
	}
	s.err = errors.Join(s.err, eachObject(l, move))
}

// fail says that a load balancer could not be made as it was asked for.
func fail(ctx context.Context, db *sql.DB, l *LoadBalancer) error {
	set := func(table, id string) error {
		_, err := db.ExecContext(ctx, `UPDATE `+table+` SET provisioning_status = 'ERROR' WHERE id = ? AND provisioning_status LIKE 'PENDING%'`, id)
		return err
	}
	return eachObject(l, set)
}

// eachObject calls do for the load balancer and all that hangs on it.
func eachObject(l *LoadBalancer, do func(table, id string) error) error {
	errs := []error{do("load_balancer", l.ID)}
	for _, one := range l.Listeners {
		errs = append(errs, do("listener", one.ID))
	}
	for _, p := range l.Pools {
		errs = append(errs, do("pool", p.ID))
		if p.Monitor != nil {
			errs = append(errs, do("health_monitor", p.Monitor.ID))
		}
		for _, m := range p.Members {
			errs = append(errs, do("member", m.ID))
		}
	}
	return errors.Join(errs...)
}

// report writes operating states that have changed.
func report(ctx context.Context, db *sql.DB, l *LoadBalancer, state State) error {
	return eachObject(l, func(table, id string) error {
		_, err := db.ExecContext(ctx, `UPDATE `+table+` SET operating_status = ? WHERE id = ? AND operating_status <> ?`, state[id], id, state[id])
		return err
	})
}
