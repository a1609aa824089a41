package code

// Control and self-test.
const (
	ControlKill      ID = "GW7101"
	ControlFailed    ID = "GW7102"
	SelftestMissed   ID = "GW7201"
	SelftestNoOrigin ID = "GW7202"
)

func controlCodes() []Entry {
	return []Entry{
		{ControlKill, "warn", "An operator ended a request or connection over the control socket.", "Nothing to do; GW1202 is logged for the request itself.", "gateway/control"},
		{ControlFailed, "error", "A request over the control socket failed.", "The error says why; the socket is in the directory that `--control` names.", "gateway/control"},
		{SelftestMissed, "error", "A fault of the self-test was not answered as it should be.", "The row says what client and origin saw; `honeyant gateway help deadlines` has the settings.", "gateway/selftest"},
		{SelftestNoOrigin, "error", "The self-test's requests do not reach its origin.", "The configuration under test must pass them to the address that the self-test prints.", "gateway/selftest"},
	}
}
