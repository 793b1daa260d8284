package atoll

/*
#include <atoll.h>
*/
import "C"

import (
	"context"
	"runtime"
)

// Session is what one user of a cluster has seen: its reads include everything it has written or was told of, and never show an
// older state than an earlier read of it, from whichever copy. Any number of goroutines may use it at once; a read sees the writes that had
// returned before it began.
type Session struct {
	cluster *Cluster
	session *C.atoll_session
}

// Session begins a session.
func (c *Cluster) Session() *Session {
	made := &Session{cluster: c, session: C.atoll_session_new()}
	runtime.SetFinalizer(made, func(s *Session) { C.atoll_session_free(s.session) })
	return made
}

// handle is the session of C's; that of nobody is none.
func (s *Session) handle() *C.atoll_session {
	if s == nil {
		return nil
	}
	return s.session
}

// how is the way a session reads.
func (s *Session) how() *Read { return &Read{Consistency: ReadYourWrites, of: s} }

// Token returns what the session asks for. Another session, in any language, that has seen it reads what this one has seen.
func (s *Session) Token() Token {
	defer runtime.KeepAlive(s)
	var buf *C.atoll_buf
	// It fails for no session that there is.
	C.atoll_session_token(s.session, &buf, nil)
	return taken(buf)
}

// See asks from now on for what a token of somebody else speaks of, too. ErrInvalid for that of another cluster.
func (s *Session) See(token Token) error {
	defer runtime.KeepAlive(s)
	var err *C.atoll_error
	return failure(C.atoll_session_see(s.session, pointer(token), C.size_t(len(token)), &err), err)
}

// Put is Cluster.Put, seen by the reads that follow.
func (s *Session) Put(ctx context.Context, key, value []byte, how *ClusterWrite) error {
	_, err := s.cluster.put(ctx, key, value, how, s)
	return err
}

// Delete is Cluster.Delete, seen by the reads that follow.
func (s *Session) Delete(ctx context.Context, key []byte, how *ClusterWrite) error {
	_, err := s.cluster.delete(ctx, key, how, s)
	return err
}

// Write is Cluster.Write, seen by the reads that follow.
func (s *Session) Write(ctx context.Context, batch *Batch, how *ClusterWrite) error {
	_, err := s.cluster.write(ctx, batch, how, s)
	return err
}

// Get returns the value of a key, with everything the session has seen; ErrNotFound if it has none.
func (s *Session) Get(ctx context.Context, key []byte) ([]byte, error) {
	return s.cluster.Get(ctx, key, s.how())
}

// GetMany is Cluster.GetMany, with everything the session has seen.
func (s *Session) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return s.cluster.GetMany(ctx, keys, s.how())
}

// Scan is Cluster.Scan, with everything the session has seen.
func (s *Session) Scan(ctx context.Context, r *Range) (*Scan, error) {
	return s.cluster.Scan(ctx, r, s.how())
}

// Count is Cluster.Count, with everything the session has seen.
func (s *Session) Count(ctx context.Context) (uint64, error) {
	return s.cluster.Count(ctx, s.how())
}
