package rules

import "fmt"

// Action says what a target does, in words.
func (t *Target) Action() string {
	switch t.Kind {
	case TargetAccept:
		return "accept"
	case TargetDrop:
		return "drop"
	case TargetReject:
		return "reject"
	case TargetReturn:
		return "return"
	case TargetJump:
		return "jump to " + t.Name
	case TargetGoto:
		return "go to " + t.Name
	case TargetMark, TargetUnknownMark:
		return t.Mark.action("mark")
	case TargetConnmark:
		return t.Mark.action("connection mark")
	case TargetNotrack:
		return "do not track"
	case TargetZone:
		return fmt.Sprintf("set conntrack zone %d", t.Zone)
	case TargetDNAT, TargetRedirect, TargetNetmap:
		return "translate the destination"
	case TargetSNAT:
		return "translate the source"
	case TargetHopLimit:
		return "change the hop limit"
	}
	return "hand to " + t.Name
}

func (m MarkChange) action(what string) string {
	switch {
	case m.Save:
		return "save the mark in the connection"
	case m.Restore:
		return "restore the mark from the connection"
	}
	return fmt.Sprintf("set %s 0x%x/0x%x", what, m.Value, m.Mask)
}
