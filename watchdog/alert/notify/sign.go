package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of a key in bytes, by the Standard Webhooks specification
// (https://github.com/standard-webhooks/standard-webhooks, "Signature scheme").
const (
	shortestKey = 24
	longestKey  = 64
)

// parseKey reads a symmetric key: base64, usually behind "whsec_".
func parseKey(s string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
	if err != nil {
		return nil, errors.New(`no key: write it as "whsec_" and base64`)
	}
	if len(key) < shortestKey || len(key) > longestKey {
		return nil, fmt.Errorf("a key of %d bytes: between %d and %d are wanted", len(key), shortestKey, longestKey)
	}
	return key, nil
}

// sign sets the headers of Standard Webhooks. At is the time of the attempt,
// for receivers refuse what is too old. Every key adds a signature, so that a
// receiver may know the old or the new one while a key is being changed.
func sign(h http.Header, id string, at time.Time, body []byte, keys [][]byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", stamp)
	h.Set("webhook-signature", strings.Join(signatures, " "))
}
