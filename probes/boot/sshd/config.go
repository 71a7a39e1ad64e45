package sshd

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"lifeline/probes/boot/rootfs"
)

// maxDepth is how deep sshd follows includes (servconf.c of OpenSSH).
const maxDepth = 16

// line is one line of sshd_config(5) that counts.
type line struct {
	key  string // in lower case
	args []string
	raw  string // as it is written
	file string
	no   int
}

// at is where the line stands.
func (l line) at() string { return fmt.Sprintf("%s line %d", l.file, l.no) }

// text is the line as it is written, or as a person would write it.
func (l line) text() string {
	if l.raw != "" {
		return l.raw
	}
	key := l.key
	if k, ok := keywords[key]; ok {
		key = k
	}
	return key + " " + strings.Join(l.args, " ")
}

// config is as much of sshd_config(5) as decides whether and where sshd listens.
type config struct {
	ports    []line
	listen   []line
	family   *line // the first AddressFamily counts
	hostKeys []line
	// bad is the first line for which sshd refuses to start, and why.
	bad    *line
	reason string
	// unread is a file that could not be read here, though sshd may.
	unread error
}

// fail keeps the first mistake.
func (c *config) fail(l line, reason string) {
	if c.bad == nil {
		c.bad, c.reason = &l, reason
	}
}

// file reads one file. A Match block reaches to the end of its file; an included file
// begins outside of one unless the Include stands inside. It tells whether the file could
// be read.
func (c *config) file(t *rootfs.Tree, file string, depth int, inMatch bool) bool {
	text, err := t.ReadFile(file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.unread = err
		}
		return false
	}
	no := 0
	for raw := range strings.Lines(string(text)) {
		no++
		l, ok := split(raw)
		if l.file, l.no = file, no; !ok {
			if l.key != "" {
				c.fail(l, "a quote that is not closed")
			}
			continue
		}
		switch l.key {
		case "match":
			inMatch = true
		case "include":
			c.include(t, l, depth, inMatch)
		default:
			c.line(l, inMatch)
		}
	}
	return true
}

func (c *config) include(t *rootfs.Tree, l line, depth int, inMatch bool) {
	if depth >= maxDepth {
		c.fail(l, "too many recursive includes")
		return
	}
	if len(l.args) == 0 {
		c.fail(l, "missing argument")
	}
	for _, pattern := range l.args {
		if !path.IsAbs(pattern) {
			pattern = "/etc/ssh/" + pattern
		}
		for _, f := range t.Glob(pattern) {
			c.file(t, f, depth+1, inMatch)
		}
	}
}

// split takes a line apart: the keyword, an optional "=", and words that may be quoted.
// What begins with "#" ends it.
func split(raw string) (l line, ok bool) {
	raw = strings.TrimSpace(raw)
	if raw == "" || raw[0] == '#' {
		return line{}, false
	}
	end := strings.IndexAny(raw, " \t=")
	if end < 0 {
		return line{key: strings.ToLower(raw), raw: raw}, true
	}
	l.raw = raw
	l.key = strings.ToLower(raw[:end])
	rest := strings.TrimLeft(raw[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	for rest != "" && rest[0] != '#' {
		var word string
		if word, rest, ok = nextWord(rest); !ok {
			return l, false
		}
		l.args = append(l.args, word)
	}
	return l, true
}

func nextWord(s string) (word, rest string, ok bool) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\'' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), strings.TrimLeft(s[i:], " \t"), true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", quote == 0
}

// line takes one keyword.
func (c *config) line(l line, inMatch bool) {
	if _, ok := keywords[l.key]; !ok {
		c.fail(l, "an unknown keyword")
		return
	}
	if len(l.args) == 0 {
		c.fail(l, "missing argument")
		return
	}
	switch l.key {
	case "port":
		n, err := strconv.ParseUint(l.args[0], 10, 16)
		switch {
		case inMatch:
			c.fail(l, "Port is not allowed within a Match block")
		case err != nil || n == 0:
			c.fail(l, "a bad port number")
		default:
			c.ports = append(c.ports, l)
		}
	case "listenaddress":
		if inMatch {
			c.fail(l, "ListenAddress is not allowed within a Match block")
			return
		}
		c.listen = append(c.listen, l)
	case "addressfamily":
		switch v := l.args[0]; {
		case v != "any" && v != "inet" && v != "inet6":
			c.fail(l, "an unsupported address family")
		case c.family == nil:
			c.family = &l
		}
	case "hostkey":
		if !inMatch {
			c.hostKeys = append(c.hostKeys, l)
		}
	}
}

// serves tells whether the address family of the configuration has an address.
func (c *config) serves(a netip.Addr) bool {
	if c.family == nil {
		return true
	}
	switch c.family.args[0] {
	case "inet":
		return a.Is4()
	case "inet6":
		return a.Is6() && !a.Is4In6()
	}
	return true
}

// splitAddress takes apart ADDRESS, ADDRESS:PORT and [ADDRESS]:PORT. The name is what is
// no address; port 0 stands for none.
func splitAddress(s string) (a netip.Addr, port uint16, name string) {
	if s == "*" {
		return netip.IPv4Unspecified(), 0, ""
	}
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr(), at.Port(), ""
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a, 0, ""
	}
	host, digits, ok := strings.Cut(s, ":")
	if n, err := strconv.ParseUint(digits, 10, 16); ok && err == nil {
		return netip.Addr{}, uint16(n), host
	}
	return netip.Addr{}, 0, s
}

// keywords are those of sshd_config(5) up to OpenSSH 10, those that it still takes and
// ignores, and those that Debian and RHEL add: each as it is spelled, by its lower case.
var keywords = func() map[string]string {
	out := map[string]string{}
	for _, k := range strings.Fields(`AcceptEnv AddressFamily AllowAgentForwarding AllowGroups AllowStreamLocalForwarding
		AllowTcpForwarding AllowUsers AuthenticationMethods AuthorizedKeysCommand AuthorizedKeysCommandUser AuthorizedKeysFile
		AuthorizedPrincipalsCommand AuthorizedPrincipalsCommandUser AuthorizedPrincipalsFile Banner CASignatureAlgorithms
		ChannelTimeout ChrootDirectory Ciphers ClientAliveCountMax ClientAliveInterval Compression DenyGroups DenyUsers
		DisableForwarding ExposeAuthInfo FingerprintHash ForceCommand GatewayPorts GSSAPIAuthentication GSSAPICleanupCredentials
		GSSAPIStrictAcceptorCheck HostbasedAcceptedAlgorithms HostbasedAcceptedKeyTypes HostbasedAuthentication
		HostbasedUsesNameFromPacketOnly HostCertificate HostKey HostKeyAgent HostKeyAlgorithms IgnoreRhosts IgnoreUserKnownHosts
		Include IPQoS KbdInteractiveAuthentication KerberosAuthentication KerberosGetAFSToken KerberosOrLocalPasswd
		KerberosTicketCleanup KexAlgorithms ListenAddress LoginGraceTime LogLevel LogVerbose MACs Match MaxAuthTries MaxSessions
		MaxStartups ModuliFile PAMServiceName PasswordAuthentication PermitEmptyPasswords PermitListen PermitOpen PermitRootLogin
		PermitTTY PermitTunnel PermitUserEnvironment PermitUserRC PerSourceMaxStartups PerSourceNetBlockSize PerSourcePenalties
		PerSourcePenaltyExemptList PidFile Port PrintLastLog PrintMotd PubkeyAcceptedAlgorithms PubkeyAcceptedKeyTypes
		PubkeyAuthentication PubkeyAuthOptions RDomain RefuseConnection RekeyLimit RequiredRSASize RevokedKeys SecurityKeyProvider
		SetEnv SshdAuthPath SshdSessionPath StreamLocalBindMask StreamLocalBindUnlink StrictModes Subsystem SyslogFacility
		TCPKeepAlive KeepAlive TrustedUserCAKeys UnusedConnectionTimeout UseDNS UsePAM VersionAddendum X11DisplayOffset
		X11Forwarding X11MaxDisplays X11UseLocalhost XAuthLocation ChallengeResponseAuthentication SkeyAuthentication
		UsePrivilegeSeparation Protocol KeyRegenerationInterval ServerKeyBits RhostsAuthentication RhostsRSAAuthentication
		RSAAuthentication UseLogin VerifyReverseMapping ReverseMappingCheck CheckMail DSAAuthentication AFSTokenPassing
		AuthorizedKeysFile2 PAMAuthenticationViaKbdInt DebianBanner GSSAPIKeyExchange GSSAPIStoreCredentialsOnRekey
		GSSAPIKexAlgorithms GSSAPIEnablek5users KerberosUseKuserok KerberosUniqueCCache ShowPatchLevel ServerKeyBits
		RSAMinSize HostDsaKey`) {
		out[strings.ToLower(k)] = k
	}
	return out
}()
