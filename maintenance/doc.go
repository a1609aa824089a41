// Package maintenance is how the colony looks after itself: background jobs on the metadata
// leader that re-create lost replicas (heal), empty stores (drain), drop surplus and damaged
// copies, delete what no file refers to any more (reclaim), rewrite chunks of which little is used
// (repack), take stock of the stores (inventory) and read everything now and then (scrub).
//
// Each job is a named, paced worker. Nothing is decided on an opinion: each step that adds or
// removes a replica is a committed operation of package meta that is refused if the state has
// moved on, and each deletion names a generation.
//
// Invariants (numbers of doc/invariants.md in brackets):
//
//	J1  A replica is added by HealBegin, copy, read back, HealEnd; deleted by DropBegin
//	    (which needs the others verified after the drop was planned), Delete, DropEnd. [5, 12]
//	J2  The fewest copies are healed first.
//	J3  A dead chunk stays DeadDelay of this leader's uptime before it is deleted. [25]
//	J4  A replica that metadata do not list goes only if its session is dead or its counter
//	    lies below the session's low-water mark, and after Quarantine of leader uptime; if
//	    they exceed 1 % of a store and 64, nothing goes and a person is asked. [10]
//	J5  A node that is merely down keeps its replicas; only out, removed, failing or
//	    draining ones are replaced.
//	J6  A chunk that is mostly unused is rewritten by storing what is used as a new chunk, on as many
//	    nodes as its policy wants and read back there, and then moving the extents, each by
//	    compare-and-swap. The old one dies with its last extent, and goes like any dead one. [13]
package maintenance
