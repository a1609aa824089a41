package code

// The colony's files.
const (
	ColonyDown    ID = "GW5101"
	ColonySlow    ID = "GW5102"
	ColonyError   ID = "GW5103"
	FileRead      ID = "GW5104"
	StorageLocked ID = "GW5201"
	StorageStolen ID = "GW5202"
)

func colonyCodes() []Entry {
	const src = "gateway/colony"
	return []Entry{
		{ColonyDown, "error", "The daemon of the colony does not answer on its socket.", "Is `honeyant serve` running on this machine, and may the gateway's user open the socket?", src},
		{ColonySlow, "error", "The daemon did not answer a file request in time.", "`honeyant status` tells whether the colony is healthy.", src},
		{ColonyError, "warn", "The daemon answered a file request with an error.", "The message has it; `honeyant why PATH` tells where the file's copies are.", src},
		{FileRead, "warn", "A file could not be read in time; the response was cut off visibly.", "`deadlines file_read` is the limit of one read; is the disk or the colony slow?", "gateway"},
		{StorageLocked, "info", "A certificate's lock is held by another gateway; waiting for it.", "Nothing to do: locks run out by themselves if their holder dies.", src},
		{StorageStolen, "warn", "A lock on the certificate storage ran out because it was not renewed, and another gateway took it.", "This machine was stopped or cut off for longer than the lock's time.", src},
	}
}
