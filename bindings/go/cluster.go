package atoll

/*
#include "views.h"
#include <string.h>

typedef struct { atoll_status status; size_t len; atoll_pin *pin; atoll_bytes value; atoll_buf *token; atoll_error *err; } cluster_answer;

// How to read: a token's bytes or a session, or neither.
static atoll_cluster_read_opts cluster_read(uint32_t consistency, const atoll_session *session, const void *token, size_t token_n)
{
	atoll_cluster_read_opts options = ATOLL_CLUSTER_READ_OPTS_INIT;
	options.consistency = consistency;
	options.token = token_n ? (const uint8_t *)token : NULL;
	options.token_len = token_n;
	options.session = session;
	return options;
}

// What fits into the room is copied in the same crossing; what does not is lent by a pin that the caller frees.
static cluster_answer cluster_get(atoll_cluster *cluster, uint32_t consistency, const atoll_session *session, const void *token, size_t token_n, const void *key, size_t n,
                                  void *room, size_t capacity)
{
	cluster_answer answer = {ATOLL_OK, 0, NULL, {NULL, 0}, NULL, NULL};
	atoll_cluster_read_opts options = cluster_read(consistency, session, token, token_n);
	atoll_pin *pin = atoll_pin_new();
	answer.status = atoll_cluster_get(cluster, &options, key, n, pin, &answer.value, &answer.err);
	if (answer.status == ATOLL_OK) {
		answer.len = answer.value.len;
		if (answer.len > capacity) {
			answer.pin = pin;
			return answer;
		}
		memcpy(room, answer.value.data, answer.len);
	}
	// Not lent any more.
	answer.value.data = NULL;
	answer.value.len = 0;
	atoll_pin_free(pin);
	return answer;
}

static atoll_cluster_write_opts cluster_write_opts(uint32_t durability, uint64_t ttl_ms, const atoll_session *session)
{
	atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
	options.durability = durability;
	options.ttl_ms = ttl_ms;
	options.session = session;
	return options;
}

static cluster_answer cluster_put(atoll_cluster *cluster, uint32_t durability, uint64_t ttl_ms, const atoll_session *session, const void *key, size_t n, const void *value, size_t m)
{
	cluster_answer answer = {ATOLL_OK, 0, NULL, {NULL, 0}, NULL, NULL};
	atoll_cluster_write_opts options = cluster_write_opts(durability, ttl_ms, session);
	answer.status = atoll_cluster_put(cluster, &options, key, n, value, m, &answer.token, &answer.err);
	return answer;
}

static cluster_answer cluster_delete(atoll_cluster *cluster, uint32_t durability, const atoll_session *session, const void *key, size_t n)
{
	cluster_answer answer = {ATOLL_OK, 0, NULL, {NULL, 0}, NULL, NULL};
	atoll_cluster_write_opts options = cluster_write_opts(durability, 0, session);
	answer.status = atoll_cluster_delete(cluster, &options, key, n, &answer.token, &answer.err);
	return answer;
}

static cluster_answer cluster_write(atoll_cluster *cluster, uint32_t durability, const atoll_session *session, const atoll_batch *batch)
{
	cluster_answer answer = {ATOLL_OK, 0, NULL, {NULL, 0}, NULL, NULL};
	atoll_cluster_write_opts options = cluster_write_opts(durability, 0, session);
	answer.status = atoll_cluster_write(cluster, &options, batch, &answer.token, &answer.err);
	return answer;
}

static atoll_status cluster_scan(atoll_cluster *cluster, uint32_t consistency, const atoll_session *session, const void *token, size_t token_n, int has_lo, const void *lo,
                                 size_t lo_n, int has_hi, const void *hi, size_t hi_n, uint32_t flags, uint64_t limit, atoll_iter **iter,
                                 atoll_error **err)
{
	atoll_cluster_read_opts options = cluster_read(consistency, session, token, token_n);
	atoll_range range = ATOLL_RANGE_INIT;
	if (has_lo) {
		range.lo = (const uint8_t *)lo;
		range.lo_len = lo_n;
	}
	if (has_hi) {
		range.hi = (const uint8_t *)hi;
		range.hi_len = hi_n;
	}
	range.flags = flags;
	range.limit = limit;
	return atoll_cluster_scan(cluster, &options, &range, iter, err);
}

static atoll_status cluster_count(atoll_cluster *cluster, uint32_t consistency, const atoll_session *session, const void *token, size_t token_n, uint64_t *count, atoll_error **err)
{
	atoll_cluster_read_opts options = cluster_read(consistency, session, token, token_n);
	return atoll_cluster_count(cluster, &options, count, err);
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Consistency says how fresh a read of a cluster must be.
type Consistency uint32

const (
	// Strong reads give the newest acknowledged value: a quorum proves that nobody else leads.
	Strong Consistency = C.ATOLL_CONSISTENCY_STRONG
	// Eventual reads give a value that was current a moment ago, from any copy.
	Eventual Consistency = C.ATOLL_CONSISTENCY_EVENTUAL
	// ReadYourWrites reads include everything their token speaks of, from any copy that has it.
	ReadYourWrites Consistency = C.ATOLL_CONSISTENCY_READ_YOUR_WRITES
)

// Token proves a write to later reads, in this or any other program and language. It is opaque; store it, send it.
type Token []byte

// MergeTokens returns a token that asks for what either of two asks for; either may be empty. ErrInvalid for tokens of different
// clusters.
func MergeTokens(a, b Token) (Token, error) {
	var buf *C.atoll_buf
	var err *C.atoll_error
	status := C.atoll_token_merge(pointer(a), C.size_t(len(a)), pointer(b), C.size_t(len(b)), &buf, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// Read says how a cluster is read. The zero value is Strong.
type Read struct {
	Consistency Consistency
	// Token of the writes to be seen: ReadYourWrites needs one, and no other level takes one.
	Token Token
	// of is the session that a read is part of.
	of *Session
}

func (r *Read) parts() (C.uint32_t, *C.atoll_session, Token) {
	if r == nil {
		return C.uint32_t(Strong), nil, nil
	}
	return C.uint32_t(r.Consistency), r.of.handle(), r.Token
}

// ClusterDurability says when a write of a cluster may be acknowledged. The quorum of the cluster is a floor for all of them.
type ClusterDurability uint32

const (
	// ClusterSynced writes are on the device of their primary.
	ClusterSynced ClusterDurability = iota
	// ClusterBuffered writes survive the end of the process.
	ClusterBuffered
	// ClusterReplicated writes are on the devices of as many copies as the quorum of their shard has.
	ClusterReplicated
)

// ClusterWrite says how a cluster is written. The zero value is ClusterSynced, and a value that stays.
type ClusterWrite struct {
	Durability ClusterDurability
	// TTL takes the value away again by itself; 0: it stays.
	TTL time.Duration
}

func (w *ClusterWrite) parts() (durability C.uint32_t, ttl C.uint64_t, err error) {
	if w == nil {
		return C.ATOLL_DURABILITY_SYNCED, 0, nil
	}
	switch w.Durability {
	case ClusterSynced:
		durability = C.ATOLL_DURABILITY_SYNCED
	case ClusterBuffered:
		durability = C.ATOLL_DURABILITY_BUFFERED
	case ClusterReplicated:
		durability = C.ATOLL_DURABILITY_REPLICATED
	default:
		return 0, 0, &Error{Status: ErrInvalid.Status, Message: "there is no durability " + strconv.FormatUint(uint64(w.Durability), 10)}
	}
	ttl, err = milliseconds(w.TTL)
	return durability, ttl, err
}

// withoutTTL is parts of a write that no one value could expire with.
func (w *ClusterWrite) withoutTTL(what string) (C.uint32_t, error) {
	if w != nil && w.TTL != 0 {
		return 0, &Error{Status: ErrInvalid.Status, Message: what + " takes no TTL"}
	}
	durability, _, err := w.parts()
	return durability, err
}

// ClusterOptions of OpenCluster. The zero value opens a cluster that is there.
type ClusterOptions struct {
	// Shards makes a cluster of so many where the directory is missing or empty; 0 opens one that is there, or fails. A cluster
	// that is there keeps its shape: neither this nor Replicas and Nodes are looked at.
	Shards uint32
	// Replicas are the copies of each shard, the primary included; 0 stands for 1.
	Replicas uint32
	// Nodes are "NAME" or "NAME=WEIGHT"; nil: n1, n2 and so on, as many as there are shards or replicas.
	Nodes []string
	// Settings are further options of the scope "cluster" by their names: {"segment_max_bytes": "16MiB"}.
	Settings map[string]string
}

// Cluster is shards times replicas in one directory. Any number of goroutines may use it at once.
//
// Calls that wait for devices and replicas take a context, which is looked at before they begin. A call under way goes on to its
// end, so that its answer is never in doubt.
type Cluster struct {
	cluster *C.atoll_cluster
}

// OpenCluster opens the cluster in a directory, or makes one: see ClusterOptions.
//
// Errors: ErrLocked if another process has it open, ErrCorrupt, ErrInvalid, ErrIO. Replicas that cannot be opened are out of
// service and do not stop the others: see Status.
func OpenCluster(ctx context.Context, path string, options *ClusterOptions) (*Cluster, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if options == nil {
		options = &ClusterOptions{}
	}
	set, wrong := newOptions(options.Settings)
	if wrong != nil {
		return nil, wrong
	}
	defer C.atoll_options_free(set)
	cPath, wrong := cText("the path", path)
	if wrong != nil {
		return nil, wrong
	}
	defer free(cPath)
	there, wrong := os.ReadDir(path)
	if wrong != nil && !os.IsNotExist(wrong) {
		return nil, wrong
	}
	var cluster *C.atoll_cluster
	var err *C.atoll_error
	var status C.atoll_status
	if len(there) > 0 {
		status = C.atoll_cluster_open(cPath, set, &cluster, &err)
	} else {
		if options.Shards == 0 {
			return nil, &Error{Status: ErrInvalid.Status, Message: "there is no cluster in " + path + ": say how many Shards a new one shall have"}
		}
		replicas := options.Replicas
		if replicas == 0 {
			replicas = 1
		}
		nodes, wrong := options.nodes(replicas)
		if wrong != nil {
			return nil, wrong
		}
		cNodes, wrong := cText("the nodes", nodes)
		if wrong != nil {
			return nil, wrong
		}
		defer free(cNodes)
		status = C.atoll_cluster_create(cPath, cNodes, C.uint32_t(options.Shards), C.uint32_t(replicas), set, &cluster, &err)
	}
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	made := &Cluster{cluster: cluster}
	runtime.SetFinalizer(made, func(c *Cluster) { C.atoll_cluster_free(c.cluster) })
	return made, nil
}

// mostNodes bounds the nodes that are named without being asked for: more shards than this want names of their own.
const mostNodes = 1000

func (o *ClusterOptions) nodes(replicas uint32) (string, error) {
	names := o.Nodes
	if names == nil {
		n := o.Shards
		if n < replicas {
			n = replicas
		}
		if n > mostNodes {
			return "", &Error{Status: ErrInvalid.Status, Message: "name the Nodes of a cluster of more than 1000 shards or replicas"}
		}
		for i := uint32(1); i <= n; i++ {
			names = append(names, "n"+strconv.FormatUint(uint64(i), 10))
		}
	}
	for _, name := range names {
		// The library reads a list: one name with a comma would be two nodes.
		if strings.Contains(name, ",") {
			return "", &Error{Status: ErrInvalid.Status, Message: "the name of node " + strconv.Quote(name) + " has a comma in it"}
		}
	}
	return strings.Join(names, ","), nil
}

// Close makes everything durable on every replica that can be reached and closes the cluster; later calls return ErrClosed. It
// waits for calls under way. Closing twice is allowed.
func (c *Cluster) Close() error {
	defer runtime.KeepAlive(c)
	var err *C.atoll_error
	return failure(C.atoll_cluster_close(c.cluster, &err), err)
}

func written(answer C.cluster_answer) (Token, error) {
	if answer.status != C.ATOLL_OK {
		return nil, failure(answer.status, answer.err)
	}
	return taken(answer.token), nil
}

// Put gives a key a value on its shard, as safely as `how` asks, and returns a token that proves it. How may be nil.
//
// ErrUnavailable: nothing was written. ErrIndeterminate: it may have been.
func (c *Cluster) Put(ctx context.Context, key, value []byte, how *ClusterWrite) (Token, error) {
	return c.put(ctx, key, value, how, nil)
}

func (c *Cluster) put(ctx context.Context, key, value []byte, how *ClusterWrite, of *Session) (Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	defer runtime.KeepAlive(of)
	durability, ttl, err := how.parts()
	if err != nil {
		return nil, err
	}
	return written(C.cluster_put(c.cluster, durability, ttl, of.handle(), pointer(key), C.size_t(len(key)), pointer(value), C.size_t(len(value))))
}

// Delete takes the value of a key away; a key without one is no error. Otherwise as Put.
func (c *Cluster) Delete(ctx context.Context, key []byte, how *ClusterWrite) (Token, error) {
	return c.delete(ctx, key, how, nil)
}

func (c *Cluster) delete(ctx context.Context, key []byte, how *ClusterWrite, of *Session) (Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	defer runtime.KeepAlive(of)
	durability, err := how.withoutTTL("a deletion")
	if err != nil {
		return nil, err
	}
	return written(C.cluster_delete(c.cluster, durability, of.handle(), pointer(key), C.size_t(len(key))))
}

// Write applies a batch whole or not at all; the batch stays as it is. Its keys must be of one slot, or it is ErrCrossSlot; an
// empty one is ErrInvalid. Otherwise as Put.
func (c *Cluster) Write(ctx context.Context, batch *Batch, how *ClusterWrite) (Token, error) {
	return c.write(ctx, batch, how, nil)
}

func (c *Cluster) write(ctx context.Context, batch *Batch, how *ClusterWrite, of *Session) (Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	defer runtime.KeepAlive(of)
	defer runtime.KeepAlive(batch)
	durability, err := how.withoutTTL("a batch, whose values have their own,")
	if err != nil {
		return nil, err
	}
	if err := batch.enter(); err != nil {
		return nil, err
	}
	defer batch.leave()
	return written(C.cluster_write(c.cluster, durability, of.handle(), batch.batch))
}

// Get returns the value of a key, as fresh as `how` asks (nil: Strong); ErrNotFound if it has none.
//
// ErrUnavailable if no replica can answer, ErrWriteLost if what the token speaks of went with its primary.
func (c *Cluster) Get(ctx context.Context, key []byte, how *Read) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	consistency, session, token := how.parts()
	defer runtime.KeepAlive(how)
	room := make([]byte, smallValue)
	answer := C.cluster_get(c.cluster, consistency, session, pointer(token), C.size_t(len(token)), pointer(key), C.size_t(len(key)), pointer(room),
		C.size_t(len(room)))
	switch {
	case answer.status == C.ATOLL_NOT_FOUND:
		return nil, ErrNotFound
	case answer.status != C.ATOLL_OK:
		return nil, failure(answer.status, answer.err)
	case answer.pin != nil:
		defer C.atoll_pin_free(answer.pin)
		return copied(answer.value.data, answer.value.len), nil
	}
	return room[:answer.len:answer.len], nil
}

// Scan begins a scan of a range of all shards in byte order; Reverse is ErrUnsupported. The scan may outlive the cluster.
func (c *Cluster) Scan(ctx context.Context, r *Range, how *Read) (*Scan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	lo, hi, flags, limit, err := r.bounds()
	if err != nil {
		return nil, err
	}
	consistency, session, token := how.parts()
	defer runtime.KeepAlive(how)
	var iter *C.atoll_iter
	var cErr *C.atoll_error
	status := C.cluster_scan(c.cluster, consistency, session, pointer(token), C.size_t(len(token)), given(lo), pointer(lo), C.size_t(len(lo)), given(hi),
		pointer(hi), C.size_t(len(hi)), flags, limit, &iter, &cErr)
	if status != C.ATOLL_OK {
		return nil, failure(status, cErr)
	}
	return newScan(iter), nil
}

// Count counts the keys one by one.
func (c *Cluster) Count(ctx context.Context, how *Read) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer runtime.KeepAlive(c)
	consistency, session, token := how.parts()
	defer runtime.KeepAlive(how)
	var count C.uint64_t
	var err *C.atoll_error
	status := C.cluster_count(c.cluster, consistency, session, pointer(token), C.size_t(len(token)), &count, &err)
	return uint64(count), failure(status, err)
}

// Status returns the state of nodes, shards and replicas as JSON.
func (c *Cluster) Status() (json.RawMessage, error) {
	defer runtime.KeepAlive(c)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_cluster_status_json(c.cluster, &buf, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// Router returns where every key lives as of now, the same in every language. It does not follow later changes: compare Epoch.
func (c *Cluster) Router() (*Router, error) {
	defer runtime.KeepAlive(c)
	var router *C.atoll_router
	var err *C.atoll_error
	if status := C.atoll_cluster_router(c.cluster, &router, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newRouter(router), nil
}
