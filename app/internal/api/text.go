package api

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Texts of users are displayed next to texts of other users. A name must not be invisible or look like another one, and
// no text may change how the text after it is displayed.

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'

	// maxMarks is the longest sequence of combining marks that UTS #39, section 5.4, recommends. More of them would cover
	// the lines above and below.
	maxMarks = 4
)

// nameMistake returns what is wrong with the text of one line, such as a name, or "".
func nameMistake(text string) string {
	runes := []rune(withoutFlags.Replace(text))
	for at, char := range runes {
		if mistake := unwantedInName(runes, at, char); mistake != "" {
			return fmt.Sprintf("must not have the %s character %U", mistake, char)
		}
	}
	if strings.TrimSpace(text) != "" && !slices.ContainsFunc(runes, visible) {
		return "must have a character that can be seen"
	}
	return marksMistake(runes)
}

// linesMistake returns what is wrong with a text of several lines, or "". Unlike names, such texts may contain invisible
// characters that users paste without noticing, such as a soft hyphen.
func linesMistake(text string) string {
	runes := []rune(withoutFlags.Replace(text))
	for _, char := range runes {
		if mistake := unwantedInLines(char); mistake != "" {
			return fmt.Sprintf("must not have the %s character %U", mistake, char)
		}
	}
	return marksMistake(runes)
}

func unwantedInName(runes []rune, at int, char rune) string {
	switch {
	case unicode.IsControl(char):
		return "control"
	case unicode.Is(unicode.Bidi_Control, char):
		return "direction-changing"
	case char == zeroWidthJoiner || char == zeroWidthNonJoiner:
		if joins(runes, at) {
			return ""
		}
		return "invisible"
	case unicode.Is(unicode.Variation_Selector, char):
		if at > 0 && visible(runes[at-1]) {
			return ""
		}
		return "invisible"
	case unicode.In(char, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl, unicode.Zp):
		return "invisible"
	case !unicode.IsGraphic(char):
		return "unknown"
	}
	return ""
}

func unwantedInLines(char rune) string {
	switch {
	case char != '\n' && unicode.IsControl(char):
		return "control"
	case unicode.Is(unicode.Bidi_Control, char) && !unicode.Is(implicitMarks, char):
		return "direction-changing"
	case unicode.Is(tags, char):
		return "invisible"
	}
	return ""
}

var (
	// implicitMarks affect the order of their neighbours in texts of two scripts, but not of the text after that.
	implicitMarks = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x061c, Hi: 0x061c, Stride: 1}, {Lo: 0x200e, Hi: 0x200f, Stride: 1}}}
	// tags are invisible letters.
	tags = &unicode.RangeTable{R32: []unicode.Range32{{Lo: 0xe0000, Hi: 0xe007f, Stride: 1}}}
	// withoutFlags replaces the only emoji that contain tags: the flags of England, Scotland and Wales.
	withoutFlags = strings.NewReplacer(flag("gbeng"), "🏴", flag("gbsct"), "🏴", flag("gbwls"), "🏴")
)

func flag(region string) string {
	return "🏴" + strings.Map(func(char rune) rune { return 0xe0000 + char }, region) + "\U000e007f"
}

// visible reports whether the character itself is drawn.
func visible(char rune) bool {
	const brailleBlank = '\u2800'
	return char != brailleBlank && unicode.In(char, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, char)
}

// joiningScripts are the scripts that need joiners (UAX #31, section 2.3).
var joiningScripts = []*unicode.RangeTable{
	unicode.Arabic, unicode.Bengali, unicode.Devanagari, unicode.Gujarati, unicode.Gurmukhi, unicode.Kannada, unicode.Khmer,
	unicode.Malayalam, unicode.Mongolian, unicode.Myanmar, unicode.Oriya, unicode.Sinhala, unicode.Syriac, unicode.Tamil,
	unicode.Telugu, unicode.Tibetan,
}

// joins reports whether the joiner at this index has a visible effect: in an emoji, or within a word of a script that
// needs joiners.
func joins(runes []rune, at int) bool {
	before := at - 1
	for before >= 0 && unicode.Is(unicode.Inherited, runes[before]) && !isJoiner(runes[before]) {
		before-- // skip marks that belong to the letter before them
	}
	if before < 0 || at == len(runes)-1 {
		return false
	}
	if runes[at] == zeroWidthJoiner && isEmoji(runes[before]) && isEmoji(runes[at+1]) {
		return true
	}
	return unicode.In(runes[before], joiningScripts...) && unicode.In(runes[at+1], joiningScripts...)
}

func isJoiner(char rune) bool { return char == zeroWidthJoiner || char == zeroWidthNonJoiner }

// isEmoji reports whether the character is a symbol or a skin tone modifier.
func isEmoji(char rune) bool { return unicode.In(char, unicode.So, unicode.Sm, unicode.Sk) }

func marksMistake(runes []rune) string {
	run := 0
	for at, char := range runes {
		if !unicode.In(char, unicode.Mn, unicode.Me) || unicode.Is(unicode.Variation_Selector, char) {
			run = 0
			continue
		}
		if run++; at == 0 || runes[at-1] == '\n' {
			return fmt.Sprintf("must not begin with the combining mark %U", char)
		}
		if run > maxMarks {
			return fmt.Sprintf("must not have more than %d combining marks on one character", maxMarks)
		}
	}
	return ""
}
