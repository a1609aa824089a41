package code

// Control and self-test.

func controlCodes() []Entry { return nil }
