package posix

// OnHoneyant are the steps in which a Honeyant mount is known to differ, with the reason; they
// also stand in doc/semantics.md.
func OnHoneyant() map[string]string {
	return map[string]string{
		"mkdir/a removed directory has no links": "a removed directory is gone even while a descriptor is open: fstat is ESTALE",
		"mkdir/in a removed directory":           "for the same reason: ESTALE instead of ENOENT; ESTALE must stay, it makes the kernel walk a path again that was renamed over",
	}
}
