package intent_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// TestCalendars: what systemd-analyze calendar (systemd 252) says of each of these.
func TestCalendars(t *testing.T) {
	for text, want := range map[string]bool{
		"daily": true, "Weekly": true, "daily UTC": true, "Mon..Fri 02:00": true, "Mon,Tue *-*-* 02:30:00": true, "*-*-* 00:00:00": true, "*-*-1..7 03:00": true,
		"Sat": true, "Mon-Fri 02:00": true, "Monday 2:00": true, "02:00 Europe/Berlin": true, "02:00 UTC": true, "*:0/15": true, "*-*~1": true,
		"*-*-* 02:00:00.5": true, "Thu 01:00": true, "2026-02-28": true,
		"@0": true, "@1700000000": true, "semi-annually": true, "biannually": true, "02:00 GMT0": true, "02:00 EST5EDT": true, "1-31": true, "*-*-* 0:0:1/2.5": true,
		"Mon,": true, "*-11~27/21": true, "*-*~1..7/2": true, "Mon..Mon": true, "26-1-1": true, "*:0..59/60": true, "00:00:0.1234567": true, "Wed..Sat,Tue 12-10-15 1:2:3": true, "00001:00": true,
		" daily ": true, "Mon..Fri,Sun 1..5:0/10": true,

		"": false, "nightly": false, "every day": false, "weekdays": false, "25:00": false, "02:61": false, "*-13-01": false, "0 3 * * *": false,
		"@daily": false, "03:00 04:00": false, "UTC": false, "daily\n[Service]": false, "Europe/Berlin": false,
		"*-*-31/5": false, "*-*-1/31": false, "*:1/59": false, "*:25,40/42": false, "*-*~7/7": false, "*-*~10/18": false, "*-*~5..3": false, "*-*~31": false, "00:00:59.9..59.5": false,
		"Mon\tdaily": false, "Mon daily": false, "hourly hourly": false, "02:00 daily": false,
		"Thurs 1:00": false, "mon,,tue 01:00": false, "Mon.. 02:00": false, "Fri..Mon 1:0": false, "Mon..Wed..Fri 1:0": false, "5..1:00": false, "02:00/0": false,
		"02:00/99": false, "1/70:00": false, "*/0:00": false, "1.5:0": false, "1,:0": false, "*,1:0": false, "*/2,5:0": false, "*..5:0": false, "1*:0": false,
		"1/2/3:0": false, "1..2..3:0": false, "*-**-1": false, "99999-1-1": false, "1": false, "-": false, "~": false, "1-": false,
	} {
		if got := intent.IsCalendar(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
