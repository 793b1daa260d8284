package atoll

/*
#include "views.h"

typedef struct { atoll_status status; atoll_health health; atoll_buf *reasons; atoll_error *err; } health_answer;

static health_answer db_health(atoll_db *db)
{
	health_answer answer = {ATOLL_OK, ATOLL_HEALTH_INIT, NULL, NULL};
	answer.status = atoll_db_health(db, &answer.health, &answer.reasons, &answer.err);
	return answer;
}

static health_answer cluster_health(atoll_cluster *cluster)
{
	health_answer answer = {ATOLL_OK, ATOLL_HEALTH_INIT, NULL, NULL};
	answer.status = atoll_cluster_health(cluster, &answer.health, &answer.reasons, &answer.err);
	return answer;
}
*/
import "C"

import (
	"runtime"
	"strings"
	"time"
)

// HealthState says how well something is, the worst last.
type HealthState uint32

const (
	// HealthOK does all it should.
	HealthOK HealthState = C.ATOLL_HEALTH_OK
	// HealthDegraded reads and writes, and something needs to be looked at.
	HealthDegraded HealthState = C.ATOLL_HEALTH_DEGRADED
	// HealthReadOnly reads, and some or all writes are refused.
	HealthReadOnly HealthState = C.ATOLL_HEALTH_READ_ONLY
	// HealthFailed takes no writes until somebody acts.
	HealthFailed HealthState = C.ATOLL_HEALTH_FAILED
)

// String returns "ok", "degraded", "read_only" or "failed".
func (h HealthState) String() string {
	names := [...]string{"ok", "degraded", "read_only", "failed"}
	if int(h) >= len(names) {
		return "unknown"
	}
	return names[h]
}

// Health is how well a store or a cluster is.
type Health struct {
	State HealthState
	// Reasons say why it is not well and what to do, a sentence for each cause.
	Reasons                []string
	Shards, ShardsWritable uint64
	Replicas, ReplicasUp   uint64
	// LagBytes and Lag are those of the copy in service that lacks most.
	LagBytes uint64
	Lag      time.Duration
	// OldestSnapshot is the age of the oldest snapshot that this process holds; 0 if it holds none.
	OldestSnapshot time.Duration
}

func healthOf(answer C.health_answer) (*Health, error) {
	if answer.status != C.ATOLL_OK {
		return nil, failure(answer.status, answer.err)
	}
	found := answer.health
	health := &Health{
		State:  HealthState(found.state),
		Shards: uint64(found.shards), ShardsWritable: uint64(found.shards_writable),
		Replicas: uint64(found.replicas), ReplicasUp: uint64(found.replicas_up),
		LagBytes:       uint64(found.replication_lag_bytes),
		Lag:            time.Duration(found.replication_lag_ms) * time.Millisecond,
		OldestSnapshot: time.Duration(found.oldest_snapshot_ms) * time.Millisecond,
	}
	if reasons := taken(answer.reasons); len(reasons) > 0 {
		health.Reasons = strings.Split(string(reasons), "\n")
	}
	return health, nil
}

// Health tells how well the store is.
func (s *Store) Health() (*Health, error) {
	defer runtime.KeepAlive(s)
	return healthOf(C.db_health(s.db))
}

// Health tells how well the cluster is: HealthFailed if a shard takes no writes.
func (c *Cluster) Health() (*Health, error) {
	defer runtime.KeepAlive(c)
	return healthOf(C.cluster_health(c.cluster))
}

// Metrics returns the figures of the store as text that Prometheus reads. ErrUnsupported for a store that is open ReadOnly.
func (s *Store) Metrics() (string, error) {
	defer runtime.KeepAlive(s)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_metrics(s.db, &buf, &err); status != C.ATOLL_OK {
		return "", failure(status, err)
	}
	return string(taken(buf)), nil
}

// Metrics returns the figures of the cluster as text that Prometheus reads.
func (c *Cluster) Metrics() (string, error) {
	defer runtime.KeepAlive(c)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_cluster_metrics(c.cluster, &buf, &err); status != C.ATOLL_OK {
		return "", failure(status, err)
	}
	return string(taken(buf)), nil
}
