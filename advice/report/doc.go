// Package report turns runs, prices and rankings into one page to look at or to send, into tables
// for a terminal or Markdown, and into pictures.
//
// Invariants:
//
//	R1  The page is one file and asks the network for nothing; it can be read without scripts, in light and dark, on a phone and
//	    on a desk.
//	R2  Every picture has its figures as a table beside it, so that nobody depends on seeing it.
//	R3  Text from runs (host names, models, notes) never becomes markup.
//	R4  Equal input gives equal output.
package report
