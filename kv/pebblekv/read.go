package pebblekv

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/honeyant/honeyant"
)

// Get implements kv.Reader.
func (d *DB) Get(key []byte) ([]byte, bool, error) {
	if !d.calls.enter() {
		return nil, false, honeyant.E("pebblekv.Get", honeyant.Unavailable, d.dir, pebble.ErrClosed)
	}
	defer d.calls.leave()
	value, closer, err := d.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, honeyant.E("pebblekv.Get", kindOf(err), d.dir, err)
	}
	value = append(make([]byte, 0, len(value)), value...)
	if err := closer.Close(); err != nil {
		return nil, false, honeyant.E("pebblekv.Get", kindOf(err), d.dir, err)
	}
	return value, true, nil
}

// Scan implements kv.Reader.
func (d *DB) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	return d.scan(lower, upper, fn, (*pebble.Iterator).First, (*pebble.Iterator).Next)
}

// ScanReverse implements kv.Reader.
func (d *DB) ScanReverse(lower, upper []byte, fn func(key, value []byte) bool) error {
	return d.scan(lower, upper, fn, (*pebble.Iterator).Last, (*pebble.Iterator).Prev)
}

func (d *DB) scan(lower, upper []byte, fn func(key, value []byte) bool, first, next func(*pebble.Iterator) bool) error {
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	if !d.calls.enter() {
		return honeyant.E("pebblekv.Scan", honeyant.Unavailable, d.dir, pebble.ErrClosed)
	}
	defer d.calls.leave()
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return honeyant.E("pebblekv.Scan", kindOf(err), d.dir, err)
	}
	for ok := first(it); ok; ok = next(it) {
		value, err := it.ValueAndErr()
		if err != nil {
			return honeyant.E("pebblekv.Scan", kindOf(err), d.dir, errors.Join(err, it.Close()))
		}
		if !fn(it.Key(), value) {
			break
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return honeyant.E("pebblekv.Scan", kindOf(err), d.dir, err)
	}
	return nil
}
