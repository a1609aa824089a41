package ledger

import (
	"mime"
	"strings"
)

// IsStream tells content types whose messages come when they come: event streams, gRPC, and
// lines of JSON. They have no least rate, and the idle limit of tunnels.
func IsStream(contentType string) bool {
	if !strings.Contains(contentType, "stream") && !strings.Contains(contentType, "grpc") && !strings.Contains(contentType, "json") &&
		strings.ToLower(contentType) == contentType {
		return false // most of them, without parsing
	}
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	return t == "text/event-stream" || strings.HasPrefix(t, "application/grpc") ||
		t == "application/x-ndjson" || t == "application/json-seq" || t == "application/stream+json"
}
