package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// onlyHosts answers requests for this host by an address, by localhost or by one
// of the names, which are in lower case. A page of somebody else whose name was
// made to resolve to this host (DNS rebinding) asks by its own name, and gets
// nothing. Who sends no Host (HTTP/1.0) is no browser.
func onlyHosts(names []string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !servedAs(r.Host, names) {
			plain(w, http.StatusMisdirectedRequest, fmt.Sprintf(
				"not served by the name %q: ask by an IP address or as localhost, or put the name into [web] hosts of Lifeline's configuration\n", r.Host))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// servedAs tells whether a Host header is an address, localhost or among names.
func servedAs(host string, names []string) bool {
	if host == "" {
		return true
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "localhost" || slices.Contains(names, host)
}
