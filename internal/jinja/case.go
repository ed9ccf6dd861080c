package jinja

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Python changes the case of whole texts by Unicode's full mappings, where one character may become several: "ß" is
// "SS" in capitals, and a sigma that ends a word is a final one. Go's strings package maps one character to one.

func lower(s string) string { return cases.Lower(language.Und).String(s) }
func upper(s string) string { return cases.Upper(language.Und).String(s) }

// titleRune is one character as it begins a word.
func titleRune(c rune) string { return cases.Title(language.Und).String(string(c)) }

func swapCase(s string) string {
	var out strings.Builder
	for _, c := range s {
		switch {
		case unicode.IsUpper(c):
			out.WriteString(lower(string(c)))
		case unicode.IsLower(c):
			out.WriteString(upper(string(c)))
		default:
			out.WriteRune(c)
		}
	}
	return out.String()
}

// capitalize begins the text with a capital, and has nothing but small letters after it.
func capitalize(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return titleRune(c) + lower(s[n:])
}

// title begins every run of letters with a capital: Python's method.
func title(s string) string {
	var out strings.Builder
	inside := false
	for _, c := range s {
		switch isLetter := unicode.IsLetter(c); {
		case isLetter && !inside:
			out.WriteString(titleRune(c))
			inside = true
		case isLetter:
			out.WriteString(lower(string(c)))
		default:
			out.WriteRune(c)
			inside = false
		}
	}
	return out.String()
}

var wordStart = regexp.MustCompile(`[-\s({\[<]+`)

// titleFilter begins every word with a capital, where words begin after blanks, dashes and opening brackets: Jinja2's
// filter, which leaves "it's" one word.
func titleFilter(s string) string {
	var out strings.Builder
	word := func(w string) {
		if c, n := utf8.DecodeRuneInString(w); n > 0 {
			out.WriteString(upper(string(c)) + lower(w[n:]))
		}
	}
	at := 0
	for _, m := range wordStart.FindAllStringIndex(s, -1) {
		word(s[at:m[0]])
		out.WriteString(s[m[0]:m[1]])
		at = m[1]
	}
	word(s[at:])
	return out.String()
}
