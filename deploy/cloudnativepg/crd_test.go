package cloudnativepg

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestFieldsAreThoseOfTheCRD checks every field of the Cluster against the operator's
// own description of it, which is too big to be kept here.
func TestFieldsAreThoseOfTheCRD(t *testing.T) {
	path := os.Getenv("CNPG_CRD")
	if path == "" {
		t.Skip("NOT RUN: CNPG_CRD is not set to config/crd/bases/postgresql.cnpg.io_clusters.yaml of CloudNativePG")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var crd object
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	schema := at(t, crd, "spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec").(object)
	spec := at(t, kind(load(t, "cluster.yaml"), "Cluster")[0], "spec")
	problems := check(spec, schema, "spec")
	for _, p := range problems {
		t.Error(p)
	}
	if planted := check(object{"instances": "3", "instancs": 3}, schema, "spec"); len(planted) != 2 {
		t.Errorf("a wrong type and an unknown field gave %q", planted)
	}
}

// check knows as much of OpenAPI as a CRD uses.
func check(doc any, schema object, path string) (problems []string) {
	if values, ok := schema["enum"].([]any); ok && !slices.Contains(values, doc) {
		problems = append(problems, fmt.Sprintf("%s is %v, not one of %v", path, doc, values))
	}
	fits := true
	switch schema["type"] {
	case "object":
		var m object
		if m, fits = doc.(object); fits {
			problems = append(problems, checkObject(m, schema, path)...)
		}
	case "array":
		var list []any
		if list, fits = doc.([]any); fits {
			for i, item := range list {
				problems = append(problems, check(item, schema["items"].(object), fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	case "string":
		_, fits = doc.(string)
	case "integer":
		_, fits = doc.(int)
	case "boolean":
		_, fits = doc.(bool)
	}
	if !fits {
		problems = append(problems, fmt.Sprintf("%s is %v, not of type %v", path, doc, schema["type"]))
	}
	return problems
}

func checkObject(doc, schema object, path string) (problems []string) {
	fields, _ := schema["properties"].(object)
	others, _ := schema["additionalProperties"].(object)
	for name, value := range doc {
		field, ok := fields[name].(object)
		switch {
		case ok:
			problems = append(problems, check(value, field, path+"."+name)...)
		case others != nil:
			problems = append(problems, check(value, others, path+"."+name)...)
		default:
			problems = append(problems, path+"."+name+": there is no such field")
		}
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := doc[name.(string)]; !ok {
			problems = append(problems, path+"."+name.(string)+" is missing")
		}
	}
	return problems
}
