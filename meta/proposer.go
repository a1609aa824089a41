package meta

import "context"

// Proposer is what the Leader needs of consensus.
type Proposer interface {
	// Propose appends cmd to the replicated log, in the order of the calls, and returns at
	// once. wait returns when cmd is applied on this node: what State.Apply returned, or why
	// it is unknown whether cmd was or will be committed. Call wait exactly once.
	// It returns in any case, at the latest soon after this node stops leading: Lead waits for it.
	Propose(cmd []byte) (wait func() (result any, err error))
	// Verify returns nil if a quorum confirms, after the call began, that this node leads.
	Verify(ctx context.Context) error
}
