package atoll

import (
	"context"
	"sync"
)

// Session reads from any copy of a cluster that has everything the session has written or been told of. Any number of goroutines
// may use it at once; a read sees the writes that had returned before it began.
type Session struct {
	cluster *Cluster
	lock    sync.Mutex
	token   Token
}

// Session begins a session.
func (c *Cluster) Session() *Session { return &Session{cluster: c} }

// Token returns what the session asks for. Another session, in any language, that has seen it reads what this one has written.
func (s *Session) Token() Token {
	s.lock.Lock()
	defer s.lock.Unlock()
	return append(Token(nil), s.token...)
}

// See asks from now on for what a token of somebody else speaks of, too.
func (s *Session) See(token Token) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	merged, err := MergeTokens(s.token, token)
	if err == nil {
		s.token = merged
	}
	return err
}

// Put is Cluster.Put, seen by the reads that follow.
func (s *Session) Put(ctx context.Context, key, value []byte, how *ClusterWrite) error {
	return s.seen(s.cluster.Put(ctx, key, value, how))
}

// Delete is Cluster.Delete, seen by the reads that follow.
func (s *Session) Delete(ctx context.Context, key []byte, how *ClusterWrite) error {
	return s.seen(s.cluster.Delete(ctx, key, how))
}

// Write is Cluster.Write, seen by the reads that follow.
func (s *Session) Write(ctx context.Context, batch *Batch, how *ClusterWrite) error {
	return s.seen(s.cluster.Write(ctx, batch, how))
}

func (s *Session) seen(token Token, err error) error {
	if err != nil {
		return err
	}
	return s.See(token)
}

// Get returns the value of a key, with everything the session has written or been told of; ErrNotFound if it has none.
func (s *Session) Get(ctx context.Context, key []byte) ([]byte, error) {
	token := s.Token()
	if len(token) == 0 {
		return s.cluster.Get(ctx, key, &Read{Consistency: Eventual})
	}
	return s.cluster.Get(ctx, key, &Read{Consistency: ReadYourWrites, Token: token})
}
