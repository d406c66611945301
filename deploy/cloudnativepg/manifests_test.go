// Package cloudnativepg holds manifests, and the tests that read them. Nothing here
// needs Kubernetes, and nothing shows that they work there.
package cloudnativepg

import (
	"errors"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"example.com/leeway/api"
)

// object is a YAML mapping.
type object = map[string]any

func load(t *testing.T, path string) (docs []object) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for decoder := yaml.NewDecoder(file); ; {
		var doc object
		if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
			return docs
		} else if err != nil { // also for a key that is there twice
			t.Fatalf("%s: %v", path, err)
		}
		docs = append(docs, doc)
	}
}

// at follows a path of keys; a number in it is an index.
func at(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for i, step := range path {
		switch key := step.(type) {
		case string:
			m, ok := doc.(object)
			if !ok || m[key] == nil {
				t.Fatalf("there is no %v", path[:i+1])
			}
			doc = m[key]
		case int:
			doc = doc.([]any)[key]
		}
	}
	return doc
}

func kind(docs []object, kind string) (found []object) {
	for _, d := range docs {
		if d["kind"] == kind {
			found = append(found, d)
		}
	}
	return found
}

// env is the environment of a container: values, or "secret/key".
func env(t *testing.T, workload object) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, e := range at(t, workload, "spec", "template", "spec", "containers", 0, "env").([]any) {
		entry := e.(object)
		name := entry["name"].(string)
		if value, ok := entry["value"].(string); ok {
			values[name] = value
			continue
		}
		ref := at(t, entry, "valueFrom", "secretKeyRef").(object)
		values[name] = ref["name"].(string) + "/" + ref["key"].(string)
	}
	return values
}

// What names an instance of the database names it everywhere.
func TestEveryInstanceIsANode(t *testing.T) {
	cluster, shop := load(t, "cluster.yaml"), load(t, "shop.yaml")
	db := kind(cluster, "Cluster")[0]
	name := at(t, db, "metadata", "name").(string)
	var services, nodes []string
	for _, s := range kind(cluster, "Service") {
		service := at(t, s, "metadata", "name").(string)
		if at(t, s, "spec", "selector", "cnpg.io/instanceName") != service || at(t, s, "spec", "selector", "cnpg.io/cluster") != name {
			t.Errorf("service %s leads elsewhere", service)
		}
		services = append(services, service)
	}
	for entry := range strings.SplitSeq(env(t, kind(shop, "Deployment")[0])["SHOP_NODES"], ",") {
		node, dsn, _ := strings.Cut(entry, "=")
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if _, has := u.User.Password(); has || u.Host != node || u.User.Username() != "shop_rw" || u.Query().Get("sslmode") != "verify-full" {
			t.Errorf("node %s: %s", node, dsn)
		}
		nodes = append(nodes, node)
	}
	var certified []string
	for _, n := range at(t, db, "spec", "certificates", "serverAltDNSNames").([]any) {
		certified = append(certified, n.(string))
	}
	if len(nodes) != at(t, db, "spec", "instances") || !slices.Equal(nodes, services) || !slices.Equal(nodes, certified) {
		t.Errorf("nodes %q, services %q, in the certificate %q", nodes, services, certified)
	}
	synchronous := at(t, db, "spec", "postgresql", "synchronous").(object)
	if synchronous["dataDurability"] != "required" || synchronous["failoverQuorum"] != true {
		t.Errorf("orders may be lost: %v", synchronous)
	}
}

// The probes ask for operations that there are, and settings are those of serve.
func TestTheShopKnowsWhatItIsTold(t *testing.T) {
	shop := load(t, "shop.yaml")
	deployment := kind(shop, "Deployment")[0]
	for _, probe := range []string{"livenessProbe", "readinessProbe"} {
		path := at(t, deployment, "spec", "template", "spec", "containers", 0, probe, "httpGet", "path").(string)
		if !strings.Contains(string(api.YAML), "\n  "+path+":\n") {
			t.Errorf("%s: the API has no %s", probe, path)
		}
	}
	var declared []byte
	for _, source := range []string{"config.go", "migrate.go"} {
		text, err := os.ReadFile("../../cmd/shop/" + source)
		if err != nil {
			t.Fatal(err)
		}
		declared = append(declared, text...)
	}
	for _, workload := range append(kind(shop, "Job"), deployment) {
		for name := range env(t, workload) {
			if strings.HasPrefix(name, "SHOP_") && !strings.Contains(string(declared), `env:"`+name+`"`) {
				t.Errorf("the shop has no setting %s", name)
			}
		}
	}
}

// Whatever the manifests want of a Secret or a ConfigMap, README makes.
func TestReadmeMakesWhatIsWanted(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{"shop-db-ca": true} // the operator's
	for _, match := range regexp.MustCompile(`kubectl create (?:secret generic|configmap) (\S+)`).FindAllStringSubmatch(string(readme), -1) {
		made[match[1]] = true
	}
	for match := range strings.FieldsSeq("shop-owner shop-rw shop-ro") {
		made[match] = strings.Contains(string(readme), "for role in owner rw ro")
	}
	wanted := 0
	for _, path := range []string{"cluster.yaml", "shop.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?:secret:\s+name|passwordSecret:\s+name|configMapRefs:\s+- name|secretKeyRef: \{name|secretName): ([a-z-]+)`).FindAllStringSubmatch(string(text), -1) {
			wanted++
			if !made[match[1]] {
				t.Errorf("%s wants %s, which nobody makes", path, match[1])
			}
		}
	}
	if wanted < 9 {
		t.Errorf("only %d references were found", wanted)
	}
}
