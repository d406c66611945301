package check

// home is the cluster that most of the nodes belong to, by its system identifier; of
// two that have as many, that of the node named first. 0: no node answers.
func (c *Cluster) home() int64 {
	var home int64
	count := map[int64]int{}
	for _, n := range c.Nodes {
		if n.Trouble == NoTrouble {
			count[n.System]++
		}
	}
	for _, n := range c.Nodes {
		if count[n.System] > count[home] {
			home = n.System
		}
	}
	return home
}

// same returns the name of an earlier node that is the same server as n; "" if none
// is. A server that is listed twice is neither a second primary nor a second replica.
func (c *Cluster) same(n *Node) string {
	for i := range c.Nodes {
		first := &c.Nodes[i]
		if first == n {
			break
		}
		if first.Trouble == NoTrouble && first.System == n.System && first.Started == n.Started {
			return first.Name
		}
	}
	return ""
}

// members are the nodes that answer, each server once, without those of another
// cluster.
func (c *Cluster) members() []*Node {
	var members []*Node
	home := c.home()
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.Trouble == NoTrouble && n.System == home && c.same(n) == "" {
			members = append(members, n)
		}
	}
	return members
}

func (c *Cluster) writable() []*Node {
	var writable []*Node
	for _, n := range c.members() {
		if !n.Standby {
			writable = append(writable, n)
		}
	}
	return writable
}

// primary is the node that takes writes; of several the one with the newest timeline,
// which is the one that was promoted last, and on one timeline the one with more
// standbys. nil: none answers.
func (c *Cluster) primary() *Node {
	var primary *Node
	for _, n := range c.writable() {
		if primary == nil || n.Timeline > primary.Timeline ||
			n.Timeline == primary.Timeline && len(n.Streams) > len(primary.Streams) {
			primary = n
		}
	}
	return primary
}

// streamTo finds the sender's end of a standby's stream, on whichever node it is: a
// standby may follow a standby.
func (c *Cluster) streamTo(n *Node) (from *Node, stream *Stream) {
	for _, sender := range c.members() {
		for j := range sender.Streams {
			s := &sender.Streams[j]
			if sender != n && n.receives(s) && (stream == nil || stream.State != "streaming") {
				from, stream = sender, s
			}
		}
	}
	return from, stream
}

// receives tells by the slot, which nobody else can use at the same time, and without
// one by the name. A name may be listed twice for a while after a reconnection.
func (n *Node) receives(s *Stream) bool {
	if n.PrimarySlot != "" && s.Slot != "" {
		return n.PrimarySlot == s.Slot
	}
	return n.Receiver != nil && n.Receiver.Application != "" && n.Receiver.Application == s.Name
}

// slot finds the slot that a standby uses, where it streams from or on the primary.
func (c *Cluster) slot(n *Node) *Slot {
	sender, _ := c.streamTo(n)
	if sender == nil {
		sender = c.primary()
	}
	if sender == nil || n.PrimarySlot == "" {
		return nil
	}
	for i := range sender.Slots {
		if sender.Slots[i].Name == n.PrimarySlot {
			return &sender.Slots[i]
		}
	}
	return nil
}
