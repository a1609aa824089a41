// Package version knows what this program was built from.
package version

import "runtime/debug"

// linked and commit are set by the linker (Makefile).
var linked, commit string

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

// Commit is the full hash of what this program was built from, "unknown" if nobody told.
func Commit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// Build says how this program was built: each setting as KEY=VALUE, then each module in it as PATH VERSION.
func Build() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var lines []string
	for _, s := range info.Settings {
		lines = append(lines, s.Key+"="+s.Value)
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		lines = append(lines, m.Path+" "+m.Version)
	}
	return lines
}
