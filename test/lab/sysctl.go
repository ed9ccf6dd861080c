package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The machine's own values are written down before the hosts start and compared afterwards: the shield is trusted, and checked.

func machineSysctls() map[string]string {
	values := map[string]string{}
	for name := range shield() {
		if text, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			values[name] = strings.TrimSpace(string(text))
		}
	}
	return values
}

func (l *Lab) rememberSysctls() error {
	text, err := json.MarshalIndent(machineSysctls(), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(l.path("sysctls.json"), text, 0o644)
}

func (l *Lab) changedSysctls() (map[string]string, error) {
	text, err := os.ReadFile(l.path("sysctls.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var before map[string]string
	if err := json.Unmarshal(text, &before); err != nil {
		return nil, err
	}
	changed := map[string]string{}
	for name, now := range machineSysctls() {
		if was, ok := before[name]; ok && was != now {
			changed[name] = was
		}
	}
	return changed, nil
}

func (l *Lab) checkSysctls(context.Context) error {
	changed, err := l.changedSysctls()
	if err == nil && len(changed) > 0 {
		err = fmt.Errorf("the lab changed the machine's %s: a hole in the shield", strings.Join(slices.Sorted(maps.Keys(changed)), ", "))
	}
	return err
}

func (l *Lab) restoreSysctls() error {
	changed, err := l.changedSysctls()
	if err != nil {
		return err
	}
	for name, was := range changed {
		_, _ = fmt.Fprintf(l.Err, "lab: %s was changed while the lab ran; it is %s again\n", name, was) // a warning
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(was), 0); err != nil {
			return err
		}
	}
	return nil
}
