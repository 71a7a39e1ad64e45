package rsyncd

import "testing"

func FuzzParseConfig(f *testing.F) {
	f.Add("timeout = 3\n[a]\npath = /a/%X%\n&include /c\n", "/a/b")
	f.Add("[\n]\n=\n&merge \n\\", "/")
	f.Fuzz(func(t *testing.T, text, dir string) {
		tree := textFiles{"/c": text}
		config, err := parseConfig("/c", tree.read, tree.list)
		if err == nil {
			config.ModuleAt(dir)
			config.withParams([]string{text})
		}
	})
}
