package auth_test

import (
	"testing"

	"slipway/app/internal/auth"
)

func TestCommonPasswordsAreRecognized(t *testing.T) {
	for _, password := range []string{"1234567890", "password123", "Password123", "QWERTYUIOP", "pe#5gz29ptzmse", "zxcvbnm123", "aaaaaaaaaaaa", "121212121212"} {
		if !auth.IsCommon(password) {
			t.Errorf("%s is not common", password)
		}
	}
	for _, password := range []string{"correct horse", "password123 of mine", "password12\npassword123", "# redistributions", "größer als nötig"} {
		if auth.IsCommon(password) {
			t.Errorf("%q is common", password)
		}
	}
}
