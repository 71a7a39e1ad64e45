package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/systemd"
)

// defaultKeys are the host keys that sshd looks for where its configuration names none.
var defaultKeys = []string{"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"}

// hasHostKey tells whether sshd finds a host key that it takes: it ends without one.
func (r *reader) hasHostKey(c *config, u *systemd.Unit) bool {
	keys := defaultKeys
	if len(c.hostKeys) > 0 {
		keys = nil
		for _, l := range c.hostKeys {
			keys = append(keys, l.args[0])
		}
	}
	var why []string
	for _, k := range keys {
		reason := r.badKey(k)
		if reason == "" {
			return true
		}
		why = append(why, fmt.Sprintf("%s %s", k, reason))
	}
	if maker := r.keyMaker(u); maker != "" {
		r.Remarks.Add(remark.Note, "sshd-hostkeys-made", fmt.Sprintf("host keys are missing, and %s makes them before sshd starts", maker), maker)
		return true
	}
	r.Remarks.Add(remark.Cut, "sshd-hostkeys-missing", "sshd does not start: it has no host key: "+strings.Join(why, ", "),
		append([]string{u.Name}, keys...)...)
	return false
}

// badKey tells why sshd does not take a host key, "" where it does.
func (r *reader) badKey(file string) string {
	st, err := r.tree.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is missing"
	case err != nil:
		r.Remarks.Add(remark.Opaque, "sshd-hostkey-unread", err.Error(), file)
		return ""
	case !st.Mode.IsRegular():
		return "is no file"
	case st.Mode.Perm()&0o077 != 0 && st.UID == 0 && !(st.Mode.Perm() == 0o640 && r.sharesKeys()):
		return fmt.Sprintf("has mode %04o, which sshd ignores", st.Mode.Perm())
	}
	text, err := r.tree.ReadFile(file)
	if err == nil && !bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN ")) {
		return "is no key"
	}
	return ""
}

// sharesKeys tells of the sshd of RHEL 8 and 9, which takes a key that the group ssh_keys
// may read.
func (r *reader) sharesKeys() bool {
	text, err := r.tree.ReadFile("/etc/group")
	if err == nil && strings.Contains("\n"+string(text), "\nssh_keys:") {
		return true
	}
	ok, err := r.tree.Exists("/usr/libexec/openssh/sshd-keygen")
	return err == nil && ok
}

// keyMaker is the unit that makes missing host keys before sshd starts, "" for none.
func (r *reader) keyMaker(u *systemd.Unit) string {
	for _, name := range []string{"sshd-keygen.target", "sshd-keygen.service"} {
		for _, key := range []string{"Wants", "Requires"} {
			for _, w := range u.Words("Unit", key) {
				if j := r.boot.Job(name); w.Text == name && j.State == systemd.Starts && r.makesKeys(j.Unit) {
					return name
				}
			}
		}
	}
	return ""
}

// makesKeys tells whether what a unit pulls in runs, on RHEL the instances of
// sshd-keygen@.service.
func (r *reader) makesKeys(u *systemd.Unit) bool {
	if path.Ext(u.Name) == ".service" {
		return true
	}
	for _, w := range append(u.Words("Unit", "Wants"), u.Words("Unit", "Requires")...) {
		if strings.HasPrefix(w.Text, "sshd-keygen@") && r.boot.Starts(w.Text) {
			return true
		}
	}
	return false
}
