package auth

import (
	_ "embed"
	"strings"
)

//go:embed common-passwords.txt
var commonPasswords string

// IsCommon reports whether an attacker would try this password early: it is on a list of common passwords, in any case,
// or has fewer than four different characters.
func IsCommon(password string) bool {
	lower := strings.ToLower(password)
	different := map[rune]bool{}
	for _, char := range lower {
		different[char] = true
	}
	isLine := !strings.HasPrefix(lower, "#") && !strings.Contains(lower, "\n")
	listed := isLine && strings.Contains(commonPasswords, "\n"+lower+"\n")
	return listed || len(different) < 4
}
