package notify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// conforms checks a value against the part of JSON Schema that event.schema.json
// uses; a keyword that it does not know is an error, so that none is overlooked.
func conforms(root, schema map[string]any, v any, at string) error {
	for keyword, want := range schema {
		check := checkOf(keyword)
		if check == nil {
			return fmt.Errorf("%s: keyword %q is not checked", at, keyword)
		}
		if err := check(root, schema, want, v, at); err != nil {
			return err
		}
	}
	return nil
}

type keywordCheck func(root, schema map[string]any, want, v any, at string) error

// checkOf gives the check of a keyword; nil for one that is not known.
func checkOf(keyword string) keywordCheck {
	return map[string]keywordCheck{
		"$schema": ignored, "$id": ignored, "$defs": ignored, "title": ignored, "description": ignored,
		"type": checkType, "enum": checkEnum, "const": checkConst, "pattern": checkPattern, "format": checkFormat,
		"minLength": checkMinLength, "minimum": checkMinimum, "maxItems": checkMaxItems,
		"required": checkRequired, "properties": checkProperties, "additionalProperties": checkAdditional,
		"items": checkItems, "$ref": checkRef,
	}[keyword]
}

func ignored(_, _ map[string]any, _, _ any, _ string) error { return nil }

func checkType(_, _ map[string]any, want, v any, at string) error {
	ok := false
	switch want {
	case "object":
		_, ok = v.(map[string]any)
	case "array":
		_, ok = v.([]any)
	case "string":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "integer":
		f, is := v.(float64)
		ok = is && f == float64(int64(f))
	}
	if !ok {
		return fmt.Errorf("%s: %v is no %s", at, v, want)
	}
	return nil
}

func checkEnum(_, _ map[string]any, want, v any, at string) error {
	if !slices.Contains(want.([]any), v) {
		return fmt.Errorf("%s: %v is none of %v", at, v, want)
	}
	return nil
}

func checkConst(_, _ map[string]any, want, v any, at string) error {
	if v != want {
		return fmt.Errorf("%s: %v is not %v", at, v, want)
	}
	return nil
}

func checkPattern(_, _ map[string]any, want, v any, at string) error {
	if s, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(s) {
		return fmt.Errorf("%s: %q does not match %s", at, s, want)
	}
	return nil
}

func checkFormat(_, _ map[string]any, _, v any, at string) error {
	if s, ok := v.(string); ok {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

func checkMinLength(_, _ map[string]any, want, v any, at string) error {
	if s, ok := v.(string); ok && float64(len(s)) < want.(float64) {
		return fmt.Errorf("%s: %q is too short", at, s)
	}
	return nil
}

func checkMinimum(_, _ map[string]any, want, v any, at string) error {
	if f, ok := v.(float64); ok && f < want.(float64) {
		return fmt.Errorf("%s: %v is too small", at, v)
	}
	return nil
}

func checkMaxItems(_, _ map[string]any, want, v any, at string) error {
	if a, ok := v.([]any); ok && float64(len(a)) > want.(float64) {
		return fmt.Errorf("%s: %d are too many", at, len(a))
	}
	return nil
}

func checkRequired(_, _ map[string]any, want, v any, at string) error {
	m, _ := v.(map[string]any)
	for _, k := range want.([]any) {
		if _, ok := m[k.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, k)
		}
	}
	return nil
}

func checkProperties(root, _ map[string]any, want, v any, at string) error {
	m, _ := v.(map[string]any)
	for k, sub := range want.(map[string]any) {
		if x, ok := m[k]; ok {
			if err := conforms(root, sub.(map[string]any), x, at+"."+k); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkAdditional(_, schema map[string]any, _, v any, at string) error {
	m, _ := v.(map[string]any)
	known, _ := schema["properties"].(map[string]any)
	for k := range m {
		if _, ok := known[k]; !ok {
			return fmt.Errorf("%s: %s is not known", at, k)
		}
	}
	return nil
}

func checkItems(root, _ map[string]any, want, v any, at string) error {
	a, _ := v.([]any)
	for n, x := range a {
		if err := conforms(root, want.(map[string]any), x, fmt.Sprintf("%s[%d]", at, n)); err != nil {
			return err
		}
	}
	return nil
}

func checkRef(root, _ map[string]any, want, v any, at string) error {
	name := strings.TrimPrefix(want.(string), "#/$defs/")
	return conforms(root, root["$defs"].(map[string]any)[name].(map[string]any), v, at)
}
