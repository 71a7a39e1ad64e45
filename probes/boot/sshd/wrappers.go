package sshd

import (
	"fmt"
	"strings"

	"lifeline/probes/boot/remark"
)

// wrappers looks for hosts.deny(5), which an sshd that is linked with libwrap obeys after
// it has accepted: Debian's, up to version 12.
func (r *reader) wrappers() {
	if !r.linksWrappers() {
		return
	}
	deny, ok := r.serviceLine("/etc/hosts.deny")
	if !ok {
		return
	}
	if allow, ok := r.serviceLine("/etc/hosts.allow"); ok {
		if strings.HasSuffix(strings.ReplaceAll(allow, " ", ""), ":ALL") {
			return
		}
		r.Remarks.Add(remark.Opaque, "hosts-deny", fmt.Sprintf("/etc/hosts.deny has %q and /etc/hosts.allow %q: whom that lets in is not understood", deny, allow),
			"/etc/hosts.deny", "/etc/hosts.allow", deny)
		return
	}
	kind := remark.Opaque
	if strings.HasSuffix(strings.ReplaceAll(deny, " ", ""), ":ALL") {
		kind = remark.Cut
	}
	r.Remarks.Add(kind, "hosts-deny", fmt.Sprintf("/etc/hosts.deny has %q: sshd closes the connection after it has accepted it", deny), "/etc/hosts.deny", deny)
}

// linksWrappers tells of the distributions whose sshd is linked with libwrap.
func (r *reader) linksWrappers() bool {
	os := r.tree.OSRelease()
	switch os["ID"] {
	case "debian":
		return os["VERSION_ID"] != "13" && os["VERSION_ID"] != "14"
	case "rhel", "centos", "rocky", "almalinux", "fedora", "ol":
		return false
	}
	return true
}

// serviceLine is the first line of hosts_access(5) that names sshd or all services.
func (r *reader) serviceLine(file string) (string, bool) {
	text, err := r.tree.ReadFile(file)
	if err != nil {
		return "", false
	}
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSpace(l)
		services, _, ok := strings.Cut(l, ":")
		if !ok || strings.HasPrefix(l, "#") {
			continue
		}
		for _, s := range strings.FieldsFunc(services, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			if s == "ALL" || s == "sshd" || s == "KNOWN" {
				return l, true
			}
		}
	}
	return "", false
}
