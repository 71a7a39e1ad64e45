package configs

import "reflect"

// tomlKeys lists the dotted keys of a configuration type; the tables of
// single links are stood for by the default one.
func tomlKeys(v any) []string {
	var keys []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			name := prefix + f.Tag.Get("toml")
			switch {
			case f.Tag.Get("toml") == "-": // not in the file
			case f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
				walk(name+".default.", f.Type.Elem())
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && f.Type.Elem().Field(0).Tag != "":
				// any number of tables: the example shows one in a comment, see
				// TestExampleReceiverHasEveryKey
			case f.Type.Kind() == reflect.Struct && f.Type.Field(0).Tag != "":
				walk(name+".", f.Type)
			default:
				keys = append(keys, name)
			}
		}
	}
	walk("", reflect.TypeOf(v))
	return keys
}
