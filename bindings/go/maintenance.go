package atoll

/*
#include "views.h"

// In callback.go.
extern void atollGoProgress(uintptr_t function, uint64_t done, uint64_t total);

static void tell(void *ctx, uint64_t done, uint64_t total)
{
	atollGoProgress((uintptr_t)ctx, done, total);
}

// A handle of 0 is nobody who wants to know. The context is a number that stands for a function of Go's.
static atoll_progress_fn teller(uintptr_t function)
{
	return function ? tell : NULL;
}

typedef struct { atoll_status status; uint64_t count; atoll_buf *json; atoll_error *err; } report_answer;

static report_answer db_backup(atoll_db *db, const char *target, uint32_t flags, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_db_backup(db, target, flags, teller(function), (void *)function, &answer.json, &answer.err);
	return answer;
}

static report_answer cluster_backup(atoll_cluster *cluster, const char *target, uint32_t flags, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_cluster_backup(cluster, target, flags, teller(function), (void *)function, &answer.json, &answer.err);
	return answer;
}

static report_answer db_verify(atoll_db *db, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_db_verify(db, teller(function), (void *)function, &answer.count, &answer.json, &answer.err);
	return answer;
}

static report_answer cluster_verify(atoll_cluster *cluster, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_cluster_verify(cluster, teller(function), (void *)function, &answer.count, &answer.json, &answer.err);
	return answer;
}

static report_answer cluster_plan(atoll_cluster *cluster, const void *change, size_t n)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_cluster_plan(cluster, change, n, &answer.json, &answer.err);
	return answer;
}

static report_answer cluster_rebalance(atoll_cluster *cluster, const void *change, size_t n, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_cluster_rebalance(cluster, change, n, teller(function), (void *)function, &answer.json, &answer.err);
	return answer;
}

static report_answer cluster_resume(atoll_cluster *cluster, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_cluster_rebalance_resume(cluster, teller(function), (void *)function, &answer.json, &answer.err);
	return answer;
}

static report_answer cluster_compact(atoll_cluster *cluster)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_cluster_compact(cluster, &answer.json, &answer.err);
	return answer;
}

static report_answer cluster_events(atoll_cluster *cluster)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_cluster_events_json(cluster, &answer.json, &answer.err);
	return answer;
}

static report_answer restored(const char *backup, const char *path, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_restore(backup, path, teller(function), (void *)function, &answer.json, &answer.err);
	return answer;
}

static report_answer backup_verify(const char *backup, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_backup_verify(backup, teller(function), (void *)function, &answer.count, &answer.json, &answer.err);
	return answer;
}

static report_answer repaired(const char *source, const char *target, uintptr_t function)
{
	report_answer answer = {ATOLL_OK, 0, NULL, NULL};
	answer.status = atoll_repair(source, target, teller(function), (void *)function, &answer.count, &answer.json, &answer.err);
	return answer;
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"runtime/cgo"
)

// Progress is told how far long work is: done, and of how much. It may use other handles; a panic of it comes out of the call that
// was told, after that has ended.
type Progress func(done, total uint64)

// Checked is what a check or a repair found.
type Checked struct {
	// Damaged counts the places that are damaged, or the ranges that were lost; 0 if all is well.
	Damaged uint64
	// Report names them, and what was looked at.
	Report json.RawMessage
}

// progress is a function of the program during one call.
type progress struct {
	function Progress
	panicked any
}

// during runs a call of C's, which is handed a number for the function; 0 for none.
func during(function Progress, call func(C.uintptr_t) C.report_answer) (*Checked, error) {
	var number cgo.Handle
	told := &progress{function: function}
	if function != nil {
		number = cgo.NewHandle(told)
		defer number.Delete()
	}
	answer := call(C.uintptr_t(number))
	if told.panicked != nil {
		C.atoll_buf_free(answer.json)
		C.atoll_error_free(answer.err)
		panic(told.panicked)
	}
	if answer.status != C.ATOLL_OK {
		return nil, failure(answer.status, answer.err)
	}
	return &Checked{Damaged: uint64(answer.count), Report: taken(answer.json)}, nil
}

func reported(found *Checked, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return found.Report, nil
}

func linked(link bool) C.uint32_t {
	if link {
		return C.ATOLL_BACKUP_LINK
	}
	return 0
}

// Backup copies the store as it is now into a directory that is missing, empty or an earlier backup of it, of which only what is new is
// copied; what was copied, as JSON. Link gives files that never change a second name instead, on one file system. Progress, which may
// be nil, is told bytes. Readers and writers go on; ctx is looked at before it begins. Restore is the way back.
func (s *Store) Backup(ctx context.Context, target string, link bool, told Progress) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(s)
	to, err := cText("the target", target)
	if err != nil {
		return nil, err
	}
	defer free(to)
	return reported(during(told, func(number C.uintptr_t) C.report_answer { return C.db_backup(s.db, to, linked(link), number) }))
}

// Backup copies each shard once, all of them as they are at one instant; otherwise as Store.Backup.
func (c *Cluster) Backup(ctx context.Context, target string, link bool, told Progress) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	to, err := cText("the target", target)
	if err != nil {
		return nil, err
	}
	defer free(to)
	return reported(during(told, func(number C.uintptr_t) C.report_answer { return C.cluster_backup(c.cluster, to, linked(link), number) }))
}

// Verify reads all of the store and compares every checksum and every entry of its index. Readers and writers go on.
func (s *Store) Verify(ctx context.Context, told Progress) (*Checked, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(s)
	return during(told, func(number C.uintptr_t) C.report_answer { return C.db_verify(s.db, number) })
}

// Verify reads all replicas and compares them with each other; what they disagree about counts as damaged.
func (c *Cluster) Verify(ctx context.Context, told Progress) (*Checked, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	return during(told, func(number C.uintptr_t) C.report_answer { return C.cluster_verify(c.cluster, number) })
}

// Restore makes a store or a cluster, whichever was copied, in path, which is missing or empty, of the backup in a directory; what was
// restored, as JSON. It appears at the end, after everything has been checked, and is a new life: what was written to the old one after the
// copy is not in it, and a token that speaks of it is ErrWriteLost. ErrInvalid for what is no backup or a path that is not empty, ErrCorrupt.
func Restore(ctx context.Context, backup, path string, told Progress) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	from, err := cText("the backup", backup)
	if err != nil {
		return nil, err
	}
	defer free(from)
	to, err := cText("the path", path)
	if err != nil {
		return nil, err
	}
	defer free(to)
	return reported(during(told, func(number C.uintptr_t) C.report_answer { return C.restored(from, to, number) }))
}

// VerifyBackup compares every checksum of the backup in a directory.
func VerifyBackup(ctx context.Context, backup string, told Progress) (*Checked, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	from, err := cText("the backup", backup)
	if err != nil {
		return nil, err
	}
	defer free(from)
	return during(told, func(number C.uintptr_t) C.report_answer { return C.backup_verify(from, number) })
}

// Repair saves what can be saved of a damaged store, which must be open nowhere, into a new one in target, which is missing or empty.
// Damaged counts the ranges that were lost. After an error remove the target.
func Repair(ctx context.Context, source, target string, told Progress) (*Checked, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	from, err := cText("the source", source)
	if err != nil {
		return nil, err
	}
	defer free(from)
	to, err := cText("the target", target)
	if err != nil {
		return nil, err
	}
	defer free(to)
	return during(told, func(number C.uintptr_t) C.report_answer { return C.repaired(from, to, number) })
}

// Plan tells what a change of members would move, with the keys and bytes that are there now, as JSON; nothing moves. A change is JSON:
// {"add":{"name":"n4","weight":2}}, {"remove":"n1"}, {"reweight":{"node":"n1","weight":3}}, {"together":[...]} or "level". ErrInvalid for
// one that does not fit.
func (c *Cluster) Plan(ctx context.Context, change string) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	return reported(during(nil, func(C.uintptr_t) C.report_answer {
		return C.cluster_plan(c.cluster, text(change), C.size_t(len(change)))
	}))
}

// Rebalance carries out a change of members: it moves what Plan says while reads and writes go on, and returns what was moved. Progress,
// which may be nil, is told bytes, and must not write to this cluster. After an error, or the end of the process, every key is where the
// router says: go on with ResumeRebalance.
func (c *Cluster) Rebalance(ctx context.Context, change string, told Progress) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	return reported(during(told, func(number C.uintptr_t) C.report_answer {
		return C.cluster_rebalance(c.cluster, text(change), C.size_t(len(change)), number)
	}))
}

// ResumeRebalance goes on with a Rebalance that was interrupted; ErrNotFound if there is none.
func (c *Cluster) ResumeRebalance(ctx context.Context, told Progress) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	return reported(during(told, func(number C.uintptr_t) C.report_answer { return C.cluster_resume(c.cluster, number) }))
}

// Compact brings the tables of every copy in service into as few runs as it can, now; what was done on each, as JSON.
func (c *Cluster) Compact(ctx context.Context) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	return reported(during(nil, func(C.uintptr_t) C.report_answer { return C.cluster_compact(c.cluster) }))
}

// Events returns what has happened since the cluster was opened, oldest first, as a JSON array: recoveries, copies that failed and came
// back, failovers.
func (c *Cluster) Events() (json.RawMessage, error) {
	defer runtime.KeepAlive(c)
	return reported(during(nil, func(C.uintptr_t) C.report_answer { return C.cluster_events(c.cluster) }))
}
