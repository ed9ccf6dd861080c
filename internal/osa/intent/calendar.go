package intent

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	shorthand = regexp.MustCompile(`^(?i:minutely|hourly|daily|monthly|weekly|yearly|annually|anually|quarterly|semi-?annually|bi-?annually)$`)
	epoch     = regexp.MustCompile(`^@[0-9]{1,10}$`)
	zone      = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*$`)
	item      = regexp.MustCompile(`^([0-9]{1,4})(\.[0-9]{1,6})?(?:\.\.([0-9]{1,4})(\.[0-9]{1,6})?)?(?:/([0-9]{1,4})(\.[0-9]{1,6})?)?$`)
)

// isCalendar says whether a text is one of systemd's calendar events (systemd.time(7)): "daily", or days of the week, a
// date and a time of day, of which some may be missing, and a time zone. Whether the zone is there only its host knows.
func isCalendar(text string) bool {
	parts := strings.Fields(text)
	if len(parts) > 1 && zone.MatchString(parts[len(parts)-1]) && !isWeekdays(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 1 && (shorthand.MatchString(parts[0]) || epoch.MatchString(parts[0])) {
		return true
	}
	found := 0
	for _, is := range []func(string) bool{isWeekdays, isDate, isClock} {
		if len(parts) > 0 && is(parts[0]) {
			parts, found = parts[1:], found+1
		}
	}
	return found > 0 && len(parts) == 0
}

// isWeekdays: "Mon", "Mon,Fri", "Mon..Fri", "Mon-Fri".
func isWeekdays(text string) bool {
	days := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	day := func(name string) int {
		return slices.IndexFunc(days, func(d string) bool { return strings.EqualFold(name, d) || strings.EqualFold(name, d[:3]) })
	}
	for _, part := range strings.Split(text, ",") {
		first, last, ranges := strings.Cut(strings.Replace(part, "..", "-", 1), "-")
		if from := day(first); from < 0 || ranges && day(last) <= from {
			return false
		}
	}
	return true
}

// isDate: "2026-1-31", "*-*-1..7", "1-31", and "*-*~1" for the last day of the month.
func isDate(text string) bool {
	head, day, fromEnd := strings.Cut(text, "~")
	fields := strings.Split(head, "-")
	if !fromEnd && len(fields) > 1 {
		day, fields = fields[len(fields)-1], fields[:len(fields)-1]
	} else if !fromEnd {
		return false
	}
	switch len(fields) {
	case 2:
		return isComponent(fields[0], 1970, 2199, false) && isComponent(fields[1], 1, 12, false) && isComponent(day, 1, 31, false)
	case 1:
		return isComponent(fields[0], 1, 12, false) && isComponent(day, 1, 31, false)
	}
	return false
}

// isClock: "2:00", "02:00:30", "*:0/15". Only seconds have a fraction.
func isClock(text string) bool {
	fields := strings.Split(text, ":")
	if len(fields) < 2 || len(fields) > 3 {
		return false
	}
	return isComponent(fields[0], 0, 23, false) && isComponent(fields[1], 0, 59, false) && (len(fields) < 3 || isComponent(fields[2], 0, 59, true))
}

// isComponent: "*", or numbers, ranges and steps, joined by commas, all within bounds.
func isComponent(text string, least, most int, fractions bool) bool {
	if text == "*" {
		return true
	}
	for _, part := range strings.Split(text, ",") {
		m := item.FindStringSubmatch(part)
		if m == nil || !fractions && m[2]+m[4]+m[6] != "" {
			return false
		}
		from, to, step := number(m[1]), number(m[3]), number(m[5])
		switch {
		case from < least || from > most, m[3] != "" && (to < from || to > most):
			return false
		case m[5] != "" && (step > most || step == 0 && strings.Trim(m[6], ".0") == ""):
			return false
		}
	}
	return true
}

// number is a text of digits, few enough to be one.
func number(text string) int {
	n, _ := strconv.Atoi(text) // "" is none
	return n
}
