package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// startSSHD starts srv's sshd and waits until it listens.
func (l *Lab) startSSHD(ctx context.Context) error {
	sshd, err := findSSHD()
	if err != nil {
		return err
	}
	etc := filepath.Join(l.dir, "etc")
	for _, key := range []string{"host_key", "id"} {
		if err := makeKey(ctx, filepath.Join(etc, key)); err != nil {
			return err
		}
	}
	// sshd refuses to start without its privilege separation directory.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	path := filepath.Join(etc, "sshd_config")
	if err := os.WriteFile(path, l.sshdConf(etc), 0o600); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	l.sshd = l.Srv.Command(l.ctx, sshd, "-D", "-f", path, "-E", filepath.Join(etc, "sshd.log"))
	return l.startServer(ctx, l.sshd, l.opts.SSHPort, "SSH-2.0-")
}

// findSSHD returns the absolute path by which sshd insists on being started.
func findSSHD() (string, error) {
	if path, err := exec.LookPath("sshd"); err == nil {
		return filepath.Abs(path)
	}
	path, err := exec.LookPath("/usr/sbin/sshd") // not in everybody's PATH
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	return path, nil
}

func makeKey(ctx context.Context, path string) error {
	c := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", path)
	c.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("lab: ssh-keygen: %w: %s", errors.Join(ctx.Err(), err), bytes.TrimSpace(out))
	}
	return nil
}

// sshdConf returns the server's configuration, see sshd_config(5): root, by the
// lab's key alone.
func (l *Lab) sshdConf(etc string) []byte {
	var b bytes.Buffer
	set := func(key, value string) { fmt.Fprintf(&b, "%s %s\n", key, value) }
	set("Port", strconv.Itoa(l.opts.SSHPort))
	set("HostKey", filepath.Join(etc, "host_key"))
	set("AuthorizedKeysFile", filepath.Join(etc, "id.pub"))
	set("PidFile", filepath.Join(etc, "sshd.pid"))
	set("PermitRootLogin", "prohibit-password")
	set("PasswordAuthentication", "no")
	set("KbdInteractiveAuthentication", "no")
	set("UsePAM", "no")
	set("StrictModes", "no")
	set("UseDNS", "no")
	set("PrintMotd", "no")
	set("PermitUserRC", "no")
	set("MaxStartups", "200")
	set("MaxSessions", "200")
	set("LogLevel", "VERBOSE")
	// root's own dotfiles may do anything (wait for locks, write history); a
	// session of the lab has a home without any.
	set("SetEnv", "HOME="+filepath.Join(l.dir, "home"))
	return b.Bytes()
}

// sshCommand returns a client's program and options, without the destination.
// No part has a space, as rsync's -e would split it.
func (l *Lab) sshCommand() []string {
	return []string{"ssh", "-F", "none", "-p", strconv.Itoa(l.opts.SSHPort),
		"-i", filepath.Join(l.dir, "etc", "id"),
		"-oIdentitiesOnly=yes", "-oIdentityAgent=none", "-oBatchMode=yes",
		"-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"}
}
