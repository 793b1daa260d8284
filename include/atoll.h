/*
 * Atoll: a sharded, replicated key-value engine that lives inside your program.
 *
 * Printed from the sources of libatoll by scripts/header.sh: edits made here are lost.
 *
 * What holds for every function, unless its comment says otherwise:
 *
 *   Errors     A call that can fail returns an atoll_status: 0 done, above 0 another normal outcome, below 0 an
 *              error. `err` may be NULL; otherwise it must point to a NULL pointer, and after an error that
 *              points to an atoll_error, to be freed with atoll_error_free(). No call unwinds or aborts.
 *   Inputs     are read before the call returns and never kept. Bytes may hold anything, NUL included; a pointer
 *              may be NULL only with length 0. Texts end with NUL and are UTF-8.
 *   Outputs    are written only when the status is 0 or above. Where a call makes a handle, that is NULL after
 *              an error.
 *   Handles    come from this library and are freed once, in any order: a snapshot, scan or transaction may be
 *              freed after its store. NULL is answered with ATOLL_E_INVALID, and freeing it does nothing.
 *   Threads    "Any thread" means at the same time on one handle. "One thread at a time" means that a
 *              second call meanwhile answers ATOLL_E_BUSY.
 *   Views      (atoll_bytes, atoll_kv) belong to the handle that the call names, and are valid until then.
 *              Pointers returned as `const` belong to the library and must not be freed.
 *   Structs    that begin with struct_size are initialised with their INIT macro. The library reads as much as the
 *              caller's version has, and answers ATOLL_E_UNSUPPORTED to fields it does not know yet.
 *   Stability  All of it is of version 0.1. Until 1.0 a minor version may change it, and ATOLL_ABI_VERSION and the SONAME then
 *              change with it; within one of them functions, constants and fields at the end of structs with struct_size are added
 *              only.
 *   fork()     A store does not work in a child process: calls answer ATOLL_E_FORKED there. Freeing is allowed.
 *
 * Link with -latoll. The static library also needs -lgcc_s -lutil -lrt -lpthread -lm -ldl.
 *
 * C99, C11, C17 and C++11 to C++20. SPDX-License-Identifier: Apache-2.0 OR MIT
 */

#ifndef ATOLL_H
#define ATOLL_H

#include <stddef.h>
#include <stdint.h>

/* Version of this header; compare with atoll_version_number(). */
#define ATOLL_VERSION_MAJOR 0
#define ATOLL_VERSION_MINOR 1
#define ATOLL_VERSION_PATCH 0
#define ATOLL_VERSION_NUMBER \
    ((ATOLL_VERSION_MAJOR << 16) | (ATOLL_VERSION_MINOR << 8) | ATOLL_VERSION_PATCH)

/* Binary interface of this header; compare with atoll_abi_version(). */
#define ATOLL_ABI_VERSION 0

/**
 * The longest key.
 */
#define ATOLL_MAX_KEY_BYTES 65535

/**
 * The longest value, and the largest batch.
 */
#define ATOLL_MAX_VALUE_BYTES 67108864

/**
 * For atoll_cluster_count_approximate(): keys of every slot.
 */
#define ATOLL_SLOT_ANY UINT32_MAX

/**
 * As many copies as the quorum of the shard has are on their devices.
 */
#define ATOLL_DURABILITY_REPLICATED 2

/**
 * The newest acknowledged value: a quorum proves that nobody else leads.
 */
#define ATOLL_CONSISTENCY_STRONG 0

/**
 * A value that was current a moment ago, from any copy in turn.
 */
#define ATOLL_CONSISTENCY_EVENTUAL 1

/**
 * Everything the token or the session speaks of, from any copy that has it.
 */
#define ATOLL_CONSISTENCY_READ_YOUR_WRITES 2

/**
 * In the memory of the operating system: survives kill -9, may be lost with the power.
 */
#define ATOLL_DURABILITY_BUFFERED 0

/**
 * On the device.
 */
#define ATOLL_DURABILITY_SYNCED 1

/**
 * It does all it should.
 */
#define ATOLL_HEALTH_OK 0

/**
 * It reads and writes, and something needs to be looked at.
 */
#define ATOLL_HEALTH_DEGRADED 1

/**
 * It reads, and some or all writes are refused: the disk is full, or the handle was opened for reading.
 */
#define ATOLL_HEALTH_READ_ONLY 2

/**
 * It takes no writes until somebody acts, and some reads may fail.
 */
#define ATOLL_HEALTH_FAILED 3

/**
 * For `wall_ms`: the wall clock of this machine.
 */
#define ATOLL_WALL_NOW UINT64_MAX

/**
 * Integers as 8 bytes whose order is numeric order.
 */
#define ATOLL_ENCODING_BINARY 0

/**
 * Integers as their decimal text, as programs have it that hash str(id). Inside tuples they stay binary.
 */
#define ATOLL_ENCODING_DECIMAL 1

/**
 * Bytes, taken as they are.
 */
#define ATOLL_KEY_BYTES 0

/**
 * UTF-8 text.
 */
#define ATOLL_KEY_TEXT 1

/**
 * An integer: `integer`.
 */
#define ATOLL_KEY_INT 2

/**
 * A UUID: 16 bytes in network order.
 */
#define ATOLL_KEY_UUID 3

/**
 * A tuple within the tuple begins: its parts follow.
 */
#define ATOLL_KEY_BEGIN 4

/**
 * The tuple that began last ends.
 */
#define ATOLL_KEY_END 5

/**
 * The slot stays where it is.
 */
#define ATOLL_MOVE_NONE 0

/**
 * The slot is being copied, or going to be; its owner answers reads and writes.
 */
#define ATOLL_MOVE_COPYING 1

/**
 * The last writes are being copied: the owner answers reads, and writes wait for the next version of the
 * topology.
 */
#define ATOLL_MOVE_FROZEN 2

/**
 * For atoll_log_open(): what is written from now on.
 */
#define ATOLL_LOG_FROM_NOW UINT64_MAX

/**
 * The key got the value.
 */
#define ATOLL_LOG_PUT 1

/**
 * The key's value was taken away.
 */
#define ATOLL_LOG_DELETE 2

/**
 * The next entry belongs to the same atomic batch.
 */
#define ATOLL_LOG_MORE_IN_BATCH 1

/**
 * Nothing.
 */
#define ATOLL_LOG_LEVEL_OFF 0

/**
 * Something does not work any more and somebody has to act.
 */
#define ATOLL_LOG_LEVEL_ERROR 1

/**
 * Something failed and will be tried again, or works less well.
 */
#define ATOLL_LOG_LEVEL_WARN 2

/**
 * What an operator wants to find in a log: recoveries, failovers, moves.
 */
#define ATOLL_LOG_LEVEL_INFO 3

/**
 * Everything else.
 */
#define ATOLL_LOG_LEVEL_DEBUG 4

/**
 * Files that never change get a second name in the backup instead of a copy, where both lie on one file system: costs no space, and
 * does not help when that file system is lost.
 */
#define ATOLL_BACKUP_LINK 1

/**
 * The node takes keys.
 */
#define ATOLL_NODE_ACTIVE 0

/**
 * The node gives up what it holds (topologies only).
 */
#define ATOLL_NODE_LEAVING 1

/**
 * The node has left; its number is not used again (topologies only).
 */
#define ATOLL_NODE_GONE 2

/**
 * From the end of the range to its start.
 */
#define ATOLL_RANGE_REVERSE 1

/**
 * `lo` is a prefix: the keys that begin with it; `hi` must be empty.
 */
#define ATOLL_RANGE_PREFIX 2

/**
 * The same writes are known to both.
 */
#define ATOLL_VC_EQUAL 0

/**
 * The first came before the second.
 */
#define ATOLL_VC_BEFORE 1

/**
 * The first came after the second.
 */
#define ATOLL_VC_AFTER 2

/**
 * Neither knew of the other.
 */
#define ATOLL_VC_CONCURRENT 3

/**
 * The key must have no value.
 */
#define ATOLL_EXPECT_ABSENT 0

/**
 * The key must have exactly the value `value`.
 */
#define ATOLL_EXPECT_VALUE 1

/**
 * The key must have the version that `lsn` and `hlc` name, as atoll_pin_version() gave them.
 */
#define ATOLL_EXPECT_VERSION 2

/**
 * Writes that take effect together. One thread at a time. Of several operations on a key the last one counts.
 */
typedef struct atoll_batch atoll_batch;

/**
 * Bytes that belong to the caller, until atoll_buf_free().
 */
typedef struct atoll_buf atoll_buf;

/**
 * An open cluster. Any number of threads may use it at once.
 */
typedef struct atoll_cluster atoll_cluster;

/**
 * An open store. Any number of threads may use it at once.
 */
typedef struct atoll_db atoll_db;

/**
 * Why a call failed: a status, a message for people, and the operating system's number if it has one.
 */
typedef struct atoll_error atoll_error;

/**
 * A hybrid logical clock (Kulkarni et al. 2014) of one node. Any thread: stamps are given in one order.
 */
typedef struct atoll_hlc_clock atoll_hlc_clock;

/**
 * A scan under way. One thread at a time.
 *
 * What it shows does not change by writes that come after it began. It keeps the space of newer versions from being
 * given back: free it when it has served.
 */
typedef struct atoll_iter atoll_iter;

/**
 * Pairs on their way into a store, past its log: several times as fast as writes. One thread at a time.
 *
 * Nobody sees them before atoll_load_finish(), and everybody does afterwards. Followers of the log do not get them: they are told
 * ATOLL_E_TOO_OLD there.
 */
typedef struct atoll_load atoll_load;

/**
 * A place in the log of a store that moves on as it is read. One thread at a time; atoll_log_interrupt() from any.
 *
 * The log is kept from this place on: a reader that stands still lets it grow. Free it when it has served.
 */
typedef struct atoll_log_reader atoll_log_reader;

/**
 * Options for opening a store or a cluster.
 */
typedef struct atoll_options atoll_options;

/**
 * Where a resolver's function puts its result. Valid until that function returns; one thread at a time.
 */
typedef struct atoll_out atoll_out;

/**
 * Holds one value where it lies, without a copy.
 *
 * One thread at a time. A pin that is held keeps the file with the value from being given back.
 */
typedef struct atoll_pin atoll_pin;

/**
 * A rule for versions that did not know each other. Any thread.
 */
typedef struct atoll_resolver atoll_resolver;

/**
 * Where keys live. Immutable: any number of threads may use it at once.
 */
typedef struct atoll_router atoll_router;

/**
 * What a router is to look like. One thread at a time.
 */
typedef struct atoll_router_spec atoll_router_spec;

/**
 * What one user of a cluster has written and read. Any number of threads may use it at once.
 *
 * Name it in atoll_cluster_write_opts and atoll_cluster_read_opts: reads at ATOLL_CONSISTENCY_READ_YOUR_WRITES then include every write
 * of the session and never show an older state than an earlier read of it did, from whichever copy.
 */
typedef struct atoll_session atoll_session;

/**
 * The versions of one key that no other one has seen, and the context of all that was ever seen of it. One thread at a time.
 *
 * Two nodes that have taken in the same writes, in any order and however often, hold sets of equal bytes.
 */
typedef struct atoll_siblings atoll_siblings;

/**
 * A store as it was at one position. Any number of threads may use it at once.
 *
 * What it shows is kept until it is freed, so space of newer versions grows: free it when it has served.
 */
typedef struct atoll_snapshot atoll_snapshot;

/**
 * A transaction under way. One thread at a time.
 *
 * It reads the store as it was when it began, and its own writes. It keeps the space of newer versions from being given
 * back: end it soon.
 */
typedef struct atoll_transaction atoll_transaction;

/**
 * A vector clock: for each node the number of its writes that are known. One thread at a time.
 */
typedef struct atoll_vclock atoll_vclock;

/**
 * Some versions, in the order of who wrote them. Any thread.
 */
typedef struct atoll_versions atoll_versions;

/**
 * What a call answers: 0 done, above 0 another normal outcome (no error object is made), below 0 an error.
 */
typedef int32_t atoll_status;

/**
 * How a write is done. Initialise it with ATOLL_WRITE_OPTS_INIT; NULL stands for the defaults.
 */
typedef struct {
    /**
     * sizeof(atoll_write_opts).
     */
    size_t struct_size;
    /**
     * ATOLL_DURABILITY_BUFFERED (default): survives the end of the process. ATOLL_DURABILITY_SYNCED: on the
     * device before the call returns.
     */
    uint32_t durability;
    /**
     * 0.
     */
    uint32_t flags;
    /**
     * The value is gone this many milliseconds after the write; 0: it stays.
     */
    uint64_t ttl_ms;
    /**
     * The value is gone at this time, in milliseconds since 1970; 0: see ttl_ms. At most one of the two.
     */
    uint64_t expires_at_ms;
} atoll_write_opts;

/**
 * A view of bytes. Its owner is named by the function that fills it in; `data` is never NULL then, also
 * when `len` is 0.
 */
typedef struct {
    /**
     * First byte.
     */
    const uint8_t *data;
    /**
     * Number of bytes.
     */
    size_t len;
} atoll_bytes;

/**
 * A version of a key: one write, named for ever by node, incarnation and sequence.
 *
 * This struct never grows, because arrays of it are handed over.
 */
typedef struct {
    /**
     * The value; empty if the write deleted.
     */
    atoll_bytes value;
    /**
     * The bytes of what its writer had read: a causal context.
     */
    atoll_bytes context;
    /**
     * When its node stamped it, as atoll_hlc_pack() packs it.
     */
    uint64_t stamp;
    /**
     * The node that accepted it: xxh3_64 of its name.
     */
    uint64_t node;
    /**
     * Which of the writes of that node and incarnation it is, from 1.
     */
    uint64_t sequence;
    /**
     * Life of the node's data.
     */
    uint32_t incarnation;
    /**
     * 1 if the write deleted, otherwise 0.
     */
    uint32_t deleted;
} atoll_version_view;

/**
 * A range of keys. Initialise it with ATOLL_RANGE_INIT; NULL stands for all keys.
 */
typedef struct {
    /**
     * sizeof(atoll_range).
     */
    size_t struct_size;
    /**
     * First key, inclusive; NULL for the first one there is.
     */
    const uint8_t *lo;
    /**
     * Bytes of `lo`.
     */
    size_t lo_len;
    /**
     * End, exclusive; NULL for none.
     */
    const uint8_t *hi;
    /**
     * Bytes of `hi`.
     */
    size_t hi_len;
    /**
     * ATOLL_RANGE_REVERSE, ATOLL_RANGE_PREFIX.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Ends after so many entries; 0 for all.
     */
    uint64_t limit;
} atoll_range;

/**
 * About how much a range holds.
 */
typedef struct {
    /**
     * sizeof(atoll_approximate).
     */
    size_t struct_size;
    /**
     * Keys with a value.
     */
    uint64_t records;
    /**
     * Bytes of those keys and values.
     */
    uint64_t bytes;
    /**
     * In about 19 of 20 cases `records` is off by no more than this; 0: they were counted.
     */
    uint64_t records_error;
    /**
     * The same of `bytes`.
     */
    uint64_t bytes_error;
} atoll_approximate;

/**
 * Told how far long work is: `done` of `total`, in units of the work, from the thread that called and before that call returns. It must
 * not throw an exception, longjmp() or end its thread: an exception that reaches the library ends the process. It may use other handles.
 */
typedef void (*atoll_progress_fn)(void *ctx, uint64_t done, uint64_t total);

/**
 * How a cluster is read. Initialise it with ATOLL_CLUSTER_READ_OPTS_INIT; NULL stands for the defaults.
 */
typedef struct {
    /**
     * sizeof(atoll_cluster_read_opts).
     */
    size_t struct_size;
    /**
     * ATOLL_CONSISTENCY_STRONG (default), ATOLL_CONSISTENCY_EVENTUAL or ATOLL_CONSISTENCY_READ_YOUR_WRITES, which needs a token.
     */
    uint32_t consistency;
    /**
     * 0.
     */
    uint32_t flags;
    /**
     * Bytes of a token of this cluster, of any language; NULL for none.
     */
    const uint8_t *token;
    /**
     * Bytes of `token`.
     */
    size_t token_len;
    /**
     * What is read is remembered by this session: it never reads an older state afterwards. With
     * ATOLL_CONSISTENCY_READ_YOUR_WRITES the session stands for the token, which must be NULL. NULL for none.
     */
    const atoll_session *session;
} atoll_cluster_read_opts;

/**
 * How a cluster is written. Initialise it with ATOLL_CLUSTER_WRITE_OPTS_INIT; NULL stands for the defaults.
 */
typedef struct {
    /**
     * sizeof(atoll_cluster_write_opts).
     */
    size_t struct_size;
    /**
     * ATOLL_DURABILITY_SYNCED (default), ATOLL_DURABILITY_BUFFERED or ATOLL_DURABILITY_REPLICATED. The quorum of the cluster is a
     * floor for all of them.
     */
    uint32_t durability;
    /**
     * 0.
     */
    uint32_t flags;
    /**
     * The value is gone this many milliseconds after the write; 0: it stays.
     */
    uint64_t ttl_ms;
    /**
     * The write is seen by this session's reads from now on; NULL for none.
     */
    const atoll_session *session;
} atoll_cluster_write_opts;

/**
 * How well a store or a cluster is. Initialise it with ATOLL_HEALTH_INIT.
 */
typedef struct {
    /**
     * sizeof(atoll_health).
     */
    size_t struct_size;
    /**
     * ATOLL_HEALTH_OK, ATOLL_HEALTH_DEGRADED, ATOLL_HEALTH_READ_ONLY or ATOLL_HEALTH_FAILED.
     */
    uint32_t state;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Shards in use; 1 for a store.
     */
    uint64_t shards;
    /**
     * Shards that take writes.
     */
    uint64_t shards_writable;
    /**
     * Copies that should be in service; 1 for a store.
     */
    uint64_t replicas;
    /**
     * Copies that are in service and count.
     */
    uint64_t replicas_up;
    /**
     * Most bytes of log that a copy in service lacks.
     */
    uint64_t replication_lag_bytes;
    /**
     * Longest time since a copy in service was known to have everything, in milliseconds.
     */
    uint64_t replication_lag_ms;
    /**
     * Age of the oldest snapshot that this process holds, in milliseconds; 0 if it holds none. A snapshot keeps old versions and files
     * from going.
     */
    uint64_t oldest_snapshot_ms;
} atoll_health;

/**
 * A part of a key.
 */
typedef struct {
    /**
     * ATOLL_KEY_BYTES, ATOLL_KEY_TEXT, ATOLL_KEY_INT, ATOLL_KEY_UUID, ATOLL_KEY_BEGIN or ATOLL_KEY_END.
     */
    uint32_t kind;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Of ATOLL_KEY_INT; 0 otherwise.
     */
    int64_t integer;
    /**
     * Of ATOLL_KEY_BYTES, _TEXT and _UUID; empty otherwise.
     */
    atoll_bytes bytes;
} atoll_key_part;

/**
 * Where a key lives. Initialise it with ATOLL_LOCATION_INIT.
 */
typedef struct {
    /**
     * sizeof(atoll_location).
     */
    size_t struct_size;
    /**
     * Version of the topology that says so.
     */
    uint64_t version;
    /**
     * Position in the log of the shard below which what it holds of this slot is left over from an earlier
     * stay; 0 if the slot never moved.
     */
    uint64_t residency;
    /**
     * Slot of the key.
     */
    uint32_t slot;
    /**
     * Shard that owns the slot.
     */
    uint32_t shard;
    /**
     * ATOLL_MOVE_NONE, ATOLL_MOVE_COPYING or ATOLL_MOVE_FROZEN.
     */
    uint32_t phase;
    /**
     * Shard that owns the slot once it has moved; the same as `shard` if it does not move.
     */
    uint32_t moving_to;
} atoll_location;

/**
 * Where atoll_log_entry_next() is in a frame. All zeros at its beginning.
 */
typedef struct {
    /**
     * Offset of the next record.
     */
    uint64_t at;
    /**
     * End of the batch it belongs to.
     */
    uint64_t batch_end;
} atoll_log_cursor;

/**
 * One write, as a log has it.
 */
typedef struct {
    /**
     * The key.
     */
    atoll_bytes key;
    /**
     * The value; empty for a deletion.
     */
    atoll_bytes value;
    /**
     * Its position.
     */
    uint64_t lsn;
    /**
     * Stamp of the write: a hybrid logical clock.
     */
    uint64_t hlc;
    /**
     * The value is gone at this time, in milliseconds since 1970; 0: it stays.
     */
    uint64_t expires_at_ms;
    /**
     * ATOLL_LOG_PUT or ATOLL_LOG_DELETE. Later versions may add kinds: pass over those that you do not know.
     */
    uint32_t kind;
    /**
     * ATOLL_LOG_MORE_IN_BATCH.
     */
    uint32_t flags;
} atoll_log_entry;

/**
 * Told what the library has to say: the level, the module it comes from, and a line of UTF-8 text with facts as name=value. The views are
 * valid until it returns.
 *
 * It is called by one thread of the library's own, one message at a time and in order, and may use the library, but not
 * atoll_set_logger(). It must not throw an exception, longjmp() or end its thread: an exception that reaches the library ends the process.
 */
typedef void (*atoll_logger_fn)(void *ctx, uint32_t level, atoll_bytes target, atoll_bytes message);

/**
 * Lets go of what was handed in with a function. Called exactly once, on any thread; it must not throw.
 */
typedef void (*atoll_ctx_free_fn)(void *ctx);

/**
 * One option of the table.
 *
 * The strings live as long as the library stays loaded.
 */
typedef struct {
    /**
     * Whose it is: "store" or "cluster".
     */
    const char *scope;
    /**
     * Its name, the same in every language.
     */
    const char *name;
    /**
     * How its value is written: "bytes", "time", "true or false", or the words there are.
     */
    const char *unit;
    /**
     * Value where nothing is set.
     */
    const char *default_value;
    /**
     * Smallest value; NULL where there is none.
     */
    const char *min;
    /**
     * Largest value; NULL where there is none.
     */
    const char *max;
    /**
     * What it does, and what changing it costs.
     */
    const char *doc;
} atoll_option_info;

/**
 * What a read looks at. Initialise it with ATOLL_READ_OPTS_INIT; NULL stands for the defaults.
 */
typedef struct {
    /**
     * sizeof(atoll_read_opts).
     */
    size_t struct_size;
    /**
     * Read the store as it was then; NULL: as it is now.
     */
    const atoll_snapshot *snapshot;
    /**
     * 0.
     */
    uint64_t flags;
} atoll_read_opts;

/**
 * Decides between versions of a key that did not know each other: at least two, each once, in the order of
 * who wrote them.
 *
 * Its result goes through atoll_out_write(), atoll_out_choose() or atoll_out_delete(); it returns ATOLL_OK,
 * or anything else if it cannot decide (atoll_out_fail() says why), which the call that needed it answers
 * with ATOLL_E_CALLBACK. The views are valid until it returns.
 *
 * It may be called from any thread, and from several at the same time. Every replica runs it: it must be
 * deterministic, give the same whatever versions were merged first, and read no clock. It must not throw an
 * exception, longjmp() or end its thread: an exception that reaches the library ends the process. It may use
 * other handles.
 */
typedef atoll_status (*atoll_resolve_fn)(void *ctx,
                                         atoll_bytes key,
                                         const atoll_version_view *versions,
                                         size_t n,
                                         atoll_out *out);

/**
 * A node of a router. Initialise it with ATOLL_NODE_INIT.
 *
 * The views belong to the router.
 */
typedef struct {
    /**
     * sizeof(atoll_node).
     */
    size_t struct_size;
    /**
     * Its name, UTF-8.
     */
    atoll_bytes name;
    /**
     * Its failure domain; empty where it has none.
     */
    atoll_bytes zone;
    /**
     * Smaller failure domain within the zone; empty where it has none.
     */
    atoll_bytes rack;
    /**
     * Its share relative to the other nodes; 0 for one that is kept empty.
     */
    uint32_t weight;
    /**
     * ATOLL_NODE_ACTIVE, ATOLL_NODE_LEAVING or ATOLL_NODE_GONE.
     */
    uint32_t state;
} atoll_node;

/**
 * A view of a key and its value.
 */
typedef struct {
    /**
     * The key.
     */
    atoll_bytes key;
    /**
     * The value.
     */
    atoll_bytes value;
} atoll_kv;

/**
 * What a conditional write expects to find.
 */
typedef struct {
    /**
     * ATOLL_EXPECT_ABSENT, ATOLL_EXPECT_VALUE or ATOLL_EXPECT_VERSION.
     */
    uint32_t kind;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * For ATOLL_EXPECT_VALUE.
     */
    atoll_bytes value;
    /**
     * For ATOLL_EXPECT_VERSION.
     */
    uint64_t lsn;
    /**
     * For ATOLL_EXPECT_VERSION.
     */
    uint64_t hlc;
} atoll_expected;

/**
 * Done.
 */
#define ATOLL_OK 0

/**
 * The key has no value.
 */
#define ATOLL_NOT_FOUND 1

/**
 * A scan has given all it has.
 */
#define ATOLL_END 2

/**
 * Nothing happened within the time that was given.
 */
#define ATOLL_TIMEOUT 3

/**
 * The buffer is too small; the call says how large it must be, and nothing was consumed.
 */
#define ATOLL_BUFFER_TOO_SMALL 4

/**
 * What the write was conditional on is no longer so; nothing was written.
 */
#define ATOLL_CONFLICT 5

/**
 * An argument is wrong: the message says which and what would be right.
 */
#define ATOLL_E_INVALID -1

/**
 * The operating system refused; atoll_error_os_errno() has its number.
 */
#define ATOLL_E_IO -2

/**
 * Bytes on disk are not what was written; the message names file and offset. Other keys stay readable.
 */
#define ATOLL_E_CORRUPT -3

/**
 * The handle, or the store behind it, has been closed.
 */
#define ATOLL_E_CLOSED -4

/**
 * The handle is in use by another call, and can serve one at a time.
 */
#define ATOLL_E_BUSY -5

/**
 * Another process has the store open; the message names it.
 */
#define ATOLL_E_LOCKED -6

/**
 * The store was opened before this process forked.
 */
#define ATOLL_E_FORKED -7

/**
 * The call asks for something that this build does not know.
 */
#define ATOLL_E_UNSUPPORTED -8

/**
 * A callback of the program failed.
 */
#define ATOLL_E_CALLBACK -9

/**
 * Not one copy of the shard is in service: nothing was read or written. Where some are, and too few, it is ATOLL_E_UNAVAILABLE.
 */
#define ATOLL_E_NO_QUORUM -10

/**
 * Another primary has taken over.
 */
#define ATOLL_E_STALE_EPOCH -11

/**
 * No space is left; nothing was written and reads go on.
 */
#define ATOLL_E_DISK_FULL -12

/**
 * This copy does not take writes.
 */
#define ATOLL_E_NOT_PRIMARY -13

/**
 * Nobody who could answer can be reached; nothing was written.
 */
#define ATOLL_E_UNAVAILABLE -14

/**
 * It cannot be known whether the write was done.
 */
#define ATOLL_E_INDETERMINATE -15

/**
 * A write that was seen has been lost with its primary.
 */
#define ATOLL_E_WRITE_LOST -16

/**
 * The keys of one atomic operation live in different places.
 */
#define ATOLL_E_CROSS_SLOT -17

/**
 * What the snapshot shows is gone; take a new one.
 */
#define ATOLL_E_TOO_OLD -18

/**
 * The library has a defect: the message tells it. The handle takes no more writes.
 */
#define ATOLL_E_PANIC -99

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes an empty batch. Free it with atoll_batch_free().
 *
 * Any thread.
 */
atoll_batch *atoll_batch_new(void);

/**
 * Takes everything out of a batch, so that it can be filled again. NULL is allowed.
 *
 * One thread at a time; does nothing while another uses it.
 */
void atoll_batch_clear(atoll_batch *batch);

/**
 * Frees a batch. NULL is allowed.
 *
 * Any thread.
 */
void atoll_batch_free(atoll_batch *batch);

/**
 * Returns how many keys the batch writes; 0 for NULL. One thread at a time.
 */
size_t atoll_batch_len(const atoll_batch *batch);

/**
 * Adds a put. Key and value are copied.
 *
 * `ttl_ms`: the value is gone so many milliseconds after the batch is written, 0: it stays. One thread at a time.
 */
atoll_status atoll_batch_put(atoll_batch *batch,
                             const void *key,
                             size_t key_len,
                             const void *value,
                             size_t value_len,
                             uint64_t ttl_ms,
                             atoll_error **err);

/**
 * Adds a deletion. The key is copied. One thread at a time.
 */
atoll_status atoll_batch_delete(atoll_batch *batch,
                                const void *key,
                                size_t key_len,
                                atoll_error **err);

/**
 * Adds `n` puts at once: key i with value i, each laid end to end as for atoll_multi_get(). Everything is copied.
 *
 * One thread at a time. Adds all of them or none.
 */
atoll_status atoll_batch_put_packed(atoll_batch *batch,
                                    const uint8_t *keys,
                                    const uint32_t *key_offsets,
                                    const uint8_t *values,
                                    const uint32_t *value_offsets,
                                    size_t n,
                                    atoll_error **err);

/**
 * Applies a batch: all of it or nothing, also after a crash and for every reader. The batch stays as it is.
 *
 * `lsn` may be NULL; it is set to the position after the batch, 0 for an empty one, which does nothing. The options' times of
 * expiry must be 0: each put has its own. Otherwise as atoll_put().
 */
atoll_status atoll_write(atoll_db *db,
                         const atoll_write_opts *options,
                         const atoll_batch *batch,
                         uint64_t *lsn,
                         atoll_error **err);

/**
 * Returns a view of the bytes, valid until the buffer is freed; an empty view for NULL.
 *
 * Any thread.
 */
atoll_bytes atoll_buf_bytes(const atoll_buf *buf);

/**
 * Frees a buffer. NULL is allowed.
 *
 * Any thread.
 */
void atoll_buf_free(atoll_buf *buf);

/**
 * Writes the value that the versions come to; called again, adds to it. The bytes are copied.
 *
 * Only inside a resolver's function. ATOLL_E_INVALID if the value grows longer than ATOLL_MAX_VALUE_BYTES.
 */
atoll_status atoll_out_write(atoll_out *out,
                             const void *data,
                             size_t len);

/**
 * Chooses the value of version number `i` of those that the function was shown, or its deletion.
 *
 * Only inside a resolver's function. ATOLL_E_INVALID for a number that there is not.
 */
atoll_status atoll_out_choose(atoll_out *out, size_t i);

/**
 * Decides that the key is deleted. Only inside a resolver's function.
 */
atoll_status atoll_out_delete(atoll_out *out);

/**
 * Says why the function cannot decide, for the message of the error; it must then return a status that is
 * not ATOLL_OK. Only inside a resolver's function.
 */
atoll_status atoll_out_fail(atoll_out *out,
                            const char *reason);

/**
 * Tells how the left causal context relates to the right one: ATOLL_VC_EQUAL, ATOLL_VC_BEFORE,
 * ATOLL_VC_AFTER or ATOLL_VC_CONCURRENT. A length of 0 stands for having seen nothing.
 *
 * Any thread. ATOLL_E_CORRUPT if either is no context.
 */
atoll_status atoll_context_compare(const void *left,
                                   size_t left_len,
                                   const void *right,
                                   size_t right_len,
                                   int32_t *order,
                                   atoll_error **err);

/**
 * Gives the causal context that has seen what both have seen: that of a write which replaces two values.
 *
 * Free `*merged` with atoll_buf_free(). Any thread. ATOLL_E_CORRUPT if either is no context.
 */
atoll_status atoll_context_merge(const void *left,
                                 size_t left_len,
                                 const void *right,
                                 size_t right_len,
                                 atoll_buf **merged,
                                 atoll_error **err);

/**
 * Gives the bytes of a version. An empty context stands for having seen nothing.
 *
 * Free `*encoded` with atoll_buf_free(). Any thread. ATOLL_E_INVALID for sequence 0, for a deletion with a
 * value and for a version that has seen itself, ATOLL_E_CORRUPT for bytes that are no context.
 */
atoll_status atoll_version_encode(const atoll_version_view *version,
                                  atoll_buf **encoded,
                                  atoll_error **err);

/**
 * Reads the bytes of a version. The views in `*version` are views of `encoded`.
 *
 * Any thread. ATOLL_E_CORRUPT for anything but the one form of a version.
 */
atoll_status atoll_version_decode(const void *encoded,
                                  size_t encoded_len,
                                  atoll_version_view *version,
                                  atoll_error **err);

/**
 * Returns how many versions there are; 0 for NULL. Any thread.
 */
size_t atoll_versions_count(const atoll_versions *versions);

/**
 * Tells version number `i`, from 0 on. Its views are valid until the versions are freed.
 *
 * Any thread. ATOLL_END past the last one.
 */
atoll_status atoll_versions_at(const atoll_versions *versions,
                               size_t i,
                               atoll_version_view *version,
                               atoll_error **err);

/**
 * Frees versions. NULL is allowed.
 *
 * Any thread, once no other call on them is under way.
 */
void atoll_versions_free(atoll_versions *versions);

/**
 * Makes a cluster in a directory that is missing or empty, and opens it.
 *
 * `nodes` is a list such as "n1,n2=2,n3", with weights where they are not 1. There are so many `shards`, each on so many nodes
 * (`replicas`, the primary included). `options` are those of the scope "cluster", or NULL. Otherwise as atoll_cluster_open().
 */
atoll_status atoll_cluster_create(const char *path,
                                  const char *nodes,
                                  uint32_t shards,
                                  uint32_t replicas,
                                  const atoll_options *options,
                                  atoll_cluster **cluster,
                                  atoll_error **err);

/**
 * Opens the cluster in the directory `path`.
 *
 * One process at a time has it open: the second one gets ATOLL_E_LOCKED. Replicas that cannot be opened are out of service and do
 * not stop the others: atoll_cluster_status_json() tells. `*cluster` is NULL after an error. Close it with atoll_cluster_close() and
 * free it with atoll_cluster_free(). Any thread; blocks while replicas that were not closed are checked.
 */
atoll_status atoll_cluster_open(const char *path,
                                const atoll_options *options,
                                atoll_cluster **cluster,
                                atoll_error **err);

/**
 * Makes everything durable on every replica that can be reached and closes the cluster; later calls answer ATOLL_E_CLOSED.
 *
 * Closing twice is allowed. Any thread; waits for calls that are under way.
 */
atoll_status atoll_cluster_close(atoll_cluster *cluster,
                                 atoll_error **err);

/**
 * Frees the handle. NULL is allowed. A cluster that nobody has closed is closed, and a failure of that cannot be told. Any thread.
 */
void atoll_cluster_free(atoll_cluster *cluster);

/**
 * Gives the state of nodes, shards and replicas as a JSON object. Free `*json` with atoll_buf_free(). Any thread.
 */
atoll_status atoll_cluster_status_json(atoll_cluster *cluster,
                                       atoll_buf **json,
                                       atoll_error **err);

/**
 * Gives the router of a cluster as of now: where every key lives, the same in every language. Free it with atoll_router_free().
 *
 * It does not follow later changes: compare atoll_router_epoch(). Any thread.
 */
atoll_status atoll_cluster_router(atoll_cluster *cluster,
                                  atoll_router **router,
                                  atoll_error **err);

/**
 * Estimates how many keys and bytes a range, or one slot of it, holds: atoll_count_approximate() for a cluster.
 *
 * `slot` is one of the cluster's slots, as atoll_router_locate() tells, or ATOLL_SLOT_ANY. ATOLL_E_UNAVAILABLE if a shard that is
 * asked has no primary. Any thread; takes some milliseconds for each shard.
 */
atoll_status atoll_cluster_count_approximate(atoll_cluster *cluster,
                                             const atoll_range *range,
                                             uint32_t slot,
                                             atoll_approximate *answer,
                                             atoll_error **err);

/**
 * Tells what a change of members would move, with the keys and bytes that are there now, as JSON. Moves nothing.
 *
 * The change is JSON as for atoll_router_plan(); also several in one plan, {"together":[...]}, and "level", by which who holds too much
 * gives to who holds too little. Free `*json` with atoll_buf_free(). ATOLL_E_INVALID for a change that does not fit. Any thread;
 * reads every key.
 */
atoll_status atoll_cluster_plan(atoll_cluster *cluster,
                                const void *change,
                                size_t change_len,
                                atoll_buf **json,
                                atoll_error **err);

/**
 * Carries out a change of members: moves what atoll_cluster_plan() says, slot by slot, while reads and writes go on.
 *
 * `progress` may be NULL; it is told bytes, and must not write to this cluster: writes to a slot that is being handed over wait until it has
 * returned. `*json` gets what was moved; free it with atoll_buf_free(). After an error or the end of the process every key is where the
 * router says: go on with atoll_cluster_rebalance_resume(). ATOLL_E_INVALID for a change that does not fit, and while one is under way.
 * Any thread; takes as long as copying takes.
 */
atoll_status atoll_cluster_rebalance(atoll_cluster *cluster,
                                     const void *change,
                                     size_t change_len,
                                     atoll_progress_fn progress,
                                     void *ctx,
                                     atoll_buf **json,
                                     atoll_error **err);

/**
 * Goes on with a change of members that was interrupted. ATOLL_NOT_FOUND if there is none, `*json` is NULL then. Otherwise as
 * atoll_cluster_rebalance().
 */
atoll_status atoll_cluster_rebalance_resume(atoll_cluster *cluster,
                                            atoll_progress_fn progress,
                                            void *ctx,
                                            atoll_buf **json,
                                            atoll_error **err);

/**
 * Compacts what is committed on every copy in service, one after the other: atoll_compact() for a cluster. `*json` gets what was done on
 * each; free it with atoll_buf_free(). Any thread; reads and writes go on.
 */
atoll_status atoll_cluster_compact(atoll_cluster *cluster,
                                   atoll_buf **json,
                                   atoll_error **err);

/**
 * Gives what has happened since the cluster was opened, oldest first, as a JSON array: recoveries, copies that failed and came back,
 * failovers. The latest 5,000 at least. Free `*json` with atoll_buf_free(). Any thread.
 */
atoll_status atoll_cluster_events_json(atoll_cluster *cluster,
                                       atoll_buf **json,
                                       atoll_error **err);

/**
 * Reads the value of a key, as fresh as asked: `*value` is a view that `pin` holds, until the pin is used for another read, reset or
 * freed.
 *
 * ATOLL_NOT_FOUND for a key without a value. ATOLL_E_UNAVAILABLE if no replica can answer, ATOLL_E_WRITE_LOST if what the token or the
 * session speaks of went with its primary. Any thread, each with a pin of its own; may wait for replicas.
 */
atoll_status atoll_cluster_get(atoll_cluster *cluster,
                               const atoll_cluster_read_opts *options,
                               const void *key,
                               size_t key_len,
                               atoll_pin *pin,
                               atoll_bytes *value,
                               atoll_error **err);

/**
 * Reads the value of a key into a buffer of `capacity` bytes, as fresh as asked.
 *
 * `*len` is set to the length of the value, also with ATOLL_BUFFER_TOO_SMALL, when nothing is copied. `buffer` may be NULL
 * if `capacity` is 0. Otherwise as atoll_cluster_get(). Any thread; may wait for replicas.
 */
atoll_status atoll_cluster_get_into(atoll_cluster *cluster,
                                    const atoll_cluster_read_opts *options,
                                    const void *key,
                                    size_t key_len,
                                    void *buffer,
                                    size_t capacity,
                                    size_t *len,
                                    atoll_error **err);

/**
 * Reads many keys at once into one buffer, as fresh as asked: atoll_multi_get() for a cluster.
 *
 * The keys of a shard are read together from one copy; there is no common moment for several shards. Layout, ATOLL_BUFFER_TOO_SMALL
 * and `*needed` as for atoll_multi_get(), errors as for atoll_cluster_get(): one of them fails the call. Any thread; may wait for
 * replicas.
 */
atoll_status atoll_cluster_multi_get(atoll_cluster *cluster,
                                     const atoll_cluster_read_opts *options,
                                     const uint8_t *keys,
                                     const uint32_t *key_offsets,
                                     size_t n,
                                     uint8_t *values,
                                     size_t capacity,
                                     uint64_t *value_offsets,
                                     uint8_t *found,
                                     size_t *needed,
                                     atoll_error **err);

/**
 * Begins a scan of a range over all shards, in byte order. Free it with atoll_iter_free().
 *
 * `range` may be NULL; ATOLL_RANGE_REVERSE is ATOLL_E_UNSUPPORTED. The scan keeps what it reads; it may outlive the cluster. Any
 * thread.
 */
atoll_status atoll_cluster_scan(atoll_cluster *cluster,
                                const atoll_cluster_read_opts *options,
                                const atoll_range *range,
                                atoll_iter **iter,
                                atoll_error **err);

/**
 * Counts the keys of a cluster by looking at all of them. Any thread; takes as long as a scan.
 */
atoll_status atoll_cluster_count(atoll_cluster *cluster,
                                 const atoll_cluster_read_opts *options,
                                 uint64_t *count,
                                 atoll_error **err);

/**
 * Makes a session that has seen nothing, of no cluster yet. Free it with atoll_session_free(). Any thread.
 */
atoll_session *atoll_session_new(void);

/**
 * Frees a session; not while a call uses it. NULL is allowed. Any thread.
 */
void atoll_session_free(atoll_session *session);

/**
 * Asks from now on for what a token speaks of, too: of another session, program or language. An empty one asks for nothing.
 *
 * ATOLL_E_INVALID for bytes that are no token, or one of another cluster. Any thread.
 */
atoll_status atoll_session_see(const atoll_session *session,
                               const void *token,
                               size_t token_len,
                               atoll_error **err);

/**
 * Gives the token of everything the session has seen. Free `*token` with atoll_buf_free(). Any thread.
 */
atoll_status atoll_session_token(const atoll_session *session,
                                 atoll_buf **token,
                                 atoll_error **err);

/**
 * Gives a token that asks for what either of two asks for: of two writes, or of two programs. Either may be empty.
 *
 * Free `*token` with atoll_buf_free(). ATOLL_E_INVALID for tokens of different clusters, or bytes that are none. Any thread.
 */
atoll_status atoll_token_merge(const void *a,
                               size_t a_len,
                               const void *b,
                               size_t b_len,
                               atoll_buf **token,
                               atoll_error **err);

/**
 * Gives a key a value on its shard, as safely as asked.
 *
 * `token` may be NULL; otherwise it gets bytes that prove the write to later reads, in this or any other program and language, to be
 * freed with atoll_buf_free(). ATOLL_E_UNAVAILABLE: nothing was written. ATOLL_E_INDETERMINATE: it may have been. Any thread; waits
 * for devices and replicas.
 */
atoll_status atoll_cluster_put(atoll_cluster *cluster,
                               const atoll_cluster_write_opts *options,
                               const void *key,
                               size_t key_len,
                               const void *value,
                               size_t value_len,
                               atoll_buf **token,
                               atoll_error **err);

/**
 * Takes the value of a key away; a key without one is no error. The options' ttl_ms must be 0. Otherwise as atoll_cluster_put().
 */
atoll_status atoll_cluster_delete(atoll_cluster *cluster,
                                  const atoll_cluster_write_opts *options,
                                  const void *key,
                                  size_t key_len,
                                  atoll_buf **token,
                                  atoll_error **err);

/**
 * Applies a batch whole or not at all. Its keys must be of one slot: ATOLL_E_CROSS_SLOT otherwise. An empty one is ATOLL_E_INVALID.
 *
 * The options' ttl_ms must be 0: each put of the batch has its own. Otherwise as atoll_cluster_put().
 */
atoll_status atoll_cluster_write(atoll_cluster *cluster,
                                 const atoll_cluster_write_opts *options,
                                 const atoll_batch *batch,
                                 atoll_buf **token,
                                 atoll_error **err);

/**
 * Takes away the values of all keys in a range, and tells how many there were.
 *
 * Not one step: the keys go in groups, each as safe as asked before the next. What is written into the range meanwhile may
 * stay or go. After an error some may have gone: call it again. The options' ttl_ms, and the limit and flags of `range` but
 * ATOLL_RANGE_PREFIX, must be 0; `range` may be NULL for all keys. `token` as for atoll_cluster_put(). Any thread; takes as long
 * as a scan of the range and its deletions.
 */
atoll_status atoll_cluster_delete_range(atoll_cluster *cluster,
                                        const atoll_cluster_write_opts *options,
                                        const atoll_range *range,
                                        uint64_t *deleted,
                                        atoll_buf **token,
                                        atoll_error **err);

/**
 * Opens the store in the directory `path`, and makes it if it is not there.
 *
 * `options` may be NULL for the defaults. One process at a time has a store open for writing: the second one gets
 * ATOLL_E_LOCKED with the process id and host of the first. `*out` is NULL after an error. Close the handle with
 * atoll_db_close() and free it with atoll_db_free(). Any thread; blocks while a store that was not closed is
 * checked.
 */
atoll_status atoll_db_open(const char *path,
                           const atoll_options *options,
                           atoll_db **db,
                           atoll_error **err);

/**
 * Opens the store in the directory `path` for reading, beside the process that writes it or without one.
 *
 * It follows what the writer does: every read sees all that was acknowledged before. Any number of processes may do so; none
 * of them holds up the writer. Writes answer ATOLL_E_NOT_PRIMARY. ATOLL_E_UNAVAILABLE if the store was left by a power cut and
 * must be opened by a writer once, or if its writer stands still in the middle of opening it. Otherwise as atoll_db_open().
 */
atoll_status atoll_db_open_reader(const char *path,
                                  atoll_db **db,
                                  atoll_error **err);

/**
 * Makes everything durable and closes the store; later calls on the handle answer ATOLL_E_CLOSED.
 *
 * Snapshots, scans and transactions made from it answer ATOLL_E_CLOSED as well; values that are pinned stay until
 * their pin is reset. Closing twice is allowed. Any thread; waits for calls that are under way. If it fails,
 * nothing acknowledged is lost, and the store is checked when it is opened next.
 */
atoll_status atoll_db_close(atoll_db *db,
                            atoll_error **err);

/**
 * Frees the handle. NULL is allowed.
 *
 * In any order with the handles made from it: the last of them closes the store if nobody has, and then a failure
 * cannot be told: call atoll_db_close() first. Any thread.
 */
void atoll_db_free(atoll_db *db);

/**
 * Makes everything written before the call durable.
 *
 * `durable_lsn` may be NULL; it is set to the position below which everything has survived. Any thread; blocks on the
 * device.
 */
atoll_status atoll_sync(atoll_db *db,
                        uint64_t *durable_lsn,
                        atoll_error **err);

/**
 * Brings the tables of the store into as few runs as it can, now: scans and reads of older versions get faster, and
 * space of superseded values is given back. Background compaction does the same by and by.
 *
 * Any thread; blocks for as long as it takes, about a second for every few hundred MB. Reads and writes go on.
 */
atoll_status atoll_compact(atoll_db *db,
                           atoll_error **err);

/**
 * Returns the status that the failed call returned; ATOLL_OK for NULL.
 *
 * Any thread.
 */
atoll_status atoll_error_code(const atoll_error *error);

/**
 * Returns what went wrong, in UTF-8, with the next step where there is one; "" for NULL.
 *
 * The string belongs to the error and goes with it. Any thread.
 */
const char *atoll_error_message(const atoll_error *error);

/**
 * Returns the operating system's errno behind the error; 0 if there is none, and for NULL.
 *
 * Any thread.
 */
int32_t atoll_error_os_errno(const atoll_error *error);

/**
 * Frees an error. NULL is allowed.
 *
 * Any thread.
 */
void atoll_error_free(atoll_error *error);

/**
 * Tells how well a store is.
 *
 * Initialise `*health` with ATOLL_HEALTH_INIT. `reasons` may be NULL; otherwise it gets lines of text that say why the store is not
 * well and what to do, none if it is; free it with atoll_buf_free(). A store that was opened for reading is ATOLL_HEALTH_READ_ONLY.
 * Any thread; asks the file system how much room there is and waits for nothing else.
 */
atoll_status atoll_db_health(atoll_db *db,
                             atoll_health *health,
                             atoll_buf **reasons,
                             atoll_error **err);

/**
 * Tells how well a cluster is: atoll_db_health() for a cluster, ATOLL_HEALTH_FAILED if a shard takes no writes.
 */
atoll_status atoll_cluster_health(atoll_cluster *cluster,
                                  atoll_health *health,
                                  atoll_buf **reasons,
                                  atoll_error **err);

/**
 * Gives the figures of a store in the text format of Prometheus 0.0.4. Names are added, never renamed.
 *
 * Free `*text` with atoll_buf_free(). ATOLL_E_UNSUPPORTED for a store that was opened for reading: its writer has them. Any thread;
 * waits for nothing.
 */
atoll_status atoll_metrics(atoll_db *db,
                           atoll_buf **text,
                           atoll_error **err);

/**
 * Gives the figures of a cluster in the text format of Prometheus 0.0.4: atoll_metrics() for a cluster.
 */
atoll_status atoll_cluster_metrics(atoll_cluster *cluster,
                                   atoll_buf **text,
                                   atoll_error **err);

/**
 * Packs milliseconds since 1970 (48 bits) and a counter within that millisecond into a stamp; numeric order
 * is order of time.
 *
 * Any thread. ATOLL_E_INVALID for milliseconds that need more than 48 bits.
 */
atoll_status atoll_hlc_pack(uint64_t wall_ms,
                            uint16_t counter,
                            uint64_t *stamp,
                            atoll_error **err);

/**
 * Writes a stamp of a node as text into `buf` of `cap` bytes, without a NUL at the end:
 * 2026-11-23T02:00:00.123Z/0007@node. `*len` says how long it is.
 *
 * Any thread. ATOLL_BUFFER_TOO_SMALL if `cap` is less than `*len`; ATOLL_E_INVALID for a name that no vector
 * clock could have.
 */
atoll_status atoll_hlc_to_text(uint64_t stamp,
                               const void *node,
                               size_t node_len,
                               void *buf,
                               size_t cap,
                               size_t *len,
                               atoll_error **err);

/**
 * Reads the text of a stamp, and nothing else: no other zone, precision or case. `*node` is a view of
 * `text`.
 *
 * Any thread. ATOLL_E_INVALID naming the byte at which it goes wrong.
 */
atoll_status atoll_hlc_from_text(const void *text,
                                 size_t text_len,
                                 uint64_t *stamp,
                                 atoll_bytes *node,
                                 atoll_error **err);

/**
 * Writes the byte form of a stamp of a node. As atoll_hlc_to_text().
 */
atoll_status atoll_hlc_encode_into(uint64_t stamp,
                                   const void *node,
                                   size_t node_len,
                                   void *buf,
                                   size_t cap,
                                   size_t *len,
                                   atoll_error **err);

/**
 * Reads the byte form of a stamp. `*node` is a view of `encoded`.
 *
 * Any thread. ATOLL_E_CORRUPT for anything but the one form of a stamp.
 */
atoll_status atoll_hlc_decode(const void *encoded,
                              size_t encoded_len,
                              uint64_t *stamp,
                              atoll_bytes *node,
                              atoll_error **err);

/**
 * Compares two stamps in their byte form, by time and then by the bytes of the names: `*order` is -1, 0 or
 * 1. Allocates nothing.
 *
 * Any thread. ATOLL_E_CORRUPT if either is not the byte form of a stamp.
 */
atoll_status atoll_hlc_compare_encoded(const void *left,
                                       size_t left_len,
                                       const void *right,
                                       size_t right_len,
                                       int32_t *order,
                                       atoll_error **err);

/**
 * Makes the clock of a node: every stamp it gives is above `mark`, the last one that atoll_hlc_clock_send() told to persist; 0 for a
 * node that has never run.
 *
 * A peer's stamp more than `max_skew_ms` ahead of the wall clock is set aside; a mark is due every `reserve_ms`, which must be less. 0
 * and 0 stand for 500 and 200. Free it with atoll_hlc_clock_free(). Any thread. ATOLL_E_INVALID for other bounds.
 */
atoll_status atoll_hlc_clock_new(uint64_t mark,
                                 uint64_t max_skew_ms,
                                 uint64_t reserve_ms,
                                 atoll_hlc_clock **clock,
                                 atoll_error **err);

/**
 * Frees a clock; not while a call uses it. NULL is allowed. Any thread.
 */
void atoll_hlc_clock_free(atoll_hlc_clock *clock);

/**
 * Stamps an event of this node: later than every stamp it has given or observed.
 *
 * `wall_ms`: milliseconds since 1970, or ATOLL_WALL_NOW. `*persist` is 0, or a mark that must be durable before the stamp leaves the
 * process. `ahead_ms` may be NULL: by how much the stamp is ahead of the wall clock, 0 in health. Any thread. ATOLL_E_INVALID for
 * milliseconds that need more than 48 bits.
 */
atoll_status atoll_hlc_clock_send(const atoll_hlc_clock *clock,
                                  uint64_t wall_ms,
                                  uint64_t *stamp,
                                  uint64_t *persist,
                                  uint64_t *ahead_ms,
                                  atoll_error **err);

/**
 * Joins the stamp of a peer: every later stamp of this clock is above it.
 *
 * ATOLL_CONFLICT if it is further ahead of the wall clock than the bound: the clock is untouched, and what carries the stamp is to be
 * set aside and looked at. `wall_ms`, `*persist` and threads as for atoll_hlc_clock_send().
 */
atoll_status atoll_hlc_clock_observe(const atoll_hlc_clock *clock,
                                     uint64_t wall_ms,
                                     uint64_t stamp,
                                     uint64_t *persist,
                                     atoll_error **err);

/**
 * Tells the last stamp given or observed, and the mark that must be durable by now. Either may be NULL. Any thread.
 */
atoll_status atoll_hlc_clock_last(const atoll_hlc_clock *clock,
                                  uint64_t *last,
                                  uint64_t *mark,
                                  atoll_error **err);

/**
 * Encodes a signed integer of any width as a key, into `buf` of `cap` bytes; `*key_len` says how long it is:
 * 8 bytes for ATOLL_ENCODING_BINARY, at most 20 for ATOLL_ENCODING_DECIMAL.
 *
 * Any thread. ATOLL_BUFFER_TOO_SMALL if `cap` is less than `*key_len`.
 */
atoll_status atoll_encode_key_i64(int64_t value,
                                  uint32_t encoding,
                                  void *buf,
                                  size_t cap,
                                  size_t *key_len,
                                  atoll_error **err);

/**
 * As atoll_encode_key_i64(), for an unsigned integer. Equal numbers are equal keys, whatever their type; so
 * ATOLL_E_INVALID above 9223372036854775807, which no key can be.
 */
atoll_status atoll_encode_key_u64(uint64_t value,
                                  uint32_t encoding,
                                  void *buf,
                                  size_t cap,
                                  size_t *key_len,
                                  atoll_error **err);

/**
 * Encodes text as a key: its UTF-8 bytes, as they are. As atoll_encode_key_i64(), with ATOLL_E_INVALID for
 * bytes that are no UTF-8.
 */
atoll_status atoll_encode_key_text(const void *text,
                                   size_t text_len,
                                   void *buf,
                                   size_t cap,
                                   size_t *key_len,
                                   atoll_error **err);

/**
 * Encodes a UUID as a key: its 16 bytes in network order, which `uuid` points to. As atoll_encode_key_i64().
 */
atoll_status atoll_encode_key_uuid(const uint8_t *uuid,
                                   void *buf,
                                   size_t cap,
                                   size_t *key_len,
                                   atoll_error **err);

/**
 * Gives the bytes of a typed key, as they are stored and routed: the same in every language and in SQL.
 *
 * One part is a plain key; several are a tuple, ordered part by part, which may hold tuples between
 * ATOLL_KEY_BEGIN and ATOLL_KEY_END. `encoding`: ATOLL_ENCODING_BINARY, or ATOLL_ENCODING_DECIMAL for
 * integers as programs that hash str(id) have them (inside tuples they stay binary). Free `*key` with
 * atoll_buf_free(); it is NULL after an error. Any thread. ATOLL_E_INVALID for text that is no UTF-8, a UUID
 * that has not 16 bytes, tuples more than 32 deep, a begin without its end, and no parts at all.
 */
atoll_status atoll_encode_key(const atoll_key_part *parts,
                              size_t n,
                              uint32_t encoding,
                              atoll_buf **key,
                              atoll_error **err);

/**
 * As atoll_encode_key(), of a tuple whatever the number of its parts: one part is a tuple of one, none the
 * empty tuple.
 *
 * A tuple is a prefix of all that begin with its parts. Free `*key` with atoll_buf_free(). Any thread.
 */
atoll_status atoll_encode_key_tuple(const atoll_key_part *parts,
                                    size_t n,
                                    atoll_buf **key,
                                    atoll_error **err);

/**
 * Takes a composite key apart: `parts` of room for `max_n` get its parts, `*n` says how many there are.
 * Views of bytes, text and UUIDs belong to `*contents`: free it with atoll_buf_free() once they have served.
 *
 * Any thread. ATOLL_BUFFER_TOO_SMALL if there are more than `max_n`; `*n` says how many, `*contents` is
 * NULL. ATOLL_E_INVALID for bytes that are no composite key.
 */
atoll_status atoll_decode_key_tuple(const void *key,
                                    size_t key_len,
                                    atoll_key_part *parts,
                                    size_t max_n,
                                    size_t *n,
                                    atoll_buf **contents,
                                    atoll_error **err);

/**
 * Begins a bulk load into a store. Others read and write meanwhile. Free it with atoll_load_free(), which gives up one that was not finished.
 *
 * `*load` is NULL after an error. Any thread. ATOLL_E_NOT_PRIMARY for a replica, ATOLL_E_UNSUPPORTED for a store opened for reading.
 */
atoll_status atoll_load_begin(atoll_db *db,
                              atoll_load **load,
                              atoll_error **err);

/**
 * Adds a pair, whose key must be greater than every one before it; `ttl_ms` 0: the value stays.
 *
 * ATOLL_E_INVALID for a key that is not, or that is too long; ATOLL_E_DISK_FULL: the load can then only be freed. ATOLL_E_CLOSED once it has
 * been finished. One thread at a time; writes files.
 */
atoll_status atoll_load_put(atoll_load *load,
                            const void *key,
                            size_t key_len,
                            const void *value,
                            size_t value_len,
                            uint64_t ttl_ms,
                            atoll_error **err);

/**
 * Makes the pairs visible and durable, all of them at once or, after an error, none. They replace what the keys have by then.
 *
 * `keys` may be NULL; otherwise it gets their number. ATOLL_E_INVALID for a load into another store, or one of which a pair was refused;
 * ATOLL_E_CLOSED once it has been finished. One thread at a time for the load, any for the store; writers wait while its keys are entered.
 */
atoll_status atoll_load_finish(atoll_db *db,
                               atoll_load *load,
                               uint64_t *keys,
                               atoll_error **err);

/**
 * Frees a load; what was not finished is gone. NULL is allowed. Any thread, once no other call on it is under way.
 */
void atoll_load_free(atoll_load *load);

/**
 * Tells where a key lives: its slot, the shard that owns it, and where it is going.
 *
 * Any thread; allocates nothing. ATOLL_E_INVALID for a router that is no topology, and for a key outside its
 * domain.
 */
atoll_status atoll_router_locate(const atoll_router *router,
                                 const void *key,
                                 size_t key_len,
                                 atoll_location *location,
                                 atoll_error **err);

/**
 * Tells the shard that owns a key: atoll_router_locate() for those who need no more.
 *
 * Any thread; allocates nothing. Errors as for atoll_router_locate().
 */
atoll_status atoll_router_shard(const atoll_router *router,
                                const void *key,
                                size_t key_len,
                                uint32_t *shard,
                                atoll_error **err);

/**
 * Tells where slot number `slot` lives, from 0 to atoll_router_places() - 1.
 *
 * Any thread; allocates nothing. ATOLL_END past the last one, ATOLL_E_INVALID for a router that is no
 * topology.
 */
atoll_status atoll_router_slot_at(const atoll_router *router,
                                  uint32_t slot,
                                  atoll_location *location,
                                  atoll_error **err);

/**
 * Returns how many shards a topology has, retired ones included: their numbers are 0 to one less. 0 for
 * routers that are no topology, and for NULL. Any thread.
 */
uint32_t atoll_router_shard_count(const atoll_router *router);

/**
 * Tells the nodes of a shard by their numbers, preferred primary first, and in `*n` how many there are.
 *
 * `nodes` has room for `max_n`. Any thread; allocates nothing. ATOLL_BUFFER_TOO_SMALL if there are more
 * (`*n` says how many, and nothing was written), ATOLL_END for a number that no shard has, ATOLL_E_INVALID
 * for a router that is no topology.
 */
atoll_status atoll_router_shard_nodes(const atoll_router *router,
                                      uint32_t shard,
                                      uint32_t *nodes,
                                      size_t max_n,
                                      size_t *n,
                                      atoll_error **err);

/**
 * Opens the store in the directory `path` as a copy of another one: it takes what atoll_log_apply() gives it, and no writes.
 *
 * Made if it is not there. Reads, scans and snapshots work as on any store; writes answer ATOLL_E_NOT_PRIMARY. Opened with
 * atoll_db_open() later it becomes a store of its own, and takes no more frames. Otherwise as atoll_db_open().
 */
atoll_status atoll_db_open_replica(const char *path,
                                   const atoll_options *options,
                                   atoll_db **db,
                                   atoll_error **err);

/**
 * Follows the log of `db` from the position `from_lsn` on: 0 for all there is, the `next_lsn` of an earlier
 * atoll_log_next() to go on behind it, ATOLL_LOG_FROM_NOW for what is written from now on.
 *
 * ATOLL_E_TOO_OLD if that part of the log is gone: scan the store instead, and go on from its snapshot's position.
 * ATOLL_E_INVALID past the end, ATOLL_E_NOT_PRIMARY for a database opened with atoll_db_open_reader(). Any thread.
 * Free it with atoll_log_free(), in any order with the database.
 */
atoll_status atoll_log_open(atoll_db *db,
                            uint64_t from_lsn,
                            atoll_log_reader **reader,
                            atoll_error **err);

/**
 * Gives the next records as one frame, about `max_bytes` of them and at least one.
 *
 * `*records` belongs to the reader and is valid until the next call on it; look into it with atoll_log_entry_next(), keep or
 * send it as it is, apply it with atoll_log_apply(). `*first_lsn` and `*next_lsn` may be NULL: the positions it begins at and
 * goes on at. Waits up to `timeout_ms` milliseconds for something to come, below 0 without end, 0 not at all: ATOLL_TIMEOUT
 * then, also after atoll_log_interrupt(). What is given may not be durable yet: a power cut can take it back. ATOLL_E_CLOSED
 * once the store has been closed, also for a call that is waiting. One thread at a time.
 */
atoll_status atoll_log_next(atoll_log_reader *reader,
                            size_t max_bytes,
                            int64_t timeout_ms,
                            atoll_bytes *records,
                            uint64_t *first_lsn,
                            uint64_t *next_lsn,
                            atoll_error **err);

/**
 * Returns a descriptor that poll, epoll or an event loop shows as readable when atoll_log_next() has something to give, or
 * to say; -1 for NULL.
 *
 * It belongs to the reader: do not read, write or close it. Any thread.
 */
int32_t atoll_log_fd(const atoll_log_reader *reader);

/**
 * Ends an atoll_log_next() that is waiting with ATOLL_TIMEOUT, or the next one that would wait. NULL is allowed.
 *
 * Any thread, as long as the reader has not been freed.
 */
void atoll_log_interrupt(const atoll_log_reader *reader);

/**
 * Ends a reader and lets the log go. NULL is allowed; its descriptor and what it has lent must not be used any more.
 *
 * Any thread, also after the store has been closed and freed.
 */
void atoll_log_free(atoll_log_reader *reader);

/**
 * Applies a frame of another store's log to `replica`, which atoll_db_open_replica() has opened.
 *
 * A frame may come twice, or overlap with others: what is there already is passed over. `*applied_lsn` may be NULL; it is
 * set to the position the copy has got to, which is where its source goes on. Not durable before atoll_sync().
 * ATOLL_E_INVALID if something before the frame is missing, or it is of another kind of store; ATOLL_E_CORRUPT for bytes
 * that are no sound frame; ATOLL_E_STALE_EPOCH if the copy has gone on by itself. Nothing of a refused frame is applied.
 * ATOLL_E_DISK_FULL may leave its first records applied: give it again once there is space.
 * Any thread.
 */
atoll_status atoll_log_apply(atoll_db *replica,
                             const void *records,
                             size_t len,
                             uint64_t *applied_lsn,
                             atoll_error **err);

/**
 * Gives the next write in a frame; ATOLL_END behind the last one.
 *
 * `records` is a frame from atoll_log_next(), wherever it has been since. Its views point into the frame. `cursor` starts as
 * all zeros. ATOLL_E_CORRUPT for bytes that are no sound frame. ATOLL_E_UNSUPPORTED where pairs were loaded in bulk, which
 * are not in the log: the cursor stands behind that place. Any thread; nothing but the arguments is used.
 */
atoll_status atoll_log_entry_next(const void *records,
                                  size_t len,
                                  atoll_log_cursor *cursor,
                                  atoll_log_entry *entry,
                                  atoll_error **err);

/**
 * Hands what the library has to say, from now on and from every store and cluster of the process, to `function`; NULL: to nobody, which is
 * how it begins.
 *
 * `max_level`: ATOLL_LOG_LEVEL_ERROR to ATOLL_LOG_LEVEL_DEBUG, and what is more urgent. `ctx` is handed to `function`, and let go of by `ctx_free`
 * (may be NULL) exactly once: when another function takes over, after the last call, or when this call fails. No thread of the engine waits for
 * `function`: if it is too slow, messages are dropped and their number is told. Any thread; waits until the function that was set before has been handed
 * all its messages. ATOLL_E_BUSY from within that function.
 */
atoll_status atoll_set_logger(atoll_logger_fn function,
                              void *ctx,
                              atoll_ctx_free_fn ctx_free,
                              uint32_t max_level,
                              atoll_error **err);

/**
 * Copies a store as it is at one instant into the directory `target`, which is missing, empty or an earlier backup of the same store:
 * then only what is new is copied. Readers and writers go on.
 *
 * `flags`: 0 or ATOLL_BACKUP_LINK. `progress` may be NULL; it is told bytes. `*json` gets what was copied; free it with
 * atoll_buf_free(). ATOLL_E_INVALID if `target` is something else's. Any thread; takes as long as copying takes.
 */
atoll_status atoll_db_backup(atoll_db *db,
                             const char *target,
                             uint32_t flags,
                             atoll_progress_fn progress,
                             void *ctx,
                             atoll_buf **json,
                             atoll_error **err);

/**
 * Copies a cluster, each shard once and all of them as they are at one instant: atoll_db_backup() for a cluster.
 */
atoll_status atoll_cluster_backup(atoll_cluster *cluster,
                                  const char *target,
                                  uint32_t flags,
                                  atoll_progress_fn progress,
                                  void *ctx,
                                  atoll_buf **json,
                                  atoll_error **err);

/**
 * Makes a store or a cluster, whichever was copied, in `path`, which is missing or empty, of the backup in the directory `backup`.
 *
 * It appears at the end, after everything has been checked. It is a new life: what was written to the old one after the copy is not in
 * it, and a token that speaks of it is ATOLL_E_WRITE_LOST.
 * `progress` may be NULL; it is told bytes. `*json` gets what was restored; free it with atoll_buf_free(). ATOLL_E_INVALID for what is no
 * backup or a path that is not empty, ATOLL_E_CORRUPT for one that is damaged: there is nothing in `path` then. Any thread.
 */
atoll_status atoll_restore(const char *backup,
                           const char *path,
                           atoll_progress_fn progress,
                           void *ctx,
                           atoll_buf **json,
                           atoll_error **err);

/**
 * Compares every checksum of the backup in a directory. `*damaged` gets the number of places that are damaged, `*json` a report that
 * names them; free it with atoll_buf_free(). ATOLL_OK whatever was found. `progress` may be NULL; it is told bytes. Any thread.
 */
atoll_status atoll_backup_verify(const char *backup,
                                 atoll_progress_fn progress,
                                 void *ctx,
                                 uint64_t *damaged,
                                 atoll_buf **json,
                                 atoll_error **err);

/**
 * Reads all of an open store and compares every checksum and every entry of its index.
 *
 * `*damaged` gets the number of places that are damaged, `*json` a report that names them; free it with atoll_buf_free(). ATOLL_OK
 * whatever was found. `progress` may be NULL; it is told bytes. Any thread; readers and writers go on.
 */
atoll_status atoll_db_verify(atoll_db *db,
                             atoll_progress_fn progress,
                             void *ctx,
                             uint64_t *damaged,
                             atoll_buf **json,
                             atoll_error **err);

/**
 * Reads all replicas of a cluster and compares them with each other: atoll_db_verify() for a cluster. What replicas disagree about counts as
 * damaged.
 */
atoll_status atoll_cluster_verify(atoll_cluster *cluster,
                                  atoll_progress_fn progress,
                                  void *ctx,
                                  uint64_t *damaged,
                                  atoll_buf **json,
                                  atoll_error **err);

/**
 * Saves what can be saved of the damaged store in the directory `source`, which is only read and must be open nowhere, into a new one in
 * `target`, which is missing or empty.
 *
 * `*lost` gets the number of ranges that could not be saved, `*json` a report that names them; free it with atoll_buf_free(). `progress` may be
 * NULL; it is told files. ATOLL_E_LOCKED, ATOLL_E_INVALID for what is no store: after an error remove `target`. Any thread.
 */
atoll_status atoll_repair(const char *source,
                          const char *target,
                          atoll_progress_fn progress,
                          void *ctx,
                          uint64_t *lost,
                          atoll_buf **json,
                          atoll_error **err);

/**
 * Makes options that set nothing. Free them with atoll_options_free().
 *
 * Any thread.
 */
atoll_options *atoll_options_new(void);

/**
 * Frees options. NULL is allowed. What was opened with them keeps what it needs.
 *
 * Any thread.
 */
void atoll_options_free(atoll_options *options);

/**
 * Sets an option by its name: atoll_options_set(o, "segment_max_bytes", "16MiB", &err).
 *
 * Setting it again replaces the value. One thread at a time. ATOLL_E_INVALID for a name or a value that the table
 * does not have; the message names what would be right, and nothing has changed.
 */
atoll_status atoll_options_set(atoll_options *options,
                               const char *name,
                               const char *value,
                               atoll_error **err);

/**
 * Returns how many options there are, of stores and of clusters. Any thread.
 */
size_t atoll_options_count(void);

/**
 * Tells option number `i`, from 0 to atoll_options_count() - 1.
 *
 * Any thread. ATOLL_END past the last one.
 */
atoll_status atoll_options_describe(size_t i, atoll_option_info *info);

/**
 * Tells what adding a node at the end of the list would move, as JSON: algorithm, change, moved (fraction of
 * all keys whose owner changes), minimum (the least that any method could move), ratio,
 * moved_between_old_nodes, nodes, and slots for a topology. Nothing changes.
 *
 * `json` and `after` may be NULL; otherwise they get the plan, to be freed with atoll_buf_free(), and the
 * router with the node, to be freed with atoll_router_free(): of a topology its next version, in which the
 * node is a member and the slots of the plan are on their way. Both are NULL after an error. Any thread;
 * time grows with points and slots. ATOLL_E_INVALID for a name that is there already, for ranges, and for
 * routers without named nodes.
 */
atoll_status atoll_router_plan_add(const atoll_router *router,
                                   const void *node,
                                   size_t node_len,
                                   uint32_t weight,
                                   atoll_buf **json,
                                   atoll_router **after,
                                   atoll_error **err);

/**
 * As atoll_router_plan_add(), of taking a node away. ATOLL_E_INVALID for a name that is not there, and for
 * the last node.
 */
atoll_status atoll_router_plan_remove(const atoll_router *router,
                                      const void *node,
                                      size_t node_len,
                                      atoll_buf **json,
                                      atoll_router **after,
                                      atoll_error **err);

/**
 * As atoll_router_plan_add(), of giving a node another weight, 0 for one that is to be empty.
 * ATOLL_E_INVALID for a name that is not there, and for algorithms without weights.
 */
atoll_status atoll_router_plan_reweight(const atoll_router *router,
                                        const void *node,
                                        size_t node_len,
                                        uint32_t weight,
                                        atoll_buf **json,
                                        atoll_router **after,
                                        atoll_error **err);

/**
 * As atoll_router_plan_add(), of a change in JSON, as plans show it:
 * {"add":{"name":"d","weight":2,"zone":"x","rack":"1"}}, {"remove":"a"},
 * {"reweight":{"node":"a","weight":3}}. ATOLL_E_INVALID for other changes too.
 */
atoll_status atoll_router_plan(const atoll_router *router,
                               const void *change,
                               size_t change_len,
                               atoll_buf **json,
                               atoll_router **after,
                               atoll_error **err);

/**
 * Makes an empty pin. Free it with atoll_pin_free().
 *
 * Any thread.
 */
atoll_pin *atoll_pin_new(void);

/**
 * Lets go of the value; its view must not be used any more. NULL is allowed.
 *
 * One thread at a time.
 */
void atoll_pin_reset(atoll_pin *pin);

/**
 * Frees a pin; the view of its value must not be used any more. NULL is allowed.
 *
 * Any thread, also after the store has been closed and freed.
 */
void atoll_pin_free(atoll_pin *pin);

/**
 * Tells which version of its key a pin holds.
 *
 * `lsn`: position in the log; `hlc`: time stamp of the write; `expires_at_ms`: when the value is gone, in milliseconds
 * since 1970, 0 if it stays. Each may be NULL. Position and stamp together name a version: see atoll_compare_and_set().
 * ATOLL_NOT_FOUND if the pin is empty. One thread at a time.
 */
atoll_status atoll_pin_version(const atoll_pin *pin,
                               uint64_t *lsn,
                               uint64_t *hlc,
                               uint64_t *expires_at_ms);

/**
 * Reads the value of a key without copying it: `*value` is a view that `pin` holds, until the pin is used for another
 * read, reset or freed.
 *
 * What the pin held before is let go. ATOLL_NOT_FOUND for a key without a value; `*value` is left alone then. Any thread,
 * each with a pin of its own; may wait for the disk.
 */
atoll_status atoll_get(atoll_db *db,
                       const atoll_read_opts *options,
                       const void *key,
                       size_t key_len,
                       atoll_pin *pin,
                       atoll_bytes *value,
                       atoll_error **err);

/**
 * Reads the value of a key into a buffer of `capacity` bytes.
 *
 * `*len` is set to the length of the value, also with ATOLL_BUFFER_TOO_SMALL, when nothing is copied. `buffer` may be NULL
 * if `capacity` is 0. ATOLL_NOT_FOUND for a key without a value. Any thread; may wait for the disk.
 */
atoll_status atoll_get_into(atoll_db *db,
                            const atoll_read_opts *options,
                            const void *key,
                            size_t key_len,
                            void *buffer,
                            size_t capacity,
                            size_t *len,
                            atoll_error **err);

/**
 * Reads many keys at once, with their memory accesses overlapping, into one buffer.
 *
 * Key i is the bytes from key_offsets[i] to key_offsets[i + 1] of `keys`; there are `n` + 1 offsets, the first is 0. Value i
 * is the bytes from value_offsets[i] to value_offsets[i + 1] of `values` (`n` + 1 offsets are written), and found[i] is 1 if
 * the key has a value. `*needed` is set to the bytes of all values; if that is more than `capacity` the call answers
 * ATOLL_BUFFER_TOO_SMALL, found and value_offsets are right, and `values` holds nothing of use. The values are those of `n`
 * single reads: for one common moment give a snapshot. Any thread; may wait for the disk.
 */
atoll_status atoll_multi_get(atoll_db *db,
                             const atoll_read_opts *options,
                             const uint8_t *keys,
                             const uint32_t *key_offsets,
                             size_t n,
                             uint8_t *values,
                             size_t capacity,
                             uint64_t *value_offsets,
                             uint8_t *found,
                             size_t *needed,
                             atoll_error **err);

/**
 * Returns the name of built-in rule number `i`, from 0 on; NULL past the last one.
 *
 * The string lives as long as the library stays loaded. Any thread.
 */
const char *atoll_resolver_builtin_name(size_t i);

/**
 * Gives a built-in rule by its name: lww (the latest write), node_priority, fields, set_union, counter, max,
 * min, siblings (leaves the choice to the reader).
 *
 * `*resolver` is NULL after an error; free it with atoll_resolver_free(). Any thread. ATOLL_E_INVALID for an
 * unknown name; the message lists those there are.
 */
atoll_status atoll_resolver_builtin(const char *name,
                                    atoll_resolver **resolver,
                                    atoll_error **err);

/**
 * Gives the rule node_priority with an order of nodes, `n` packed names, the most important first: the write
 * of the first node in the list wins.
 *
 * `*resolver` is NULL after an error; free it with atoll_resolver_free(). Any thread.
 */
atoll_status atoll_resolver_node_priority(const uint8_t *names,
                                          const uint32_t *name_offsets,
                                          size_t n,
                                          atoll_resolver **resolver,
                                          atoll_error **err);

/**
 * Makes a rule of a function of the program. `name` is the rule's, in messages; `ctx` is handed to every
 * call.
 *
 * `ctx_free` may be NULL; otherwise it is called exactly once with `ctx`: when the rule is no longer in use
 * after atoll_resolver_free(), and before this returns if it fails. `*resolver` is NULL after an error. Any
 * thread. ATOLL_E_INVALID without a function, for an empty name, and for that of a built-in rule.
 */
atoll_status atoll_resolver_new(const char *name,
                                atoll_resolve_fn function,
                                void *ctx,
                                atoll_ctx_free_fn ctx_free,
                                atoll_resolver **resolver,
                                atoll_error **err);

/**
 * Returns the name of a rule; "" for NULL. The string belongs to the resolver. Any thread.
 */
const char *atoll_resolver_name(const atoll_resolver *resolver);

/**
 * Frees a resolver. NULL is allowed. What was opened with it keeps the rule.
 *
 * Any thread, once no other call on it is under way.
 */
void atoll_resolver_free(atoll_resolver *resolver);

/**
 * Tells what `n` packed versions of a key come to: version i is
 * versions[version_offsets[i]..version_offsets[i + 1]], in the bytes that atoll_version_encode() gives.
 * `*resolved` holds one version, or several where the rule leaves the choice to the reader; none if `n` is
 * 0. One that was merged carries the stamp and the name of the latest of its parts.
 *
 * A rule that is a function is not asked about fewer than two different versions. Free `*resolved` with
 * atoll_versions_free(); it is NULL after an error. Nothing stored changes. Any thread, also inside a
 * resolver's function. ATOLL_E_CALLBACK if a function could not decide, ATOLL_E_INVALID if a built-in rule
 * cannot read a value, ATOLL_E_CORRUPT for bytes that are no version.
 */
atoll_status atoll_resolver_resolve(const atoll_resolver *resolver,
                                    const void *key,
                                    size_t key_len,
                                    const uint8_t *versions,
                                    const uint32_t *version_offsets,
                                    size_t n,
                                    atoll_versions **resolved,
                                    atoll_error **err);

/**
 * Gives the value as a user reads it, where the rule keeps more in it than that: of `fields` the plain JSON
 * object, of `counter` the number. For other rules the value itself.
 *
 * Free `*presented` with atoll_buf_free(). Any thread. ATOLL_E_INVALID if the value is not one of this
 * rule's.
 */
atoll_status atoll_resolver_present(const atoll_resolver *resolver,
                                    const void *value,
                                    size_t value_len,
                                    atoll_buf **presented,
                                    atoll_error **err);

/**
 * Searches for versions on which a rule breaks what every rule owes: the same result each time, in any
 * order, in any grouping, and with repetitions. `*counter_example` is NULL if none was found, otherwise a
 * text that shows the smallest.
 *
 * Values are drawn from `n` packed ones that the rule can read (value i is
 * values[value_offsets[i]..value_offsets[i + 1]]); few and different ones find more. The same `seed`
 * searches the same `cases` inputs; 0 cases stand for 2,000. It cannot prove a rule right. Free
 * `*counter_example` with atoll_buf_free(). Any thread; takes as long as the rule takes for some thirty
 * calls a case.
 */
atoll_status atoll_resolver_check(const atoll_resolver *resolver,
                                  uint64_t seed,
                                  uint32_t cases,
                                  const uint8_t *values,
                                  const uint32_t *value_offsets,
                                  size_t n,
                                  atoll_buf **counter_example,
                                  atoll_error **err);

/**
 * Tells which node owns a key: its number, for atoll_router_node_at().
 *
 * `key` is encoded, as for all look-ups (atoll_encode_key_i64() and its neighbours; bytes and text are as
 * they are). Any thread; allocates nothing. ATOLL_E_INVALID where answers are numbers (use
 * atoll_router_number()), and for a key outside the domain of a range topology.
 */
atoll_status atoll_router_owner(const atoll_router *router,
                                const void *key,
                                size_t key_len,
                                uint32_t *node,
                                atoll_error **err);

/**
 * Tells the name of the node that owns a key: a view, valid until the router is freed.
 *
 * Any thread; allocates nothing. Errors as for atoll_router_owner().
 */
atoll_status atoll_router_node(const atoll_router *router,
                               const void *key,
                               size_t key_len,
                               atoll_bytes *name,
                               atoll_error **err);

/**
 * Tells the first `max_n` distinct nodes of a key by their numbers, owner first, and in `*n` how many there
 * are: fewer when there are fewer.
 *
 * `nodes` has room for `max_n`. Any thread; allocates nothing but a list that each thread keeps.
 * ATOLL_E_INVALID for more than one node of an algorithm that gives one (modulo, jump, range), and as for
 * atoll_router_owner().
 */
atoll_status atoll_router_owners(const atoll_router *router,
                                 const void *key,
                                 size_t key_len,
                                 size_t max_n,
                                 uint32_t *nodes,
                                 size_t *n,
                                 atoll_error **err);

/**
 * Gives the names of the first `n` distinct nodes of a key, the owner first, into `names`; `*found` is how
 * many there are.
 *
 * Views last as long as the router. Otherwise as atoll_router_owners().
 */
atoll_status atoll_router_nodes(const atoll_router *router,
                                const void *key,
                                size_t key_len,
                                atoll_bytes *names,
                                size_t n,
                                size_t *found,
                                atoll_error **err);

/**
 * Tells the number of the place of a key: bucket (modulo, jump), range, slot (slots, redis), token
 * (cassandra, signed), otherwise the number of the owner.
 *
 * Any thread; allocates nothing. ATOLL_E_INVALID for a key outside the domain of a range topology.
 */
atoll_status atoll_router_number(const atoll_router *router,
                                 const void *key,
                                 size_t key_len,
                                 int64_t *number,
                                 atoll_error **err);

/**
 * Tells the bucket of a number that is spread evenly over 64 bits: `jump` as its paper has it.
 *
 * Any thread; allocates nothing. ATOLL_E_INVALID for every other algorithm.
 */
atoll_status atoll_router_bucket_of(const atoll_router *router,
                                    uint64_t number,
                                    uint32_t *bucket,
                                    atoll_error **err);

/**
 * Routes `n` packed keys: key i is keys[key_offsets[i]..key_offsets[i + 1]], `answers[i]` gets the number of
 * its owner, or where the router has no named nodes that of its place (atoll_router_number()).
 *
 * `key_offsets` has n + 1 entries, ascending from 0; `answers` has room for n. Any thread; allocates
 * nothing. ATOLL_E_INVALID for offsets that descend, and for a key outside the domain of a range topology;
 * some of `answers` may have been written then.
 */
atoll_status atoll_router_route_many(const atoll_router *router,
                                     const uint8_t *keys,
                                     const uint32_t *key_offsets,
                                     size_t n,
                                     int64_t *answers,
                                     atoll_error **err);

/**
 * Begins the description of a router: "slots", "ring", "range", "modulo", "jump", "hrw", "maglev", "ketama",
 * "nginx", "redis" or "cassandra". Free it with atoll_router_spec_free().
 *
 * Any thread. ATOLL_E_INVALID for another algorithm; the message lists them.
 */
atoll_status atoll_router_spec_new(const char *algorithm,
                                   atoll_router_spec **spec,
                                   atoll_error **err);

/**
 * Frees a description. NULL is allowed. Routers made from it stay. Any thread.
 */
void atoll_router_spec_free(atoll_router_spec *spec);

/**
 * Sets an option of a router by its name.
 *
 * "hash": "xxh3", "xxh64", "md5", "sha1", "crc32", "murmur3". "encoding": "binary" or "decimal", how
 * integers become bytes. "locality": the part of a key that decides: "none" (all of it), "tag" (what stands
 * in {braces}) or "prefix:BYTES". "vnodes": points a node and weight. "table_size": of maglev, a prime.
 * "slots", "replicas": of slots. "buckets": numbers in place of nodes. An option that the algorithm does not
 * have is refused when the router is made. One thread at a time.
 */
atoll_status atoll_router_spec_set(atoll_router_spec *spec,
                                   const char *name,
                                   const char *value,
                                   atoll_error **err);

/**
 * Adds a node, in the order that counts for modulo, jump, range, ketama and nginx.
 *
 * `weight` 1 is usual; 0 takes the node out of use. `zone` and `rack` say where copies should be apart, for
 * slots; each may be NULL. One thread at a time.
 */
atoll_status atoll_router_spec_add_node(atoll_router_spec *spec,
                                        const void *node,
                                        size_t node_len,
                                        uint32_t weight,
                                        const char *zone,
                                        const char *rack,
                                        atoll_error **err);

/**
 * Adds a split key, encoded, in ascending order: `range` alone. The key is the first of the range after it.
 * One thread at a time.
 */
atoll_status atoll_router_spec_add_split(atoll_router_spec *spec,
                                         const void *key,
                                         size_t key_len,
                                         atoll_error **err);

/**
 * Makes a router. Free it with atoll_router_free(). `*router` is NULL after an error.
 *
 * The description stays as it is. One thread at a time on the description.
 */
atoll_status atoll_router_new(const atoll_router_spec *spec,
                              atoll_router **router,
                              atoll_error **err);

/**
 * Makes a router from its bytes, or from those of a topology: of atoll_router_encode(), of another language,
 * or of SQL.
 *
 * ATOLL_E_CORRUPT if they are damaged, ATOLL_E_UNSUPPORTED for a format that this library does not know. Any
 * thread.
 */
atoll_status atoll_router_decode(const void *data,
                                 size_t len,
                                 atoll_router **router,
                                 atoll_error **err);

/**
 * Makes a router from its JSON, as atoll_router_to_json() writes it. Any thread.
 */
atoll_status atoll_router_from_json(const char *json, atoll_router **router, atoll_error **err);

/**
 * Frees a router. NULL is allowed. Any thread; the names it has answered with go with it.
 */
void atoll_router_free(atoll_router *router);

/**
 * Gives the bytes of a router, which every language and SQL can read. Free `*data` with atoll_buf_free().
 * Any thread.
 */
atoll_status atoll_router_encode(const atoll_router *router,
                                 atoll_buf **data,
                                 atoll_error **err);

/**
 * Gives a router as JSON, for people and for atoll_router_from_json(). Free `*json` with atoll_buf_free().
 * Any thread.
 */
atoll_status atoll_router_to_json(const atoll_router *router,
                                  atoll_buf **json,
                                  atoll_error **err);

/**
 * Returns how many nodes a router has; 0 if it answers with numbers, and for NULL. Any thread.
 */
size_t atoll_router_node_count(const atoll_router *router);

/**
 * Tells node number `i`, from 0 to atoll_router_node_count() - 1: its name, a view that lasts as long as the
 * router, and its weight. Each may be NULL.
 *
 * Any thread. ATOLL_END past the last one.
 */
atoll_status atoll_router_node_at(const atoll_router *router,
                                  size_t i,
                                  atoll_bytes *name,
                                  uint32_t *weight);

/**
 * Returns the number of places that numbers run through from 0: buckets, ranges, slots or nodes; 0 for
 * tokens, which are any 64-bit number, and for NULL. Any thread.
 */
uint32_t atoll_router_places(const atoll_router *router);

/**
 * Returns the version of the topology behind a router of slots, which grows with every change; 0 for other
 * routers. Any thread.
 */
uint64_t atoll_router_epoch(const atoll_router *router);

/**
 * Returns the name of the algorithm of a router; "" for NULL.
 *
 * The string lives as long as the library stays loaded. Any thread.
 */
const char *atoll_router_algorithm(const atoll_router *router);

/**
 * Returns how a router wants integers encoded: ATOLL_ENCODING_BINARY or ATOLL_ENCODING_DECIMAL. Any thread.
 */
uint32_t atoll_router_encoding(const atoll_router *router);

/**
 * As atoll_router_node_at(), with all that is known of the node.
 *
 * The views in `node` are valid until the router is freed. Any thread. ATOLL_END past the last one.
 */
atoll_status atoll_router_node_info(const atoll_router *router,
                                    size_t i,
                                    atoll_node *node,
                                    atoll_error **err);

/**
 * Begins a scan of a range, at the options' snapshot or at one of its own taken now. Free it with atoll_iter_free().
 *
 * `options` and `range` may be NULL. `*iter` is NULL after an error. Any thread; the first scan after many writes sorts them,
 * which takes a moment.
 */
atoll_status atoll_scan(atoll_db *db,
                        const atoll_read_opts *options,
                        const atoll_range *range,
                        atoll_iter **iter,
                        atoll_error **err);

/**
 * Goes to `key`, or to the next one there is in the direction of the scan, within its range. The limit counts anew.
 *
 * What the last call has lent must not be used any more. One thread at a time. ATOLL_E_UNSUPPORTED for a scan of a
 * transaction or of a cluster.
 */
atoll_status atoll_iter_seek(atoll_iter *iter,
                             const void *key,
                             size_t key_len,
                             atoll_error **err);

/**
 * Gives the next entry. Its views are valid until the next call on the scan.
 *
 * ATOLL_END after the last one. One thread at a time. Each call costs a crossing of the boundary: atoll_iter_next_page() and
 * atoll_iter_next_packed() are several times as fast.
 */
atoll_status atoll_iter_next(atoll_iter *iter,
                             atoll_kv *entry,
                             atoll_error **err);

/**
 * Gives the next entries, at most `max_entries` of them or until they have `max_bytes` of keys and values, and at least one.
 *
 * `*entries` points to `*n` entries that belong to the scan; they and their views are valid until the next call on it.
 * ATOLL_END after the last one, with `*n` 0. One thread at a time.
 */
atoll_status atoll_iter_next_page(atoll_iter *iter,
                                  size_t max_entries,
                                  size_t max_bytes,
                                  const atoll_kv **entries,
                                  size_t *n,
                                  atoll_error **err);

/**
 * Copies the next entries into `buffer`: key, value, key, value, …
 *
 * offsets[0] is 0; entry i has its key from offsets[2 i] to offsets[2 i + 1] and its value from there to offsets[2 i + 2]; so
 * there is room for 2 `max_entries` + 1 offsets. `*n` is set to the number of entries. ATOLL_END after the last one. If not even
 * the next entry fits: ATOLL_BUFFER_TOO_SMALL, with the bytes it needs in `*needed`; it comes first next time. One thread at a
 * time.
 */
atoll_status atoll_iter_next_packed(atoll_iter *iter,
                                    uint8_t *buffer,
                                    size_t capacity,
                                    uint32_t *offsets,
                                    size_t max_entries,
                                    size_t *n,
                                    size_t *needed,
                                    atoll_error **err);

/**
 * Ends a scan. NULL is allowed; what it has lent must not be used any more.
 *
 * Any thread, also after the store has been closed and freed.
 */
void atoll_iter_free(atoll_iter *iter);

/**
 * Estimates how many keys and bytes a range holds, from about 4 MiB of samples.
 *
 * `range` may be NULL for all; its flags may be ATOLL_RANGE_PREFIX, its limit must be 0. Initialise `*answer` with
 * ATOLL_APPROXIMATE_INIT. Any thread; takes some milliseconds.
 */
atoll_status atoll_count_approximate(atoll_db *db,
                                     const atoll_range *range,
                                     atoll_approximate *answer,
                                     atoll_error **err);

/**
 * Makes the set of a key that was never written. Free it with atoll_siblings_free(). Any thread.
 */
atoll_siblings *atoll_siblings_new(void);

/**
 * Frees a set; not while a call uses it. NULL is allowed. Any thread.
 */
void atoll_siblings_free(atoll_siblings *siblings);

/**
 * Reads the bytes of a set. `*siblings` is NULL after an error; free it with atoll_siblings_free(). Any thread.
 * ATOLL_E_CORRUPT for anything but the one form of a set.
 */
atoll_status atoll_siblings_decode(const void *encoded,
                                   size_t encoded_len,
                                   atoll_siblings **siblings,
                                   atoll_error **err);

/**
 * Gives the bytes of a set, the same in every language. Free `*encoded` with atoll_buf_free(). One thread at a time.
 */
atoll_status atoll_siblings_encode(const atoll_siblings *siblings,
                                   atoll_buf **encoded,
                                   atoll_error **err);

/**
 * Gives the bytes of the context of all that was seen of the key: what a write that replaces the present values carries. Free
 * `*context` with atoll_buf_free(). One thread at a time.
 */
atoll_status atoll_siblings_context(const atoll_siblings *siblings,
                                    atoll_buf **context,
                                    atoll_error **err);

/**
 * Gives the versions that stand side by side, deletions too, in the order of their writers; none for a key that was never written.
 * Free `*versions` with atoll_versions_free(). One thread at a time.
 */
atoll_status atoll_siblings_versions(const atoll_siblings *siblings,
                                     atoll_versions **versions,
                                     atoll_error **err);

/**
 * A write of this node: `version` replaces exactly what its context has seen; an empty context replaces nothing.
 *
 * Its sequence must be new for its node and incarnation, its stamp above those it replaces. `encoded` may be NULL; otherwise it gets
 * the bytes to ship to other nodes, as atoll_version_encode() gives them, to be freed with atoll_buf_free(). One thread at a time.
 * ATOLL_E_INVALID, also for what atoll_version_encode() refuses, ATOLL_E_CORRUPT for bytes that are no context: the set is unchanged.
 */
atoll_status atoll_siblings_put(atoll_siblings *siblings,
                                const atoll_version_view *version,
                                atoll_buf **encoded,
                                atoll_error **err);

/**
 * Takes in a write of another node, in the bytes that atoll_siblings_put() gave there. Order and repetition do not matter.
 *
 * One thread at a time. ATOLL_E_CORRUPT for bytes that are no version, ATOLL_E_INVALID if another write bears its name: the set is
 * unchanged.
 */
atoll_status atoll_siblings_apply(atoll_siblings *siblings,
                                  const void *version,
                                  size_t version_len,
                                  atoll_error **err);

/**
 * Takes in another node's whole set of the same key. Order and repetition do not matter.
 *
 * One thread at a time, for both. ATOLL_E_INVALID if the sets hold different writes of one name: `into` is unchanged.
 */
atoll_status atoll_siblings_merge(atoll_siblings *into,
                                  const atoll_siblings *from,
                                  atoll_error **err);

/**
 * Tells what a rule makes of the versions, for a reader; the set is unchanged. Otherwise as atoll_resolver_resolve().
 */
atoll_status atoll_siblings_resolve(const atoll_siblings *siblings,
                                    const atoll_resolver *resolver,
                                    const void *key,
                                    size_t key_len,
                                    atoll_versions **resolved,
                                    atoll_error **err);

/**
 * Takes a snapshot of everything written before the call. Free it with atoll_snapshot_free().
 *
 * `*snapshot` is NULL after an error. Any thread.
 */
atoll_status atoll_snapshot_new(atoll_db *db, atoll_snapshot **snapshot, atoll_error **err);

/**
 * Returns the position of a snapshot: everything below it is visible. 0 for NULL. Any thread.
 */
uint64_t atoll_snapshot_lsn(const atoll_snapshot *snapshot);

/**
 * Frees a snapshot. NULL is allowed. Values that were read through it stay with their pins.
 *
 * Any thread, also after the store has been closed and freed.
 */
void atoll_snapshot_free(atoll_snapshot *snapshot);

/**
 * Gives the figures of a store as a JSON object: keys, records, segments, runs, tables, the bytes of each, and how compaction
 * has fared.
 *
 * Of a store that was opened for reading: also who writes it, and the snapshots of its readers. Free `*json` with atoll_buf_free(). Fields are added, never renamed. Any thread.
 */
atoll_status atoll_stats_json(atoll_db *db,
                              atoll_buf **json,
                              atoll_error **err);

/**
 * Returns the name of a status, such as "ATOLL_E_CORRUPT"; "ATOLL_(unknown)" for other numbers.
 *
 * The string is never NULL, lives as long as the library stays loaded and must not be freed. Any thread.
 */
const char *atoll_status_name(atoll_status status);

/**
 * Begins a transaction. Commit it or roll it back, and free it with atoll_transaction_free().
 *
 * `*transaction` is NULL after an error. Any thread.
 */
atoll_status atoll_transaction_begin(atoll_db *db,
                                     atoll_transaction **transaction,
                                     atoll_error **err);

/**
 * Reads the value of a key as of the beginning of the transaction, or as it has written it. `*value` is a view that is valid
 * until the next call on the transaction.
 *
 * The commit fails if somebody else has written the key since; a key without a value counts too, for which this answers
 * ATOLL_NOT_FOUND. One thread at a time; may wait for the disk.
 */
atoll_status atoll_transaction_get(atoll_transaction *transaction,
                                   const void *key,
                                   size_t key_len,
                                   atoll_bytes *value,
                                   atoll_error **err);

/**
 * Reads a range as of the beginning of the transaction, with its own writes. Free `*iter` with atoll_iter_free().
 *
 * The range is read whole before the call returns: give it a limit. The commit fails if somebody else has written a key in the
 * part that was read. One thread at a time.
 */
atoll_status atoll_transaction_scan(atoll_transaction *transaction,
                                    const atoll_range *range,
                                    atoll_iter **iter,
                                    atoll_error **err);

/**
 * Adds a put to what the commit will write; the transaction sees it at once. `ttl_ms` as for atoll_batch_put().
 *
 * Key and value are copied. One thread at a time.
 */
atoll_status atoll_transaction_put(atoll_transaction *transaction,
                                   const void *key,
                                   size_t key_len,
                                   const void *value,
                                   size_t value_len,
                                   uint64_t ttl_ms,
                                   atoll_error **err);

/**
 * Adds a deletion to what the commit will write. The key is copied. One thread at a time.
 */
atoll_status atoll_transaction_delete(atoll_transaction *transaction,
                                      const void *key,
                                      size_t key_len,
                                      atoll_error **err);

/**
 * Makes the writes visible together, if nothing the transaction has read has been written since it began.
 *
 * ATOLL_CONFLICT if something has: nothing was written, and running the transaction again from its beginning may succeed. `lsn`
 * may be NULL; it is set to the position after the writes, 0 if there were none. The transaction has ended whatever the answer. One
 * thread at a time; may wait for the device, as atoll_put().
 */
atoll_status atoll_transaction_commit(atoll_transaction *transaction,
                                      const atoll_write_opts *options,
                                      uint64_t *lsn,
                                      atoll_error **err);

/**
 * Ends a transaction without writing anything. Ending one that has ended is no error. One thread at a time.
 */
atoll_status atoll_transaction_rollback(atoll_transaction *transaction,
                                        atoll_error **err);

/**
 * Frees a transaction, rolling it back if it has not ended. NULL is allowed.
 *
 * Any thread, also after the store has been closed and freed.
 */
void atoll_transaction_free(atoll_transaction *transaction);

/**
 * Makes an empty clock. Free it with atoll_vclock_free(). Any thread.
 */
atoll_vclock *atoll_vclock_new(void);

/**
 * Makes a clock from its bytes: of atoll_vclock_encode(), of another language, or of SQL. `*clock` is NULL
 * after an error. Any thread.
 */
atoll_status atoll_vclock_decode(const void *data,
                                 size_t len,
                                 atoll_vclock **clock,
                                 atoll_error **err);

/**
 * Makes a clock from text such as {"A":1,"B":3}. `*clock` is NULL after an error. Any thread.
 */
atoll_status atoll_vclock_from_text(const void *text,
                                    size_t len,
                                    atoll_vclock **clock,
                                    atoll_error **err);

/**
 * Makes a copy of a clock. NULL gives NULL, and so does a clock that another thread uses at the moment.
 */
atoll_vclock *atoll_vclock_clone(const atoll_vclock *clock);

/**
 * Frees a clock. NULL is allowed. Any thread.
 */
void atoll_vclock_free(atoll_vclock *clock);

/**
 * Counts one more write of a node; `count` may be NULL and gets the new count.
 *
 * A name has 1 to 255 bytes of UTF-8 without control characters. One thread at a time.
 */
atoll_status atoll_vclock_tick(atoll_vclock *clock,
                               const void *node,
                               size_t node_len,
                               uint64_t *count,
                               atoll_error **err);

/**
 * Gives the count of a node, 0 for one that is not there. One thread at a time.
 */
atoll_status atoll_vclock_get(const atoll_vclock *clock,
                              const void *node,
                              size_t node_len,
                              uint64_t *count,
                              atoll_error **err);

/**
 * Raises every count of `into` to that of `from`. One thread at a time on both; merging a clock into itself
 * changes nothing.
 */
atoll_status atoll_vclock_merge(atoll_vclock *into,
                                const atoll_vclock *from,
                                atoll_error **err);

/**
 * Tells how the first clock stands to the second: ATOLL_VC_EQUAL, ATOLL_VC_BEFORE, ATOLL_VC_AFTER or
 * ATOLL_VC_CONCURRENT.
 *
 * One thread at a time on both.
 */
atoll_status atoll_vclock_compare(const atoll_vclock *a,
                                  const atoll_vclock *b,
                                  int32_t *answer,
                                  atoll_error **err);

/**
 * As atoll_vclock_compare(), of clocks as bytes, without making handles. Any thread.
 */
atoll_status atoll_vclock_compare_encoded(const void *a,
                                          size_t a_len,
                                          const void *b,
                                          size_t b_len,
                                          int32_t *answer,
                                          atoll_error **err);

/**
 * Gives the bytes of a clock, which every language and SQL can read. Free `*data` with atoll_buf_free(). One
 * thread at a time.
 */
atoll_status atoll_vclock_encode(const atoll_vclock *clock,
                                 atoll_buf **data,
                                 atoll_error **err);

/**
 * Gives a clock as text: a JSON object with sorted names and no spaces, {"A":1,"B":3}. Free `*text` with
 * atoll_buf_free(). One thread at a time.
 */
atoll_status atoll_vclock_to_text(const atoll_vclock *clock,
                                  atoll_buf **text,
                                  atoll_error **err);

/**
 * Makes a clock of `n` packed names and their counters, in any order: name i is
 * names[name_offsets[i]..name_offsets[i + 1]]. A counter of 0 is the same as absence.
 *
 * `*clock` is NULL after an error; free it with atoll_vclock_free(). Any thread. ATOLL_E_INVALID for a name
 * that is empty, longer than 255 bytes, no UTF-8, has control characters, or is given twice.
 */
atoll_status atoll_vclock_from_entries(const uint8_t *names,
                                       const uint32_t *name_offsets,
                                       const uint64_t *counters,
                                       size_t n,
                                       atoll_vclock **clock,
                                       atoll_error **err);

/**
 * Tells entry number `i` of a clock: entries ascend by the bytes of the names, and no counter is 0. `*node`
 * is a view that is valid until the clock is changed or freed.
 *
 * `node` and `counter` may be NULL. One thread at a time. ATOLL_END past the last one.
 */
atoll_status atoll_vclock_entry(const atoll_vclock *clock,
                                size_t i,
                                atoll_bytes *node,
                                uint64_t *counter,
                                atoll_error **err);

/**
 * Writes the byte form of a clock into `buf` of `cap` bytes; `*len` says how long it is. Equal clocks have
 * equal bytes.
 *
 * One thread at a time. ATOLL_BUFFER_TOO_SMALL if `cap` is less than `*len`.
 */
atoll_status atoll_vclock_encode_into(const atoll_vclock *clock,
                                      void *buf,
                                      size_t cap,
                                      size_t *len,
                                      atoll_error **err);

/**
 * Returns the version of the library that is loaded, such as "0.1.0".
 *
 * The string ends with NUL, lives as long as the library stays loaded, is never NULL and must not be
 * freed. Safe from any thread, before any other call.
 */
const char *atoll_version(void);

/**
 * Returns the version of the library that is loaded as one number: major << 16 | minor << 8 | patch.
 *
 * Compare it with ATOLL_VERSION_NUMBER, the version of the header a program was compiled with. Safe from
 * any thread, before any other call.
 */
uint32_t atoll_version_number(void);

/**
 * Returns the number of the binary interface of the library that is loaded.
 *
 * If it differs from ATOLL_ABI_VERSION of the header a program was compiled with, the program must not
 * call anything else. Safe from any thread, before any other call.
 */
uint32_t atoll_abi_version(void);

/**
 * Gives a key a value, empty ones included. Other threads see it when the call returns.
 *
 * `options` may be NULL. ATOLL_E_DISK_FULL, ATOLL_E_INVALID (a key over 64 KiB, a value that no record can hold): nothing was
 * written. Any thread; waits for the device if it is to be synced, and for others who write the same key.
 */
atoll_status atoll_put(atoll_db *db,
                       const atoll_write_opts *options,
                       const void *key,
                       size_t key_len,
                       const void *value,
                       size_t value_len,
                       atoll_error **err);

/**
 * Takes the value of a key away; a key without one is no error.
 *
 * Otherwise as atoll_put().
 */
atoll_status atoll_delete(atoll_db *db,
                          const atoll_write_opts *options,
                          const void *key,
                          size_t key_len,
                          atoll_error **err);

/**
 * Takes away the values of all keys in a range, and tells how many there were.
 *
 * Not one step: the keys go in batches of about a thousand, all as durable as asked when the call returns. What is written into the
 * range meanwhile may stay or go. After an error some may have gone: call it again. The limit and flags of `range` but
 * ATOLL_RANGE_PREFIX must be 0; it may be NULL for all keys. Otherwise as atoll_delete(). Any thread; takes as long as a scan of the
 * range and its deletions.
 */
atoll_status atoll_delete_range(atoll_db *db,
                                const atoll_write_opts *options,
                                const atoll_range *range,
                                uint64_t *deleted,
                                atoll_error **err);

/**
 * Gives a key a value, or takes it away, if the key is as expected; in one step that no other write comes between.
 *
 * `value` points to the new value; NULL deletes the key. ATOLL_CONFLICT if the key was not as expected: nothing was written.
 * Otherwise as atoll_put().
 */
atoll_status atoll_compare_and_set(atoll_db *db,
                                   const atoll_write_opts *options,
                                   const void *key,
                                   size_t key_len,
                                   const atoll_expected *expected,
                                   const atoll_bytes *value,
                                   atoll_error **err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ATOLL_H */

/* Initial values of the structs that begin with struct_size. */
#define ATOLL_READ_OPTS_INIT { sizeof(atoll_read_opts), NULL, 0 }
#define ATOLL_WRITE_OPTS_INIT { sizeof(atoll_write_opts), ATOLL_DURABILITY_BUFFERED, 0, 0, 0 }
#define ATOLL_RANGE_INIT { sizeof(atoll_range), NULL, 0, NULL, 0, 0, 0, 0 }
#define ATOLL_CLUSTER_READ_OPTS_INIT { sizeof(atoll_cluster_read_opts), ATOLL_CONSISTENCY_STRONG, 0, NULL, 0, NULL }
#define ATOLL_CLUSTER_WRITE_OPTS_INIT { sizeof(atoll_cluster_write_opts), ATOLL_DURABILITY_SYNCED, 0, 0, NULL }
#define ATOLL_APPROXIMATE_INIT { sizeof(atoll_approximate), 0, 0, 0, 0 }
#define ATOLL_HEALTH_INIT { sizeof(atoll_health), 0, 0, 0, 0, 0, 0, 0, 0, 0 }
#define ATOLL_NODE_INIT { sizeof(atoll_node), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, 0, 0 }
#define ATOLL_LOCATION_INIT { sizeof(atoll_location), 0, 0, 0, 0, 0, 0 }
