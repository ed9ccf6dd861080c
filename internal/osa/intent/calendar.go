package intent

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	shorthand = regexp.MustCompile(`^(?i:minutely|hourly|daily|monthly|weekly|yearly|annually|quarterly|semiannually)$`)
	weekdays  = regexp.MustCompile(`^(?i:(?:(?:mon|tue(?:s)?|wed(?:nes)?|thu(?:r(?:s)?)?|fri|sat(?:ur)?|sun)(?:day)?(?:\.\.|-|,|$)+)+)$`)
	date      = regexp.MustCompile(`^(?:[0-9*][0-9,./*]*-)?[0-9*][0-9,./*]*[-~][0-9*][0-9,./*]*$`)
	clock     = regexp.MustCompile(`^[0-9*][0-9,./*]*:[0-9*][0-9,./*]*(?::[0-9*][0-9,./*]*)?$`)
	zone      = regexp.MustCompile(`^[A-Za-z]+(?:/[A-Za-z0-9_+-]+)*$`)
	digits    = regexp.MustCompile(`[0-9]+`)
)

// isCalendar says whether a text has the form of systemd's calendar events: "daily", or days of the week, a date and a
// time of day, of which some may be missing, and a time zone (systemd.time(7)). Whether the zone is there only its host
// knows.
func isCalendar(text string) bool {
	parts := strings.Fields(text)
	if len(parts) > 1 && zone.MatchString(parts[len(parts)-1]) && !weekdays.MatchString(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 1 && shorthand.MatchString(parts[0]) {
		return true
	}
	found := 0
	if len(parts) > 0 && weekdays.MatchString(parts[0]) {
		parts, found = parts[1:], 1
	}
	if len(parts) > 0 && date.MatchString(parts[0]) {
		if !isDate(parts[0]) {
			return false
		}
		parts, found = parts[1:], found+1
	}
	if len(parts) > 0 && clock.MatchString(parts[0]) {
		if !within(strings.Split(parts[0], ":"), [][2]int{{0, 23}, {0, 59}, {0, 59}}) {
			return false
		}
		parts, found = parts[1:], found+1
	}
	return found > 0 && len(parts) == 0
}

// isDate says whether months and days of a date, which has its form, are some.
func isDate(text string) bool {
	fields := strings.FieldsFunc(text, func(c rune) bool { return c == '-' || c == '~' })
	return within(fields[len(fields)-2:], [][2]int{{1, 12}, {1, 31}})
}

// within says whether all numbers of fields are in their ranges; what follows a slash is a step, and what follows a dot
// a fraction.
func within(fields []string, ranges [][2]int) bool {
	for i, field := range fields {
		for _, item := range strings.Split(strings.ReplaceAll(field, "..", ","), ",") {
			item, _, _ = strings.Cut(item, "/")
			item, _, _ = strings.Cut(item, ".")
			for _, text := range digits.FindAllString(item, -1) {
				if n, err := strconv.Atoi(text); err != nil || n < ranges[i][0] || n > ranges[i][1] {
					return false
				}
			}
		}
	}
	return true
}
