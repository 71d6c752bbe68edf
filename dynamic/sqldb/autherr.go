package sqldb

import (
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

// IsAuthFailure reports whether a dial failed because the database refused the user or
// the password: SQLSTATE 28P01 or 28000, or MySQL's error 1045. The drivers' errors
// are known by their shape (a method SQLState, a type MySQLError with a Number), so
// that no driver is linked for it.
func IsAuthFailure(err error) bool {
	switch sqlState(err) {
	case "28P01", "28000":
		return true
	}
	return mysqlNumber(err) == 1045
}

// isDenial reports whether a statement was refused as it is to a user who was revoked:
// the session lives on, but its user has no rights left (failure code F4). A user who
// never had the right looks the same.
func isDenial(err error) bool {
	switch sqlState(err) {
	case "42501", "42704": // 42704: "invalid role OID", which is what current_user says to a dropped role
		return true
	}
	switch mysqlNumber(err) {
	case 1142, 1044:
		return true
	}
	return IsAuthFailure(err)
}

func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}

// mysqlNumber returns the error's number if err is, or wraps, a MySQLError; else 0.
func mysqlNumber(err error) uint64 {
	for err != nil {
		v := reflect.ValueOf(err)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() == reflect.Struct && v.Type().Name() == "MySQLError" {
			if n := v.FieldByName("Number"); n.IsValid() && n.CanUint() {
				return n.Uint()
			}
		}
		switch e := err.(type) { //nolint:errorlint // this is the walk itself
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				if n := mysqlNumber(inner); n != 0 {
					return n
				}
			}
			return 0
		default:
			err = errors.Unwrap(err)
		}
	}
	return 0
}

// withoutPassword returns err, or its text without the password if that is in it: the
// errors of net/url quote the whole address, and open may well build one.
func withoutPassword(err error, password secret.String) error {
	var unparsed *url.Error
	if errors.As(err, &unparsed) {
		return errors.New("what was made of the credential is no valid URL (an escape is missing?)") // its text quotes fragments of it
	}
	text := err.Error()
	clean := text
	plain := password.Reveal()
	user := strings.TrimPrefix(url.UserPassword("", plain).String(), ":")
	forms := []string{plain, url.QueryEscape(plain), url.PathEscape(plain), user}
	for _, form := range forms[:4:4] {
		forms = append(forms, strings.Trim(strconv.Quote(form), `"`))
	}
	for _, form := range forms {
		if form != "" {
			clean = strings.ReplaceAll(clean, form, "[password]")
		}
	}
	if clean == text {
		return err
	}
	return errors.New(clean) // without the chain, which has the text as well
}
