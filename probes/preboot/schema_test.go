package preboot

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
)

// schemaNode is as much of JSON Schema as docs/preboot-schema.json uses.
type schemaNode struct {
	Ref        string                `json:"$ref"`
	Type       string                `json:"type"`
	Enum       []any                 `json:"enum"`
	Const      any                   `json:"const"`
	Properties map[string]schemaNode `json:"properties"`
	Required   []string              `json:"required"`
	Items      *schemaNode           `json:"items"`
	Defs       map[string]schemaNode `json:"$defs"`
}

// check lists what of a value the schema does not describe.
func (n schemaNode) check(root schemaNode, at string, v any) (bad []string) {
	if n.Ref != "" {
		n = root.Defs[strings.TrimPrefix(n.Ref, "#/$defs/")]
	}
	complain := func(format string, args ...any) { bad = append(bad, at+": "+fmt.Sprintf(format, args...)) }
	if n.Enum != nil && !slices.Contains(n.Enum, v) || n.Const != nil && n.Const != v {
		complain("%v is not foreseen", v)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range n.Required {
			if _, ok := v[k]; !ok {
				complain("%s is missing", k)
			}
		}
		for k, x := range v {
			if p, ok := n.Properties[k]; ok {
				bad = append(bad, p.check(root, at+"."+k, x)...)
			} else {
				complain("%s is not described", k)
			}
		}
	case []any:
		for i, x := range v {
			if n.Items == nil {
				complain("is no list")
				break
			}
			bad = append(bad, n.Items.check(root, fmt.Sprintf("%s[%d]", at, i), x)...)
		}
	case string:
		if n.Type != "string" && n.Enum == nil {
			complain("is a string")
		}
	case float64:
		if n.Type != "integer" && n.Enum == nil && n.Const == nil {
			complain("is a number")
		}
	case bool:
		if n.Type != "boolean" {
			complain("is a truth value")
		}
	case nil:
		complain("is null")
	}
	return bad
}

// TestDocumentedAnswer: the example in the documentation is one.
func TestDocumentedAnswer(t *testing.T) {
	page, err := os.ReadFile("../../docs/preboot.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	example, _, found := strings.Cut(rest, "```")
	var v any
	if err := json.Unmarshal([]byte(example), &v); err != nil || !found {
		t.Fatalf("%v, %v", found, err)
	}
	schema := readSchema(t)
	for _, bad := range schema.check(schema, "example", v) {
		t.Error(bad)
	}
}

func readSchema(t *testing.T) schemaNode {
	t.Helper()
	text, err := os.ReadFile("../../docs/preboot-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema schemaNode
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestSchema(t *testing.T) {
	schema := readSchema(t)
	partly, refusing := goodTestbed(), goodTestbed()
	partly.denied = prefixes("10.3.7.0/24")[0]
	refusing.said = sandbox.LoadResult{Tool: "iptables-nft-restore", Code: 2, Stderr: "Error occurred at line: 4\n"}
	closed := strings.Replace(openRules4(), "-A INPUT -p tcp --dport 22", "-A INPUT -s 10.3.7.0/24 -j DROP\n-A INPUT -p tcp --dport 22", 1)
	limited := strings.Replace(openRules4(), "--dport 22", "--dport 22 -m limit --limit 3/min", 1)
	m := newFakeHost()
	m.list = nil
	empty, err := fakeChecker(m, goodTestbed(), t.TempDir()).check(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	tunnel := checkText(t, openRules4(), goodTestbed())
	tunnel.Assumptions = append(tunnel.Assumptions, iptables.Assumption{Name: "tunnel", Why: "x"})
	for i, r := range []Report{checkText(t, openRules4(), goodTestbed()), checkText(t, closed, partly), checkText(t, limited, goodTestbed()),
		checkText(t, strings.Replace(openRules4(), "--dport", "--dprot", 1), refusing), empty, tunnel} {
		r.checkSchema(t, schema, fmt.Sprint("report ", i))
	}
}

// checkSchema tells what of a report the schema does not describe.
func (r Report) checkSchema(t *testing.T, schema schemaNode, name string) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, bad := range schema.check(schema, name, v) {
		t.Error(bad)
	}
}
