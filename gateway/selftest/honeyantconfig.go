package selftest

// honeyantConfig sets the gateway's deadlines.
func honeyantConfig(o ConfigOptions) string { return caddyConfig(o) }
