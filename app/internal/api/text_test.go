package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"slipway/app/internal/store"
)

func encoded(t *testing.T, value any) string {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

const wales = "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"

func TestANameWithMisleadingCharactersIsRefusedAndTheCharacterIsNamed(t *testing.T) {
	s := newService(t, &store.Memory{})
	for name, want := range map[string]string{
		"Ada\u202eadA":                          "must not have the direction-changing character U+202E",
		"\u2066Ada":                             "must not have the direction-changing character U+2066",
		"Ada\u200f":                             "must not have the direction-changing character U+200F",
		"\u061cAda":                             "must not have the direction-changing character U+061C",
		"A\u200bda":                             "must not have the invisible character U+200B",
		"\u200b":                                "must not have the invisible character U+200B",
		"\ufeffAda":                             "must not have the invisible character U+FEFF",
		"Ad\u00ada":                             "must not have the invisible character U+00AD",
		"Ada\u2060":                             "must not have the invisible character U+2060",
		"\u3164":                                "must not have the invisible character U+3164",
		"Ada\u115f":                             "must not have the invisible character U+115F",
		"A\u034fda":                             "must not have the invisible character U+034F",
		"A\u200dda":                             "must not have the invisible character U+200D",
		"A\u200cda":                             "must not have the invisible character U+200C",
		"\u200d👩":                               "must not have the invisible character U+200D",
		"👩\u200d":                               "must not have the invisible character U+200D",
		"👩\u200d\u200d👧":                        "must not have the invisible character U+200D",
		"\ufe0fAda":                             "must not have the invisible character U+FE0F",
		"A\ufe0f\ufe0f":                         "must not have the invisible character U+FE0F",
		"Ada\U000e0041":                         "must not have the invisible character U+E0041",
		wales + "\U000e0041":                    "must not have the invisible character U+E0041",
		"Ada\u2028":                             "",
		"A\u2028da":                             "must not have the invisible character U+2028",
		"A\u0007da":                             "must not have the control character U+0007",
		"A\u0085da":                             "must not have the control character U+0085",
		"Ada\u0378":                             "must not have the unknown character U+0378",
		"Ada\ue000":                             "must not have the unknown character U+E000",
		"\u0301":                                "must have a character that can be seen",
		"\u2800\u2800":                          "must have a character that can be seen",
		"\u00a0\u3000":                          "must not be empty",
		"\u0301Ada":                             "must not begin with the combining mark U+0301",
		"z" + strings.Repeat("\u0334", 5) + "a": "must not have more than 4 combining marks on one character",
	} {
		response := s.do("POST", "/v1/shops", `{"name": `+encoded(t, name)+`, "city": `+encoded(t, name)+`}`, s.as(1)...)
		if want == "" {
			if response.Code != http.StatusCreated {
				t.Errorf("%+q: %d %s", name, response.Code, response.Body)
			}
			continue
		}
		p := s.problem(response)
		if response.Code != http.StatusUnprocessableEntity || len(p.Errors) == 0 || p.Errors[len(p.Errors)-1].Detail != want {
			t.Errorf("%+q: %d %s, want %q", name, response.Code, response.Body, want)
		}
		user := `{"name": ` + encoded(t, name) + `, "email": "eve@example.org", "password": "canary horse battery"}`
		s.want(http.StatusUnprocessableEntity, "POST", "/v1/users", user)
	}
}

func TestANameOfAnyScriptOrEmojiIsAccepted(t *testing.T) {
	s := newService(t, &store.Memory{})
	for _, name := range []string{
		"Größe & Söhne", "O’Brien", "李小龍", "さくら", "한국", "ไทย", "עברית", "عربي", "نمی\u200cخواهم", "مُحَمَّد", "क्\u200dष", "ශ්\u200dරී ලංකා", "ക്\u200cഷ",
		"Tiếng Việt", "葛\U000e0100", "ᠮᠣᠩᠭᠣᠯ", "👩\u200d👩\u200d👧\u200d👦", "🧑🏽\u200d🚀", "❤\ufe0f\u200d🔥", "🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3", "🇦🇹", wales, "½ °C №",
	} {
		response := s.do("POST", "/v1/shops", `{"name": `+encoded(t, name)+`, "city": `+encoded(t, name)+`}`, s.as(1)...)
		var shop struct{ Name, City string }
		if err := json.Unmarshal(response.Body.Bytes(), &shop); err != nil || response.Code != http.StatusCreated || shop.Name != name || shop.City != name {
			t.Errorf("%q: %d %s", name, response.Code, response.Body)
		}
	}
}

func TestNamesThatLookTheSameAreNormalizedToTheSameText(t *testing.T) {
	s := newService(t, &store.Memory{})
	response := s.do("POST", "/v1/shops", `{"name": "  Cafe\u0301\u00a0", "city": "Ko\u0308ln ", "description": " Cafe\u0301\n"}`, s.as(1)...)
	var shop struct{ Name, City, Description string }
	if err := json.Unmarshal(response.Body.Bytes(), &shop); err != nil || shop.Name != "Café" || shop.City != "Köln" || shop.Description != " Café\n" {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	if shops := s.list("/v1/shops?query=cafe%CC%81").Items; len(shops) != 1 {
		t.Errorf("found %v", shops)
	}
}

func TestATextMayHaveSeveralLinesButNoDirectionChangingCharacters(t *testing.T) {
	s := newService(t, &store.Memory{})
	for text, want := range map[string]string{
		"one\ntwo": "",
		"pasted\u00ad \u200b \ufeff👩\u200d🚀":    "",
		"עברית\u200f (abc)":                     "",
		"a\u202eb":                              "must not have the direction-changing character U+202E",
		"a\u2067b":                              "must not have the direction-changing character U+2067",
		"a\tb":                                  "must not have the control character U+0009",
		"a\U000e0041":                           "must not have the invisible character U+E0041",
		"a\n\u0301":                             "must not begin with the combining mark U+0301",
		"z" + strings.Repeat("\u0335", 5) + "a": "must not have more than 4 combining marks on one character",
	} {
		response := s.do("POST", "/v1/shops", `{"name": "x", "description": `+encoded(t, text)+`}`, s.as(1)...)
		if want == "" {
			if response.Code != http.StatusCreated {
				t.Errorf("%+q: %d %s", text, response.Code, response.Body)
			}
			continue
		}
		if p := s.problem(response); response.Code != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Detail != want {
			t.Errorf("%+q: %d %s, want %q", text, response.Code, response.Body, want)
		}
	}
}
