package verify

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
)

// junit is the format that continuous integration reads, as far as it has an agreed meaning.
type junit struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitReason `xml:"failure,omitempty"`
	Error   *junitReason `xml:"error,omitempty"`
	Skipped *junitReason `xml:"skipped,omitempty"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the verdict as a JUnit file has it: what was not run is an error, so that no reader takes it for
// success.
func (v Verdict) JUnit() ([]byte, error) {
	s := junit{Name: Prefix + v.Run, Tests: len(v.Results)}
	var total float64
	for _, r := range v.Results {
		total += r.Seconds
		c := junitCase{Class: "jeroboam.verify", Name: r.Step + ": " + r.Proves, Time: fmt.Sprintf("%.3f", r.Seconds)}
		reason := &junitReason{Message: oneLine(r.Detail), Text: r.Detail}
		switch r.State {
		case Passed:
			c.Out = r.Detail
		case Failed:
			reason.Text += "\nLook at " + r.LookAt
			c.Failure, s.Failures = reason, s.Failures+1
		case Skipped:
			c.Skipped, s.Skipped = reason, s.Skipped+1
		default:
			c.Error, s.Errors = reason, s.Errors+1
		}
		s.Cases = append(s.Cases, c)
	}
	s.Time = fmt.Sprintf("%.3f", total)
	text, err := xml.MarshalIndent(s, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}

// write puts the verdict into a directory, as verdict.json and junit.xml.
func (v Verdict) write(dir string) error {
	asXML, err := v.JUnit()
	if err != nil {
		return err
	}
	asJSON, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string][]byte{"junit.xml": asXML, "verdict.json": append(asJSON, '\n')} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}
