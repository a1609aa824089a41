package code

// Configuration.
const (
	ConfigRefused ID = "GW4101"
	ConfigLoaded  ID = "GW4102"
	Drain         ID = "GW4104"
)

func configCodes() []Entry {
	return []Entry{
		{ConfigRefused, "error", "A new configuration was refused; the one before goes on.", "The message says file and line; `honeyant gateway reload --check` tries without loading.", "gateway"},
		{ConfigLoaded, "info", "A new configuration is in use.", "Nothing to do.", "gateway"},
		{Drain, "warn", "What still ran at a stop was ended at the drain limit.", "`deadlines drain` is the limit.", "gateway"},
	}
}
