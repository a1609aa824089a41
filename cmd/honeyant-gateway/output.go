package main

import (
	"io"
	"strings"

	"github.com/honeyant/honeyant/cmd/command"
)

// printTable prints rows under a header, cleaned.
func printTable(w io.Writer, header []string, rows [][]string) {
	cleaned := make([][]string, len(rows))
	for i, r := range rows {
		for _, c := range r {
			cleaned[i] = append(cleaned[i], clean(c))
		}
	}
	command.PrintTable(w, header, cleaned)
}

// clean keeps what clients and origins send from steering the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
