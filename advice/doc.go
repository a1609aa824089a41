// Package advice says what machines are worth and which colony to build from them: prices,
// and models of capacity, speed, safety and money, each with its arithmetic.
//
// It measures nothing and changes nothing: prices come from an editable table in which every row has its date and
// source, figures of machines from the runs of package bench, or, where nothing was
// measured, from assumptions that are marked as such. doc/advice.md explains the models.
//
// Invariants:
//
//	A1  No price without a date and a source.
//	A2  Every figure that was not measured is marked as assumed, down to the last line of output.
//	A3  Every outcome carries the steps of its arithmetic, and the steps give the outcome.
//	A4  What is not built yet (erasure codes, buckets) may be planned with, and says so.
package advice
