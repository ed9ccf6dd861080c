package intent

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var (
	shorthand = regexp.MustCompile(`^(?i:minutely|hourly|daily|monthly|weekly|yearly|annually|anually|quarterly|semi-?annually|bi-?annually)$`)
	epoch     = regexp.MustCompile(`^@[0-9]{1,10}$`)
	zone      = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*$`)
	item      = regexp.MustCompile(`^([0-9]{1,9})(\.[0-9]{1,9})?(?:\.\.([0-9]{1,9})(\.[0-9]{1,9})?)?(?:/([0-9]{1,9})(\.[0-9]{1,9})?)?$`)
)

// isCalendar says whether a text is one of systemd's calendar events (systemd.time(7)): "daily", or days of the week, a
// date and a time of day, of which some may be missing, and a time zone. Whether the zone is there only its host knows.
func isCalendar(text string) bool {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return false
	}
	parts := strings.Fields(text)
	if last := parts[max(0, len(parts)-1):]; len(parts) > 1 && shorthand.MatchString(last[0]) {
		return false // zone takes it for one
	}
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
	for _, part := range strings.Split(strings.TrimSuffix(text, ","), ",") {
		first, last, ranges := strings.Cut(strings.Replace(part, "..", "-", 1), "-")
		if from := day(first); from < 0 || ranges && day(last) < from {
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
	last := 31.0
	if fromEnd {
		last = 28 // every month has so many
	}
	if len(fields) == 2 {
		if !isYear(fields[0]) {
			return false
		}
		fields = fields[1:]
	}
	return len(fields) == 1 && isComponent(fields[0], 1, 12, false, false) && isComponent(day, 1, last, false, fromEnd)
}

// isYear: two digits are a year of 1970 to 2069.
func isYear(text string) bool {
	return isComponent(text, 1970, 2199, false, false) || isComponent(text, 0, 99, false, false)
}

// isClock: "2:00", "02:00:30", "*:0/15". Only seconds have a fraction.
func isClock(text string) bool {
	fields := strings.Split(text, ":")
	if len(fields) < 2 || len(fields) > 3 {
		return false
	}
	return isComponent(fields[0], 0, 23, false, false) && isComponent(fields[1], 0, 59, false, false) && (len(fields) < 3 || isComponent(fields[2], 0, 60-1e-6, true, false))
}

// isComponent: "*", or numbers, ranges and steps, joined by commas, all within bounds. A step has to come round at
// least once (systemd: chain_valid in calendarspec.c).
func isComponent(text string, least, most float64, fractions, fromEnd bool) bool {
	if text == "*" {
		return true
	}
	for _, part := range strings.Split(text, ",") {
		m := item.FindStringSubmatch(part)
		if m == nil || !fractions && m[2]+m[4]+m[6] != "" {
			return false
		}
		from, to, step := number(m[1]+m[2]), number(m[3]+m[4]), number(m[5]+m[6])
		ranges := m[3] != ""
		short := fractions && m[5] == "" && to < from+1 // seconds are gone through in steps of one
		if ranges && (to < from || short) || m[5] != "" && step < 1e-6 {
			return false
		}
		if ranges && step > 0 { // the end is where the last step leads
			to = from + step*math.Floor((to-from)/step)
			if to == from {
				step = 0
			}
		}
		if from < least || from > most || ranges && to > most {
			return false
		}
		if step > most-least || !ranges && (fromEnd && from-step < least || !fromEnd && from+step > most) {
			return false
		}
	}
	return true
}

// number is a text of digits.
func number(text string) float64 {
	n, _ := strconv.ParseFloat(text, 64) // "" is none
	return n
}
