// Package configs reads Lifeline's configuration. In comes TOML; out come the settings
// of the packages that do the work, or every mistake with its place and its fix. It is
// strict: an unknown key, a value without its unit and a file that does not answer are
// errors, and it never waits for a file longer than a bounded time.
package configs
