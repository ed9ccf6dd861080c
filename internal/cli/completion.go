package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints what a shell sources. It asks this program back at each key (see completeCommand), so that it never grows
// old.
func (c *completionCommand) Run(streams Streams) error {
	_, err := io.WriteString(streams.Out, map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell])
	return err
}

const bashCompletion = `# bash completion for jeroboam; "jeroboam completion bash" printed it
_jeroboam() {
	local IFS=$'\n'
	COMPREPLY=($(jeroboam complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _jeroboam jeroboam
`

const zshCompletion = `#compdef jeroboam
# zsh completion for jeroboam; "jeroboam completion zsh" printed it
_jeroboam() {
	local -a candidates
	candidates=(${(f)"$(jeroboam complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	if (( $#candidates )); then compadd -- $candidates; else _files; fi
}
if [ "$funcstack[1]" = _jeroboam ]; then _jeroboam "$@"; else compdef _jeroboam jeroboam; fi
`

const fishCompletion = `# fish completion for jeroboam; "jeroboam completion fish" printed it
function __jeroboam_candidates
	set -l words (commandline -opc) (commandline -ct)
	jeroboam complete -- $words[2..-1] 2>/dev/null
end
complete -c jeroboam -a '(__jeroboam_candidates)'
`

type completeCommand struct {
	Words []string `arg:"" optional:"" help:"What was typed; the last word is to be completed."`
}

// Run prints candidates for the last word, one a line. No candidates: the shell offers files.
func (c *completeCommand) Run(streams Streams, k *kong.Context) error {
	for _, candidate := range candidates(k.Model.Node, c.Words) {
		if _, err := fmt.Fprintln(streams.Out, candidate); err != nil {
			return err
		}
	}
	return nil
}

// candidates are what may stand in place of the last word.
func candidates(at *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	typed := words[len(words)-1]
	var open *kong.Flag // its value comes next
	for _, word := range words[:len(words)-1] {
		switch {
		case word == "=": // bash cuts words there
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "-"):
			open = valueOf(at, word)
		default:
			at = child(at, word)
		}
	}
	name, value, given := strings.Cut(typed, "=")
	switch {
	case typed == "=" && open != nil:
		return values(open, "", "")
	case open != nil:
		return values(open, "", typed)
	case given && strings.HasPrefix(name, "--"):
		return values(flag(at, name), name+"=", value)
	case strings.HasPrefix(typed, "-"):
		return flags(at, typed)
	}
	return subcommands(at, typed)
}

// child is the subcommand of a name; another word is an argument of the command.
func child(at *kong.Node, name string) *kong.Node {
	for _, c := range at.Children {
		if c.Name == name {
			return c
		}
	}
	return at
}

// flag finds one of a command or of those above it.
func flag(at *kong.Node, name string) *kong.Flag {
	for _, group := range at.AllFlags(false) {
		for _, f := range group {
			if "--"+f.Name == name || f.Short != 0 && "-"+string(f.Short) == name {
				return f
			}
		}
	}
	return nil
}

// valueOf is the flag whose value the next word is; nil if it has none, or has it already.
func valueOf(at *kong.Node, word string) *kong.Flag {
	if f := flag(at, word); f != nil && !f.IsBool() && !f.IsCounter() {
		return f
	}
	return nil
}

func values(f *kong.Flag, before, typed string) []string {
	if f == nil || f.Enum == "" {
		return nil
	}
	return startingWith(f.EnumSlice(), before, typed)
}

func flags(at *kong.Node, typed string) []string {
	var names []string
	for _, group := range at.AllFlags(true) {
		for _, f := range group {
			names = append(names, "--"+f.Name)
		}
	}
	return startingWith(names, "", typed)
}

func subcommands(at *kong.Node, typed string) []string {
	var names []string
	for _, c := range at.Children {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	for _, p := range at.Positional {
		if p.Enum != "" {
			names = append(names, p.EnumSlice()...)
		}
	}
	return startingWith(names, "", typed)
}

func startingWith(all []string, before, typed string) []string {
	var out []string
	for _, s := range all {
		if s != "" && strings.HasPrefix(s, typed) {
			out = append(out, before+s)
		}
	}
	return out
}
