package rules

import "testing"

func TestReadNames(t *testing.T) {
	n := ReadNames(NameFiles{
		Services:  []byte("# comment\nssh 22/tcp # secure\nweb 8080/tcp www-alt\nbad x/tcp\n"),
		Protocols: []byte("tcp 6 TCP\nfoo 200 FOO\n"), Passwd: []byte("root:x:0:0::/root:/bin/sh\nbad\n"), Group: []byte("adm:x:4:\n")})
	if n.Services["ssh/tcp"] != 22 || n.Services["www-alt/tcp"] != 8080 || n.Protocols["foo"] != 200 || n.Groups["adm"] != 4 {
		t.Errorf("got %+v", n)
	}
	if _, ok := n.Users["root"]; !ok || len(n.Users) != 1 {
		t.Errorf("users: %v", n.Users)
	}
}
