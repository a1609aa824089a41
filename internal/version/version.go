// Package version knows what this program was built from.
package version

import "runtime/debug"

// linked is set by the linker (Makefile).
var linked string

// Text is the version of this program: what the linker was told, else that of the module, else "unknown".
func Text() string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unknown"
}
