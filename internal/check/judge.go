package check

import (
	"fmt"
	"slices"
	"strings"
)

// Judge finds what is wrong, the worst first, then in the order of the nodes. It is
// pure. What is not known is never taken for good.
func Judge(c Cluster, limits Limits, remedies Remedies) Report {
	j := &judge{Cluster: &c, limits: limits, fix: remedies, main: c.primary()}
	if j.main == nil {
		j.noPrimary()
	} else if newer := j.newer(); newer != nil {
		j.superseded(newer)
	} else {
		j.wholeCluster()
	}
	j.others()
	for _, n := range c.members() {
		j.member(n)
	}
	// "critical" sorts before "warning".
	slices.SortStableFunc(j.findings, func(a, b Finding) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return Report{Status: j.status(), Cluster: c, Findings: j.findings, primary: j.main}
}

type judge struct {
	*Cluster
	limits   Limits
	fix      Remedies
	main     *Node // the primary; nil: none
	findings []Finding
}

func (j *judge) find(severity Severity, code Code, node *Node, cause string, remedy ...string) {
	f := Finding{Code: code, Severity: severity, Cause: cause, Remedy: remedy}
	if node != nil {
		f.Node = node.Name
	}
	j.findings = append(j.findings, f)
}

func (j *judge) has(code Code, n *Node) bool {
	return slices.ContainsFunc(j.findings, func(f Finding) bool { return f.Code == code && f.Node == n.Name })
}

func (j *judge) status() Status {
	switch {
	case len(j.findings) == 0:
		return Good
	case j.findings[0].Severity == Critical:
		return CriticalStatus
	}
	return WarningStatus
}

// others judges what is no member: servers that are silent, listed twice, or strangers.
func (j *judge) others() {
	for i := range j.Nodes {
		n := &j.Nodes[i]
		switch {
		case n.Trouble != NoTrouble:
			j.find(Warning, NodeUnreachable, n, fmt.Sprintf("Nothing is known of %s: %s.%s", n.Name, n.Trouble, j.caution()), j.reach(n)...)
		case j.same(n) != "":
			j.find(Warning, SameServer, n, fmt.Sprintf("%s and %s are the same server: one of the two is not looked after.", j.same(n), n.Name),
				"in SHOP_NODES: correct the address of "+n.Name)
		case n.System != j.home():
			j.find(Warning, OtherCluster, n, fmt.Sprintf("%s belongs to another cluster (its system identifier is %d, not %d): nothing of it is used.", n.Name, n.System, j.home()),
				"in SHOP_NODES: correct the address of "+n.Name+", or rebuild it from the primary")
		}
	}
}

// caution is for where there is a primary: what is started may be a former one. To
// rejoin what is not seen would be worse, for it may be one that was promoted later.
func (j *judge) caution() string {
	if j.main == nil {
		return ""
	}
	return " If it is a former primary, rejoin it instead: started as it is, it takes writes too."
}

// reach says how to get a silent server to answer.
func (j *judge) reach(n *Node) []string {
	const check = "in SHOP_NODES: check the %s of %s"
	switch n.Trouble {
	case BadDSN, UnknownHost:
		return []string{fmt.Sprintf(check, "address", n.Name)}
	case LoginFailed:
		return []string{fmt.Sprintf(check, "user and the password", n.Name) + ", and SHOP_READ_USER; on the server: pg_hba.conf"}
	case NoDatabase:
		return []string{fmt.Sprintf(check, "database", n.Name)}
	case BadCertificate:
		return []string{fmt.Sprintf(check, "host name and sslrootcert", n.Name)}
	case Full:
		return []string{"on " + n.Name + ": SELECT usename, application_name, count(*) FROM pg_stat_activity GROUP BY 1, 2;"}
	case Silent:
		if j.fix.Dir != "" {
			return []string{j.fix.verb("thaw", n.Name)}
		}
		return []string{"see whether the machine of " + n.Name + " runs, and the network to it"}
	}
	return []string{j.fix.pgCtl("start", n.Name)}
}
