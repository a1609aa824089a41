package meta

// MaxSlots bounds the changes that a session has under way at a time; MaxStoredReply the bytes of a
// reply kept for retries (rule 23).
const (
	MaxSlots       = 64
	MaxStoredReply = 512
)
