package daemon

import (
	"fmt"
	"regexp"
	"strings"
)

// quoted finds what an error message cites: in quotes of any kind, or after "module name".
var quoted = regexp.MustCompile("[\"'`]([^\"'`]{2,})[\"'`]|module name '?([a-z_]+)")

// named tells that a message has a file and a line already.
var named = regexp.MustCompile(`:\d+`)

// locate adds the line to errors that have none: a Caddyfile's own errors say file and line, but what a module finds wrong
// only says what; if the file has it on one line only, that is the line.
func locate(err error, s Source) error {
	if err == nil {
		return nil
	}
	text, readErr := s.Text()
	if readErr != nil || strings.Contains(err.Error(), s.Name()+":") && named.MatchString(err.Error()) {
		return err
	}
	lines := strings.Split(string(text), "\n")
	for _, match := range quoted.FindAllStringSubmatch(err.Error(), -1) {
		word := match[1] + match[2]
		found := 0
		for i, line := range lines {
			code, _, _ := strings.Cut(line, " #")
			if strings.Contains(code, word) {
				if found > 0 {
					found = -1
					break
				}
				found = i + 1
			}
		}
		if found > 0 {
			return fmt.Errorf("%s:%d: %w", s.Name(), found, err)
		}
	}
	return fmt.Errorf("%s: %w", s.Name(), err)
}
