// Package honeyant is the vocabulary of Honeyant: the nouns that cross package
// borders, the closed list of error kinds, and nothing else. It imports only the
// standard library, so that every package may import it and no cycle can start.
//
// The words are explained in doc/terms.md; the layers of packages in
// doc/architecture.md and kept by arch_test.go.
package honeyant
