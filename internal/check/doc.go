// Package check looks at a primary and its standbys and says what is wrong, why, and
// what to type against it. It is what "shop check" prints.
//
//	checker := check.New(targets, limits)
//	cluster, err := checker.Look(ctx)                 // facts: gather.go, facts.sql, bound.go
//	report := check.Judge(cluster, limits, remedies)  // findings: judge*.go, pure
//	err = report.Text(os.Stdout, false)               // or JSON: report.go, text.go
//
// It looks at the servers themselves, with no shop running. Roles are observed, never
// configured. One look is one statement on each server, all at once, and then the
// question how old what a standby shows may be: the primary's position is noted, and
// the standby has to reach it. See bound.go.
//
// Unknown is unsafe. A server that is silent, a right that is missing, a bound that
// cannot be proven is a finding of its own, and never looks like "none" or "0".
//
// A remedy mends the cause that was found, and is the mildest that does. None of them
// makes a node follow another as long as it is not certain which of the two has the
// newer history: what is silent is to be started, and not to be rejoined.
//
// What it does not see: a standby that is not listed; a primary that was promoted
// while neither it nor anybody that follows it answers; what became wrong and good
// again between two looks. It changes nothing, and asks with a role that cannot.
package check
