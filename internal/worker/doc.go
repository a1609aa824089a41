// Package worker runs background jobs: each has a name, is paced, and can be listed,
// paused, resumed, woken and stopped. Heal, scrub, reclaim and the like are jobs.
//
// A job is a function that does one step of work and says whether there is more. Between
// steps the job sleeps in proportion to the time the last steps took (a pace of 1 works half
// of the time, 9 a tenth), so that a slow disk is left alone more, not less.
//
// Invariants:
//
//	W1  One goroutine per job; two jobs of a Group never share a name.
//	W2  A step is never interrupted by Pause or SetPace, only by the end of the job: they
//	    take effect between steps and inside Pace.Wait.
//	W3  After Close returned no job runs and none starts; Close twice is harmless.
//	W4  An error neither ends a job nor is it lost: the next step comes after a pause that
//	    doubles from Job.Backoff to Job.MaxBackoff, and Status tells it.
//
// Lock order: Group.mu before job.mu; none is held while a step runs.
package worker
