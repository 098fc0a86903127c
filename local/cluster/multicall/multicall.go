// Package multicall chooses one of several programs in a binary: by the name the binary is called with (a symlink
// `kubelet`), else by its first argument (a container image whose entry point is the binary).
package multicall

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Program is one program inside the binary. Run reads os.Args, with its own name in front; it may also end the
// process itself.
type Program struct {
	Name    string
	Summary string
	Run     func() error
}

// Choose finds the program that the argument list means, and the argument list as that program wants to see it; nil
// if there is no such program.
func Choose(programs []Program, args []string) (*Program, []string) {
	if program := find(programs, filepath.Base(args[0])); program != nil {
		return program, args
	}
	if len(args) > 1 {
		return find(programs, args[1]), args[1:]
	}
	return nil, nil
}

func find(programs []Program, name string) *Program {
	for i := range programs {
		if programs[i].Name == name {
			return &programs[i]
		}
	}
	return nil
}

// Usage lists the programs.
func Usage(w io.Writer, binary string, programs []Program) {
	width := 0
	for _, p := range programs {
		width = max(width, len(p.Name))
	}
	fmt.Fprintf(w, "usage: %s <component> [flags]\n\ncomponents:\n", binary)
	for _, p := range programs {
		fmt.Fprintf(w, "  %s%s  %s\n", p.Name, strings.Repeat(" ", width-len(p.Name)), p.Summary)
	}
}
