package meta

import "github.com/honeyant/honeyant/kv"

// Eval carries out op over base without a leader and returns the reply and the changes, which
// the caller applies or not. It is for tests, benchmarks and offline tools.
func Eval(base kv.Reader, env Env, op Op) (Reply, *kv.Batch, error) {
	tx := newTx(base, env)
	reply, changes, err := evaluate(tx, op)
	if err == nil {
		tx.accept()
	}
	return reply, changes, err
}
