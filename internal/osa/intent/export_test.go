package intent

// Tables of fields that a deployment does not read.
var (
	Ignored     = ignored
	Informative = informative
)

// IsCalendar is the check of calendar events.
var IsCalendar = isCalendar
