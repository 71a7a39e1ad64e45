// Package printabletest puts into every string of a value what no terminal may get to see,
// for tests of what is printed of it.
package printabletest

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Text is what a terminal would act on: ESC, line end, return, tab, a control
// character of the second set, one that turns the direction of writing, and a byte
// that is no UTF-8.
const Text = "\x1b[2J\n\r\t\u009b31m\u202e\xff"

// Fill puts a name of its own and Text into every string that v, a pointer, leads to
// by exported fields: slices and maps get one element, pointers something to point at.
// Numbers and truth values get the value that stands for them: what is printed depends
// on them. It gives the names, in the order of the fields.
func Fill(v any, number int) (names []string) {
	f := filler{number: number}
	f.fill(reflect.ValueOf(v).Elem(), 0)
	return f.names
}

type filler struct {
	number int
	names  []string
}

const deepest = 12

func (f *filler) fill(v reflect.Value, depth int) {
	if depth > deepest || !v.CanSet() {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		if f.number != 0 {
			v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		name := fmt.Sprintf("canary%d.", len(f.names))
		f.names = append(f.names, name)
		v.SetString(name + Text)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), depth+1)
		}
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		f.fill(v.Elem(), depth+1)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			f.fill(v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, depth+1)
		f.fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Bool:
		v.SetBool(f.number != 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.number))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.number))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.number))
	}
}

// Escaped finds what of Text has got into printed text, with what stands around it;
// it is empty where all is well. Line ends and tabs must be where their printer put
// them: none of them stands beside a name.
func Escaped(text string) string {
	for at, r := range text {
		size := utf8.RuneLen(r)
		ours := r == '\n' || r == '\t'
		if r == utf8.RuneError && !strings.HasPrefix(text[at:], "\ufffd") || !ours && !unicode.IsPrint(r) {
			return fmt.Sprintf("%q", text[max(0, at-60):min(len(text), at+max(size, 1))])
		}
	}
	for _, end := range []string{"[2J\n", "31m\n", "\n31m"} {
		if at := strings.Index(text, end); at >= 0 {
			return fmt.Sprintf("%q", text[max(0, at-60):at+len(end)])
		}
	}
	return ""
}

// Count is how many of the names that Fill gave stand in a text.
func Count(text string, names []string) (n int) {
	for _, name := range names {
		if strings.Contains(text, name) {
			n++
		}
	}
	return n
}
