package code

// The life of the process: start, hand-over, stop.
const (
	LifeServing     ID = "GW6101"
	LifeHandedOver  ID = "GW6102"
	LifeNoSuccessor ID = "GW6103"
	LifeDraining    ID = "GW6104"
	LifeChildKilled ID = "GW6105"
	LifePortTaken   ID = "GW6106"
)

func lifeCodes() []Entry {
	const src = "gateway/daemon"
	return []Entry{
		{LifeServing, "info", "The process serves; took_over says whether it took the sockets of a predecessor.", "Nothing to do.", src},
		{LifeHandedOver, "info", "A newer process has taken over the listening sockets; this one ends what it has begun.", "`honeyant gateway ps` lists what is still running, with the process.", src},
		{LifeNoSuccessor, "error", "The program that was to take over ended or was not ready in time; this process serves on.", "The error says how it ended, and its own lines stand just before this one.", src},
		{LifeDraining, "info", "The process takes no new connections and waits for what runs, up to the limit.", "`--drain` is the limit; `honeyant gateway ps` lists what it waits for.", src},
		{LifeChildKilled, "warn", "A child process did not end when asked and was killed.", "Its own log should tell why; the steps are those of `stop --escalate`.", "gateway/life"},
		{LifePortTaken, "error", "A port that is to be listened on is held by another process; the error names it.", "Stop that one, or take over from a running gateway with `honeyant gateway upgrade`.", "gateway/life"},
	}
}
