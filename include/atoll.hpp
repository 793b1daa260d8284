/*
 * Atoll for C++17: owners that free themselves and results that say what went wrong, over atoll.h.
 *
 * Header only; link with -latoll. Throws nothing of its own and needs no exceptions (std::bad_alloc aside). Every
 * object owns one handle, is moved and not copied, and may go in any order. Threads, views and errors are those of
 * atoll.h, which says for each function what holds. The namespace is atolldb because the C library has a function atoll().
 *
 *     auto db = atolldb::Db::open("data");
 *     if (!db) { std::cerr << db.error().message() << '\n'; return 1; }
 *     db->put("user:42", "Kim").check();
 *     if (auto name = db->get("user:42"); name && *name) std::cout << (*name)->view() << '\n';
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT
 */
#ifndef ATOLL_HPP
#define ATOLL_HPP

#include <atoll.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace atolldb {

/* Frees a handle with the function of its type. */
template <auto Free>
struct Freed {
    template <typename T>
    void operator()(T *handle) const noexcept
    {
        Free(handle);
    }
};

template <typename T, auto Free>
using Owner = std::unique_ptr<T, Freed<Free>>;

inline std::string_view view_of(atoll_bytes bytes) noexcept
{
    return {reinterpret_cast<const char *>(bytes.data), bytes.len};
}

/* Bytes as C takes them; they must outlive the call. */
inline atoll_bytes bytes_of(std::string_view view) noexcept
{
    return {reinterpret_cast<const std::uint8_t *>(view.data()), view.size()};
}

/* Why a call failed. */
class Error {
public:
    Error() = default;

    Error(atoll_status status, atoll_error *error) noexcept : status_(status), error_(error) {}

    /* One of ATOLL_E_...; ATOLL_CONFLICT for a write whose condition did not hold. */
    atoll_status status() const noexcept { return status_; }

    /* What went wrong, and the next step where there is one. Lives as long as the error. */
    const char *message() const noexcept
    {
        const char *text = atoll_error_message(error_.get());
        return *text ? text : atoll_status_name(status_);
    }

    /* The operating system's number; 0 if there is none. */
    int os_errno() const noexcept { return atoll_error_os_errno(error_.get()); }

private:
    atoll_status status_ = ATOLL_OK;
    Owner<atoll_error, atoll_error_free> error_;
};

/* Tells why and ends the program: for those who do not look at results. */
[[noreturn]] inline void give_up(const Error &error) noexcept
{
    std::fprintf(stderr, "atoll: %s (%s)\n", error.message(), atoll_status_name(error.status()));
    std::abort();
}

/* A value, or why there is none. Looking at the value of a failure ends the program with its message. */
template <typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const noexcept { return held_.index() == 0; }
    bool ok() const noexcept { return held_.index() == 0; }

    T &value() &
    {
        check();
        return *std::get_if<0>(&held_);
    }
    /* By value, so that `for (auto x : call().value())` does not outlive what it goes through. */
    T value() &&
    {
        check();
        return std::move(*std::get_if<0>(&held_));
    }
    T &operator*() & { return value(); }
    T operator*() && { return std::move(*this).value(); }
    T *operator->() { return &value(); }

    const Error &error() const noexcept
    {
        static const Error none;
        const Error *error = std::get_if<1>(&held_);
        return error ? *error : none;
    }

    /* The error of a failure, to be handed on. */
    Error take_error() { return std::move(std::get<1>(held_)); }

    /* Ends the program with the message of a failure. */
    void check() const
    {
        if (!ok()) {
            give_up(error());
        }
    }

private:
    std::variant<T, Error> held_;
};

/* A result without a value. */
template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const noexcept { return ok(); }
    bool ok() const noexcept { return error_.status() == ATOLL_OK; }
    const Error &error() const noexcept { return error_; }
    Error take_error() { return std::move(error_); }
    void check() const
    {
        if (!ok()) {
            give_up(error_);
        }
    }

private:
    Error error_;
};

/* Runs a call that wants an atoll_error **; nothing for ATOLL_OK, otherwise what it answered. */
template <typename Call>
Result<void> run(Call &&call)
{
    atoll_error *error = nullptr;
    const atoll_status status = call(&error);
    if (status == ATOLL_OK) {
        return {};
    }
    return Error(status, error);
}

/* As run(), of a call that makes a handle. */
template <typename T, typename Handle, typename Call>
Result<T> make(Call &&call)
{
    Handle *handle = nullptr;
    atoll_error *error = nullptr;
    const atoll_status status = call(&handle, &error);
    if (status != ATOLL_OK) {
        return Error(status, error);
    }
    return T(handle);
}

/* Bytes that the library made. */
class Buffer {
public:
    explicit Buffer(atoll_buf *buf) noexcept : buf_(buf) {}
    std::string_view view() const noexcept { return view_of(atoll_buf_bytes(buf_.get())); }

private:
    Owner<atoll_buf, atoll_buf_free> buf_;
};

/* A value where it lies in the store; the view is valid as long as this lives, also after the store is closed. */
class Value {
public:
    Value(atoll_pin *pin, atoll_bytes bytes) noexcept : pin_(pin), bytes_(bytes) {}

    std::string_view view() const noexcept { return view_of(bytes_); }
    std::string str() const { return std::string(view()); }

    /* Position and time stamp, which together name the version. */
    std::pair<std::uint64_t, std::uint64_t> version() const noexcept
    {
        std::uint64_t lsn = 0, hlc = 0;
        atoll_pin_version(pin_.get(), &lsn, &hlc, nullptr);
        return {lsn, hlc};
    }

private:
    Owner<atoll_pin, atoll_pin_free> pin_;
    atoll_bytes bytes_;
};

/* Options by name; see atoll_options_set(). */
class Options {
public:
    Options() : options_(atoll_options_new()) {}

    Result<void> set(const char *name, const char *value)
    {
        return run([&](atoll_error **err) { return atoll_options_set(options_.get(), name, value, err); });
    }
    const atoll_options *get() const noexcept { return options_.get(); }

private:
    Owner<atoll_options, atoll_options_free> options_;
};

/* How a write is done. */
struct Write : atoll_write_opts {
    Write() noexcept : atoll_write_opts ATOLL_WRITE_OPTS_INIT {}

    static Write synced() noexcept
    {
        Write write;
        write.durability = ATOLL_DURABILITY_SYNCED;
        return write;
    }
    Write &ttl(std::uint64_t ms) noexcept
    {
        ttl_ms = ms;
        return *this;
    }
};

/* Writes that take effect together. */
class Batch {
public:
    Batch() : batch_(atoll_batch_new()) {}

    Result<void> put(std::string_view key, std::string_view value, std::uint64_t ttl_ms = 0)
    {
        return run([&](atoll_error **err) {
            return atoll_batch_put(batch_.get(), key.data(), key.size(), value.data(), value.size(), ttl_ms, err);
        });
    }
    Result<void> remove(std::string_view key)
    {
        return run([&](atoll_error **err) { return atoll_batch_delete(batch_.get(), key.data(), key.size(), err); });
    }
    void clear() noexcept { atoll_batch_clear(batch_.get()); }
    std::size_t size() const noexcept { return atoll_batch_len(batch_.get()); }
    const atoll_batch *get() const noexcept { return batch_.get(); }

private:
    Owner<atoll_batch, atoll_batch_free> batch_;
};

/* The store as it was at one position. */
class Snapshot {
public:
    explicit Snapshot(atoll_snapshot *snapshot) noexcept : snapshot_(snapshot) {}
    std::uint64_t lsn() const noexcept { return atoll_snapshot_lsn(snapshot_.get()); }
    const atoll_snapshot *get() const noexcept { return snapshot_.get(); }

private:
    Owner<atoll_snapshot, atoll_snapshot_free> snapshot_;
};

/* Which keys a scan shows. The bytes must live until the scan has begun. */
struct Range {
    std::optional<std::string_view> from{};
    std::optional<std::string_view> to{};
    bool reverse = false;
    std::uint64_t limit = 0;

    static Range prefix(std::string_view prefix)
    {
        Range range;
        range.from = prefix;
        range.is_prefix_ = true;
        return range;
    }

    atoll_range c() const noexcept
    {
        /* NULL means "no bound", which an empty view may hold as well. */
        static const std::uint8_t nothing = 0;
        atoll_range range = ATOLL_RANGE_INIT;
        if (from) {
            range.lo = from->empty() ? &nothing : reinterpret_cast<const std::uint8_t *>(from->data());
            range.lo_len = from->size();
        }
        if (to) {
            range.hi = to->empty() ? &nothing : reinterpret_cast<const std::uint8_t *>(to->data());
            range.hi_len = to->size();
        }
        range.flags = (reverse ? ATOLL_RANGE_REVERSE : 0u) | (is_prefix_ ? ATOLL_RANGE_PREFIX : 0u);
        range.limit = limit;
        return range;
    }

private:
    bool is_prefix_ = false;
};

/*
 * Keys in order, a page at a time. For `for (auto [key, value] : scan)`: views are valid until the loop goes on to the
 * next page. An error ends the loop: ask result() after it.
 */
class Scan {
public:
    explicit Scan(atoll_iter *iter) noexcept : iter_(iter) {}

    struct Entry {
        std::string_view key;
        std::string_view value;
    };

    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Entry;
        using difference_type = std::ptrdiff_t;
        using pointer = const Entry *;
        using reference = Entry;

        explicit Iterator(Scan *scan) noexcept : scan_(scan) {}
        Entry operator*() const noexcept
        {
            const atoll_kv &kv = scan_->page_[scan_->at_];
            return {view_of(kv.key), view_of(kv.value)};
        }
        Iterator &operator++()
        {
            scan_ = scan_->advance() ? scan_ : nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(const Iterator &other) const noexcept { return scan_ == other.scan_; }
        bool operator!=(const Iterator &other) const noexcept { return scan_ != other.scan_; }

    private:
        Scan *scan_;
    };

    Iterator begin() { return Iterator(at_ < n_ || turn() ? this : nullptr); }
    Iterator end() noexcept { return Iterator(nullptr); }

    /* What ended the scan. */
    const Result<void> &result() const noexcept { return result_; }

private:
    static constexpr std::size_t page_entries = 256, page_bytes = 256 * 1024;

    bool advance() { return ++at_ < n_ || turn(); }

    bool turn()
    {
        atoll_error *error = nullptr;
        const atoll_status status = atoll_iter_next_page(iter_.get(), page_entries, page_bytes, &page_, &n_, &error);
        at_ = 0;
        if (status < 0) {
            result_ = Error(status, error);
            n_ = 0;
        }
        return status == ATOLL_OK;
    }

    Owner<atoll_iter, atoll_iter_free> iter_;
    const atoll_kv *page_ = nullptr;
    std::size_t n_ = 0, at_ = 0;
    Result<void> result_;
};

/* Reads and writes that hold together; rolled back unless it is committed. */
class Transaction {
public:
    explicit Transaction(atoll_transaction *transaction) noexcept : transaction_(transaction) {}

    /* Nothing for a key without a value. The view is valid until the next call. */
    Result<std::optional<std::string_view>> get(std::string_view key)
    {
        atoll_bytes value;
        atoll_error *error = nullptr;
        const atoll_status status = atoll_transaction_get(transaction_.get(), key.data(), key.size(), &value, &error);
        if (status == ATOLL_NOT_FOUND) {
            return std::optional<std::string_view>();
        }
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        return std::optional(view_of(value));
    }
    Result<void> put(std::string_view key, std::string_view value, std::uint64_t ttl_ms = 0)
    {
        return run([&](atoll_error **err) {
            return atoll_transaction_put(transaction_.get(), key.data(), key.size(), value.data(), value.size(), ttl_ms, err);
        });
    }
    Result<void> remove(std::string_view key)
    {
        return run([&](atoll_error **err) {
            return atoll_transaction_delete(transaction_.get(), key.data(), key.size(), err);
        });
    }
    Result<Scan> scan(const Range &range = {})
    {
        const atoll_range c = range.c();
        return make<Scan, atoll_iter>(
            [&](auto **iter, auto **err) { return atoll_transaction_scan(transaction_.get(), &c, iter, err); });
    }
    /* An error with status ATOLL_CONFLICT: run the transaction again from its beginning. */
    Result<void> commit(const Write &write = {})
    {
        return run([&](atoll_error **err) { return atoll_transaction_commit(transaction_.get(), &write, nullptr, err); });
    }

private:
    Owner<atoll_transaction, atoll_transaction_free> transaction_;
};

/* The log of a store from some position on; one thread at a time. What next() gives is valid until it is called again. */
class Log {
public:
    explicit Log(atoll_log_reader *reader) noexcept : reader_(reader) {}

    /* A frame of whole records, and where it begins and where the log goes on. */
    struct Frame {
        std::string_view records;
        std::uint64_t first_lsn = 0;
        std::uint64_t next_lsn = 0;
    };

    /* Nothing within the time, which is without end below 0: empty. */
    Result<std::optional<Frame>> next(std::int64_t timeout_ms = -1, std::size_t max_bytes = 1024 * 1024)
    {
        Frame frame;
        atoll_bytes records{};
        atoll_error *error = nullptr;
        const atoll_status status =
            atoll_log_next(reader_.get(), max_bytes, timeout_ms, &records, &frame.first_lsn, &frame.next_lsn, &error);
        if (status < 0) {
            return Error(status, error);
        }
        if (status != ATOLL_OK) {
            return std::optional<Frame>();
        }
        frame.records = view_of(records);
        return std::optional<Frame>(frame);
    }

    /* Calls `each` with the writes in a frame, in order. */
    template <class Each> static Result<void> for_each(std::string_view records, Each each)
    {
        atoll_log_cursor cursor{};
        atoll_log_entry entry{};
        atoll_error *error = nullptr;
        atoll_status status;
        while ((status = atoll_log_entry_next(records.data(), records.size(), &cursor, &entry, &error)) == ATOLL_OK) {
            each(static_cast<const atoll_log_entry &>(entry));
        }
        if (status < 0) {
            return Error(status, error);
        }
        return {};
    }

    /* Readable when next() has something to give; belongs to the log. */
    int fd() const noexcept { return atoll_log_fd(reader_.get()); }
    /* Ends a next() that waits, from any thread. */
    void interrupt() const noexcept { atoll_log_interrupt(reader_.get()); }

private:
    Owner<atoll_log_reader, atoll_log_free> reader_;
};

/* How well a store or a cluster is; reasons are lines of text, none if all is well. */
struct Health : atoll_health {
    Health() noexcept : atoll_health ATOLL_HEALTH_INIT {}

    std::string reasons;
};

/* About how many keys and bytes there are, and how far that may be off. */
struct Approximate : atoll_approximate {
    Approximate() noexcept : atoll_approximate ATOLL_APPROXIMATE_INIT {}
};

/* Told how far long work is: done, and of how much. Empty: nobody wants to know. */
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/* The function and context that C is handed for a Progress, which must outlive the call. */
inline void tell_progress(void *progress, std::uint64_t done, std::uint64_t total)
{
    (*static_cast<const Progress *>(progress))(done, total);
}
inline atoll_progress_fn function_of(const Progress &progress) noexcept { return progress ? tell_progress : nullptr; }
inline void *context_of(const Progress &progress) noexcept { return const_cast<Progress *>(&progress); }

/* What a check found: the number of damaged places, and a report as JSON that names them. */
struct Found {
    std::uint64_t damaged = 0;
    std::string report;
};

/* Calls what gives a health with its reasons. */
template <typename Call>
Result<Health> health_of(Call &&call)
{
    Health health;
    auto reasons = make<Buffer, atoll_buf>([&](auto **text, auto **err) { return call(&health, text, err); });
    if (!reasons) {
        return reasons.take_error();
    }
    health.reasons = std::string(reasons->view());
    return health;
}

/* Calls what counts damage and gives a report. */
template <typename Call>
Result<Found> found_by(Call &&call)
{
    Found found;
    auto report = make<Buffer, atoll_buf>([&](auto **json, auto **err) { return call(&found.damaged, json, err); });
    if (!report) {
        return report.take_error();
    }
    found.report = std::string(report->view());
    return found;
}

/* Packs keys, calls what reads them into one buffer (again with a larger one where that was too small), and unpacks the values. */
template <typename Call>
Result<std::vector<std::optional<std::string>>> read_many(const std::vector<std::string_view> &keys, Call &&call)
{
    std::string packed;
    std::vector<std::uint32_t> offsets{0};
    for (std::string_view key : keys) {
        packed += key;
        offsets.push_back(static_cast<std::uint32_t>(packed.size()));
    }
    std::vector<std::uint64_t> ends(keys.size() + 1);
    std::vector<std::uint8_t> found(keys.size());
    std::vector<std::uint8_t> values(keys.size() * 128);
    for (;;) {
        std::size_t needed = 0;
        atoll_error *error = nullptr;
        const atoll_status status = call(reinterpret_cast<const std::uint8_t *>(packed.data()), offsets.data(), keys.size(),
                                         values.data(), values.size(), ends.data(), found.data(), &needed, &error);
        if (status == ATOLL_BUFFER_TOO_SMALL) {
            values.resize(needed);
            continue;
        }
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        std::vector<std::optional<std::string>> answers(keys.size());
        for (std::size_t i = 0; i < keys.size(); i++) {
            if (found[i]) {
                answers[i].emplace(reinterpret_cast<const char *>(values.data()) + ends[i], ends[i + 1] - ends[i]);
            }
        }
        return answers;
    }
}

/* Sorted pairs on their way into a store, past its log. One thread at a time. */
class Load {
public:
    explicit Load(atoll_load *load) noexcept : load_(load) {}

    /* The key must be greater than every one before it; ttl_ms 0: the value stays. */
    Result<void> put(std::string_view key, std::string_view value, std::uint64_t ttl_ms = 0)
    {
        return run([&](atoll_error **err) {
            return atoll_load_put(load_.get(), key.data(), key.size(), value.data(), value.size(), ttl_ms, err);
        });
    }
    atoll_load *get() const noexcept { return load_.get(); }

private:
    Owner<atoll_load, atoll_load_free> load_;
};

/* An open store. Any number of threads may use it at once. */
class Db {
public:
    explicit Db(atoll_db *db) noexcept : db_(db) {}

    static Result<Db> open(const char *path, const Options &options = {})
    {
        return make<Db, atoll_db>([&](auto **db, auto **err) { return atoll_db_open(path, options.get(), db, err); });
    }
    /* For reading, beside the process that writes it. */
    static Result<Db> open_reader(const char *path)
    {
        return make<Db, atoll_db>([&](auto **db, auto **err) { return atoll_db_open_reader(path, db, err); });
    }
    /* A copy of another store, which takes frames of its log and no writes. */
    static Result<Db> open_replica(const char *path, const Options &options = {})
    {
        return make<Db, atoll_db>(
            [&](auto **db, auto **err) { return atoll_db_open_replica(path, options.get(), db, err); });
    }
    Result<void> close()
    {
        return run([&](atoll_error **err) { return atoll_db_close(db_.get(), err); });
    }
    /* Follows the log: 0 for all there is, ATOLL_LOG_FROM_NOW, or the `next_lsn` of a frame. */
    Result<Log> log(std::uint64_t from_lsn) const
    {
        return make<Log, atoll_log_reader>(
            [&](auto **reader, auto **err) { return atoll_log_open(db_.get(), from_lsn, reader, err); });
    }
    /* Applies a frame to a replica; one that has been applied already changes nothing. */
    Result<void> apply_log(std::string_view records)
    {
        return run([&](atoll_error **err) {
            return atoll_log_apply(db_.get(), records.data(), records.size(), nullptr, err);
        });
    }

    /* Nothing for a key without a value. */
    Result<std::optional<Value>> get(std::string_view key, const Snapshot *at = nullptr) const
    {
        atoll_read_opts options = ATOLL_READ_OPTS_INIT;
        options.snapshot = at ? at->get() : nullptr;
        Owner<atoll_pin, atoll_pin_free> pin(atoll_pin_new());
        atoll_bytes value;
        atoll_error *error = nullptr;
        const atoll_status status =
            atoll_get(db_.get(), at ? &options : nullptr, key.data(), key.size(), pin.get(), &value, &error);
        if (status == ATOLL_NOT_FOUND) {
            return std::optional<Value>();
        }
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        return std::optional<Value>(Value(pin.release(), value));
    }

    /* Values of many keys, in their order, with their memory accesses overlapping. */
    Result<std::vector<std::optional<std::string>>> get_many(const std::vector<std::string_view> &keys) const
    {
        return read_many(keys, [&](auto... rest) { return atoll_multi_get(db_.get(), nullptr, rest...); });
    }

    Result<void> put(std::string_view key, std::string_view value, const Write &write = {})
    {
        return run([&](atoll_error **err) {
            return atoll_put(db_.get(), &write, key.data(), key.size(), value.data(), value.size(), err);
        });
    }
    Result<void> remove(std::string_view key, const Write &write = {})
    {
        return run([&](atoll_error **err) { return atoll_delete(db_.get(), &write, key.data(), key.size(), err); });
    }

    /* Takes away the values of all keys in a range; how many there were. */
    Result<std::uint64_t> remove_range(const Range &range, const Write &write = {})
    {
        std::uint64_t deleted = 0;
        const atoll_range c = range.c();
        auto done = run([&](atoll_error **err) { return atoll_delete_range(db_.get(), &write, &c, &deleted, err); });
        if (!done) {
            return done.take_error();
        }
        return deleted;
    }

    /* Writes if the key has the value `expected`, or none if that is empty. An error with status ATOLL_CONFLICT: it has not. */
    Result<void> compare_and_set(std::string_view key, std::optional<std::string_view> expected,
                                 std::optional<std::string_view> value, const Write &write = {})
    {
        atoll_expected wanted{expected ? std::uint32_t{ATOLL_EXPECT_VALUE} : std::uint32_t{ATOLL_EXPECT_ABSENT}, 0,
                              bytes_of(expected.value_or("")), 0, 0};
        const atoll_bytes next = bytes_of(value.value_or(""));
        return run([&](atoll_error **err) {
            return atoll_compare_and_set(db_.get(), &write, key.data(), key.size(), &wanted, value ? &next : nullptr, err);
        });
    }
    Result<void> apply(const Batch &batch, const Write &write = {})
    {
        return run([&](atoll_error **err) { return atoll_write(db_.get(), &write, batch.get(), nullptr, err); });
    }
    Result<void> sync()
    {
        return run([&](atoll_error **err) { return atoll_sync(db_.get(), nullptr, err); });
    }
    Result<Snapshot> snapshot() const
    {
        return make<Snapshot, atoll_snapshot>(
            [&](auto **snapshot, auto **err) { return atoll_snapshot_new(db_.get(), snapshot, err); });
    }
    Result<Scan> scan(const Range &range = {}, const Snapshot *at = nullptr) const
    {
        atoll_read_opts options = ATOLL_READ_OPTS_INIT;
        options.snapshot = at ? at->get() : nullptr;
        const atoll_range c = range.c();
        return make<Scan, atoll_iter>([&](auto **iter, auto **err) { return atoll_scan(db_.get(), &options, &c, iter, err); });
    }
    Result<Transaction> begin()
    {
        return make<Transaction, atoll_transaction>(
            [&](auto **transaction, auto **err) { return atoll_transaction_begin(db_.get(), transaction, err); });
    }
    /* Figures as JSON. */
    Result<Buffer> stats() const
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) { return atoll_stats_json(db_.get(), json, err); });
    }
    /* Begins a bulk load of sorted pairs. */
    Result<Load> load()
    {
        return make<Load, atoll_load>([&](auto **load, auto **err) { return atoll_load_begin(db_.get(), load, err); });
    }
    /* Makes its pairs visible and durable, all at once; how many there were. */
    Result<std::uint64_t> finish(Load &load)
    {
        std::uint64_t keys = 0;
        auto done = run([&](atoll_error **err) { return atoll_load_finish(db_.get(), load.get(), &keys, err); });
        if (!done) {
            return done.take_error();
        }
        return keys;
    }
    Result<Approximate> count_approximate(const Range &range = {}) const
    {
        Approximate answer;
        const atoll_range c = range.c();
        auto done = run([&](atoll_error **err) { return atoll_count_approximate(db_.get(), &c, &answer, err); });
        if (!done) {
            return done.take_error();
        }
        return answer;
    }
    Result<Health> health() const
    {
        return health_of([&](auto... rest) { return atoll_db_health(db_.get(), rest...); });
    }
    /* Figures as Prometheus reads them. */
    Result<Buffer> metrics() const
    {
        return make<Buffer, atoll_buf>([&](auto **text, auto **err) { return atoll_metrics(db_.get(), text, err); });
    }
    /* Copies the store as it is now into a directory; what was copied, as JSON. */
    Result<Buffer> backup(const char *target, std::uint32_t flags = 0, const Progress &progress = {}) const
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) {
            return atoll_db_backup(db_.get(), target, flags, function_of(progress), context_of(progress), json, err);
        });
    }
    /* Reads all of it and compares every checksum. */
    Result<Found> verify(const Progress &progress = {}) const
    {
        return found_by([&](auto... rest) {
            return atoll_db_verify(db_.get(), function_of(progress), context_of(progress), rest...);
        });
    }
    atoll_db *get() const noexcept { return db_.get(); }

private:
    Owner<atoll_db, atoll_db_free> db_;
};

/* A node of a router. */
struct Node {
    Node(std::string_view node_name, std::uint32_t node_weight = 1) : name(node_name), weight(node_weight) {}
    Node(const char *node_name) : name(node_name) {}

    std::string_view name;
    std::uint32_t weight = 1;
};

/* Where keys live. Immutable: any number of threads may use it at once. */
class Router {
public:
    explicit Router(atoll_router *router) noexcept : router_(router) {}

    /* The algorithm over nodes, with options by name: {{"hash", "sha1"}, {"vnodes", "160"}}. */
    static Result<Router> of(const char *algorithm, const std::vector<Node> &nodes,
                             const std::vector<std::pair<const char *, const char *>> &options = {})
    {
        using Spec = Owner<atoll_router_spec, atoll_router_spec_free>;
        auto spec = make<Spec, atoll_router_spec>(
            [&](auto **made, auto **err) { return atoll_router_spec_new(algorithm, made, err); });
        if (!spec) {
            return spec.take_error();
        }
        for (const Node &node : nodes) {
            auto added = run([&](atoll_error **err) {
                return atoll_router_spec_add_node(spec->get(), node.name.data(), node.name.size(), node.weight, nullptr,
                                                  nullptr, err);
            });
            if (!added) {
                return added.take_error();
            }
        }
        for (const auto &[name, value] : options) {
            auto set = run([&, n = name, v = value](atoll_error **err) { return atoll_router_spec_set(spec->get(), n, v, err); });
            if (!set) {
                return set.take_error();
            }
        }
        return make<Router, atoll_router>(
            [&](auto **router, auto **err) { return atoll_router_new(spec->get(), router, err); });
    }
    /* From the bytes of a router or a topology, of any language. */
    static Result<Router> decode(std::string_view bytes)
    {
        return make<Router, atoll_router>(
            [&](auto **router, auto **err) { return atoll_router_decode(bytes.data(), bytes.size(), router, err); });
    }

    /* Names live as long as the router. */
    Result<std::string_view> node(std::string_view key) const
    {
        atoll_bytes name;
        atoll_error *error = nullptr;
        const atoll_status status = atoll_router_node(router_.get(), key.data(), key.size(), &name, &error);
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        return view_of(name);
    }
    Result<std::vector<std::string_view>> nodes(std::string_view key, std::size_t n) const
    {
        std::vector<atoll_bytes> names(n);
        std::size_t found = 0;
        atoll_error *error = nullptr;
        const atoll_status status =
            atoll_router_nodes(router_.get(), key.data(), key.size(), names.data(), n, &found, &error);
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        std::vector<std::string_view> answer;
        for (std::size_t i = 0; i < found; i++) {
            answer.push_back(view_of(names[i]));
        }
        return answer;
    }
    /* Bucket, range, slot or token; otherwise the index of the node. */
    Result<std::int64_t> number(std::string_view key) const
    {
        std::int64_t number = 0;
        atoll_error *error = nullptr;
        const atoll_status status = atoll_router_number(router_.get(), key.data(), key.size(), &number, &error);
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        return number;
    }
    Result<Buffer> encode() const
    {
        return make<Buffer, atoll_buf>([&](auto **data, auto **err) { return atoll_router_encode(router_.get(), data, err); });
    }
    /* What adding a node would move, as JSON, and the router after it. */
    Result<std::pair<Buffer, Router>> plan_add(const Node &node) const
    {
        atoll_buf *json = nullptr;
        atoll_router *after = nullptr;
        atoll_error *error = nullptr;
        const atoll_status status = atoll_router_plan_add(router_.get(), node.name.data(), node.name.size(), node.weight,
                                                          &json, &after, &error);
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        return std::pair<Buffer, Router>(Buffer(json), Router(after));
    }

private:
    Owner<atoll_router, atoll_router_free> router_;
};

/* How two clocks stand to each other. */
enum class Order { equal = ATOLL_VC_EQUAL, before = ATOLL_VC_BEFORE, after = ATOLL_VC_AFTER, concurrent = ATOLL_VC_CONCURRENT };

/* For each node the number of its writes that are known. */
class VectorClock {
public:
    VectorClock() : clock_(atoll_vclock_new()) {}
    explicit VectorClock(atoll_vclock *clock) noexcept : clock_(clock) {}
    VectorClock(const VectorClock &other) : clock_(atoll_vclock_clone(other.clock_.get())) {}
    VectorClock(VectorClock &&) noexcept = default;
    VectorClock &operator=(VectorClock other) noexcept
    {
        clock_ = std::move(other.clock_);
        return *this;
    }

    /* From text such as {"A":1,"B":3}. */
    static Result<VectorClock> parse(std::string_view text)
    {
        return make<VectorClock, atoll_vclock>(
            [&](auto **clock, auto **err) { return atoll_vclock_from_text(text.data(), text.size(), clock, err); });
    }
    Result<void> tick(std::string_view node)
    {
        return run([&](atoll_error **err) { return atoll_vclock_tick(clock_.get(), node.data(), node.size(), nullptr, err); });
    }
    Result<void> merge(const VectorClock &other)
    {
        return run([&](atoll_error **err) { return atoll_vclock_merge(clock_.get(), other.clock_.get(), err); });
    }
    Result<Order> compare(const VectorClock &other) const
    {
        std::int32_t answer = 0;
        atoll_error *error = nullptr;
        const atoll_status status = atoll_vclock_compare(clock_.get(), other.clock_.get(), &answer, &error);
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        return static_cast<Order>(answer);
    }
    Result<Buffer> text() const
    {
        return make<Buffer, atoll_buf>([&](auto **text, auto **err) { return atoll_vclock_to_text(clock_.get(), text, err); });
    }

private:
    Owner<atoll_vclock, atoll_vclock_free> clock_;
};

/* Some versions of a key, in the order of who wrote them. */
class Versions {
public:
    explicit Versions(atoll_versions *versions) noexcept : versions_(versions) {}

    std::size_t size() const noexcept { return atoll_versions_count(versions_.get()); }
    /* Version number `i`, below size(). Its views are valid as long as this lives. */
    atoll_version_view operator[](std::size_t i) const noexcept
    {
        atoll_version_view version{};
        if (atoll_versions_at(versions_.get(), i, &version, nullptr) != ATOLL_OK) {
            return {};
        }
        return version;
    }

private:
    Owner<atoll_versions, atoll_versions_free> versions_;
};

/* A rule for versions that did not know each other. Any thread. */
class Resolver {
public:
    explicit Resolver(atoll_resolver *resolver) noexcept : resolver_(resolver) {}

    /* One of lww, fields, set_union, counter, max, min, siblings. */
    static Result<Resolver> builtin(const char *name)
    {
        return make<Resolver, atoll_resolver>(
            [&](auto **resolver, auto **err) { return atoll_resolver_builtin(name, resolver, err); });
    }
    const char *name() const noexcept { return atoll_resolver_name(resolver_.get()); }
    /* What packed versions, in the bytes of atoll_version_encode(), come to. */
    Result<Versions> resolve(std::string_view key, const std::vector<std::string_view> &versions) const
    {
        std::string packed;
        std::vector<std::uint32_t> offsets{0};
        for (std::string_view version : versions) {
            packed += version;
            offsets.push_back(static_cast<std::uint32_t>(packed.size()));
        }
        return make<Versions, atoll_versions>([&](auto **resolved, auto **err) {
            return atoll_resolver_resolve(resolver_.get(), key.data(), key.size(),
                                          reinterpret_cast<const std::uint8_t *>(packed.data()), offsets.data(), versions.size(),
                                          resolved, err);
        });
    }
    /* A value as a user reads it: the JSON object of `fields`, the number of `counter`. */
    Result<Buffer> present(std::string_view value) const
    {
        return make<Buffer, atoll_buf>([&](auto **presented, auto **err) {
            return atoll_resolver_present(resolver_.get(), value.data(), value.size(), presented, err);
        });
    }
    const atoll_resolver *get() const noexcept { return resolver_.get(); }

private:
    Owner<atoll_resolver, atoll_resolver_free> resolver_;
};

/* The writes of one key that stand side by side. One thread at a time. */
class Siblings {
public:
    Siblings() : siblings_(atoll_siblings_new()) {}
    explicit Siblings(atoll_siblings *siblings) noexcept : siblings_(siblings) {}

    static Result<Siblings> decode(std::string_view bytes)
    {
        return make<Siblings, atoll_siblings>(
            [&](auto **set, auto **err) { return atoll_siblings_decode(bytes.data(), bytes.size(), set, err); });
    }
    Result<Buffer> encode() const
    {
        return make<Buffer, atoll_buf>([&](auto **data, auto **err) { return atoll_siblings_encode(siblings_.get(), data, err); });
    }
    /* A write of this node, which replaces what its context has seen; the bytes to ship. */
    Result<Buffer> put(const atoll_version_view &version)
    {
        return make<Buffer, atoll_buf>(
            [&](auto **data, auto **err) { return atoll_siblings_put(siblings_.get(), &version, data, err); });
    }
    /* A write of another node. */
    Result<void> apply(std::string_view version)
    {
        return run([&](atoll_error **err) { return atoll_siblings_apply(siblings_.get(), version.data(), version.size(), err); });
    }
    Result<void> merge(const Siblings &other)
    {
        return run([&](atoll_error **err) { return atoll_siblings_merge(siblings_.get(), other.siblings_.get(), err); });
    }
    /* What a write that replaces the present values carries. */
    Result<Buffer> context() const
    {
        return make<Buffer, atoll_buf>(
            [&](auto **context, auto **err) { return atoll_siblings_context(siblings_.get(), context, err); });
    }
    Result<Versions> versions() const
    {
        return make<Versions, atoll_versions>(
            [&](auto **versions, auto **err) { return atoll_siblings_versions(siblings_.get(), versions, err); });
    }
    Result<Versions> resolve(const Resolver &rule, std::string_view key) const
    {
        return make<Versions, atoll_versions>([&](auto **resolved, auto **err) {
            return atoll_siblings_resolve(siblings_.get(), rule.get(), key.data(), key.size(), resolved, err);
        });
    }

private:
    Owner<atoll_siblings, atoll_siblings_free> siblings_;
};

/* The clock of a node that stamps writes. Any number of threads may use it at once. */
class HlcClock {
public:
    explicit HlcClock(atoll_hlc_clock *clock) noexcept : clock_(clock) {}

    /* `mark`: the last one that send() or observe() told to persist. */
    static Result<HlcClock> open(std::uint64_t mark = 0, std::uint64_t max_skew_ms = 0, std::uint64_t reserve_ms = 0)
    {
        return make<HlcClock, atoll_hlc_clock>(
            [&](auto **clock, auto **err) { return atoll_hlc_clock_new(mark, max_skew_ms, reserve_ms, clock, err); });
    }

    struct Tick {
        std::uint64_t stamp = 0;
        /* 0, or a mark that must be durable before the stamp leaves the process. */
        std::uint64_t persist = 0;
        std::uint64_t ahead_ms = 0;
    };
    Result<Tick> send(std::uint64_t wall_ms = ATOLL_WALL_NOW)
    {
        Tick tick;
        auto done = run([&](atoll_error **err) {
            return atoll_hlc_clock_send(clock_.get(), wall_ms, &tick.stamp, &tick.persist, &tick.ahead_ms, err);
        });
        if (!done) {
            return done.take_error();
        }
        return tick;
    }
    /* The mark to persist, or 0. An error with status ATOLL_CONFLICT: the stamp is too far ahead. */
    Result<std::uint64_t> observe(std::uint64_t stamp, std::uint64_t wall_ms = ATOLL_WALL_NOW)
    {
        std::uint64_t persist = 0;
        auto done =
            run([&](atoll_error **err) { return atoll_hlc_clock_observe(clock_.get(), wall_ms, stamp, &persist, err); });
        if (!done) {
            return done.take_error();
        }
        return persist;
    }

private:
    Owner<atoll_hlc_clock, atoll_hlc_clock_free> clock_;
};

/* What one user of a cluster has written and read. Any number of threads may use it at once. */
class Session {
public:
    Session() : session_(atoll_session_new()) {}

    /* Asks from now on for what a token speaks of, too. */
    Result<void> see(std::string_view token)
    {
        return run([&](atoll_error **err) { return atoll_session_see(session_.get(), token.data(), token.size(), err); });
    }
    Result<Buffer> token() const
    {
        return make<Buffer, atoll_buf>([&](auto **token, auto **err) { return atoll_session_token(session_.get(), token, err); });
    }
    const atoll_session *get() const noexcept { return session_.get(); }

private:
    Owner<atoll_session, atoll_session_free> session_;
};

/* How a cluster is written. */
struct ClusterWrite : atoll_cluster_write_opts {
    ClusterWrite() noexcept : atoll_cluster_write_opts ATOLL_CLUSTER_WRITE_OPTS_INIT {}

    static ClusterWrite replicated() noexcept
    {
        ClusterWrite write;
        write.durability = ATOLL_DURABILITY_REPLICATED;
        return write;
    }
    /* The session must outlive the call. */
    ClusterWrite &in(const Session &of) noexcept
    {
        session = of.get();
        return *this;
    }
    ClusterWrite &ttl(std::uint64_t ms) noexcept
    {
        ttl_ms = ms;
        return *this;
    }
};

/* How a cluster is read. What is named must outlive the call. */
struct ClusterRead : atoll_cluster_read_opts {
    ClusterRead() noexcept : atoll_cluster_read_opts ATOLL_CLUSTER_READ_OPTS_INIT {}

    static ClusterRead eventual() noexcept
    {
        ClusterRead read;
        read.consistency = ATOLL_CONSISTENCY_EVENTUAL;
        return read;
    }
    /* Everything the session has written or read, from any copy. */
    static ClusterRead in(const Session &of) noexcept
    {
        ClusterRead read;
        read.consistency = ATOLL_CONSISTENCY_READ_YOUR_WRITES;
        read.session = of.get();
        return read;
    }
    /* Everything the token speaks of, from any copy. */
    static ClusterRead after(std::string_view bytes) noexcept
    {
        ClusterRead read;
        read.consistency = ATOLL_CONSISTENCY_READ_YOUR_WRITES;
        read.token = reinterpret_cast<const std::uint8_t *>(bytes.data());
        read.token_len = bytes.size();
        return read;
    }
};

/* Shards times replicas in one directory. Any number of threads may use it at once. */
class Cluster {
public:
    explicit Cluster(atoll_cluster *cluster) noexcept : cluster_(cluster) {}

    /* `nodes`: a list such as "n1,n2=2,n3". */
    static Result<Cluster> create(const char *path, const char *nodes, std::uint32_t shards, std::uint32_t replicas,
                                  const Options &options = {})
    {
        return make<Cluster, atoll_cluster>([&](auto **cluster, auto **err) {
            return atoll_cluster_create(path, nodes, shards, replicas, options.get(), cluster, err);
        });
    }
    static Result<Cluster> open(const char *path, const Options &options = {})
    {
        return make<Cluster, atoll_cluster>(
            [&](auto **cluster, auto **err) { return atoll_cluster_open(path, options.get(), cluster, err); });
    }
    Result<void> close()
    {
        return run([&](atoll_error **err) { return atoll_cluster_close(cluster_.get(), err); });
    }

    /* Writes give a token that proves them to later reads. */
    Result<Buffer> put(std::string_view key, std::string_view value, const ClusterWrite &write = {})
    {
        return make<Buffer, atoll_buf>([&](auto **token, auto **err) {
            return atoll_cluster_put(cluster_.get(), &write, key.data(), key.size(), value.data(), value.size(), token, err);
        });
    }
    Result<Buffer> remove(std::string_view key, const ClusterWrite &write = {})
    {
        return make<Buffer, atoll_buf>([&](auto **token, auto **err) {
            return atoll_cluster_delete(cluster_.get(), &write, key.data(), key.size(), token, err);
        });
    }
    Result<Buffer> apply(const Batch &batch, const ClusterWrite &write = {})
    {
        return make<Buffer, atoll_buf>([&](auto **token, auto **err) {
            return atoll_cluster_write(cluster_.get(), &write, batch.get(), token, err);
        });
    }
    /* Takes away the values of all keys in a range; how many there were. */
    Result<std::uint64_t> remove_range(const Range &range, const ClusterWrite &write = {})
    {
        std::uint64_t deleted = 0;
        const atoll_range c = range.c();
        auto done = run([&](atoll_error **err) {
            return atoll_cluster_delete_range(cluster_.get(), &write, &c, &deleted, nullptr, err);
        });
        if (!done) {
            return done.take_error();
        }
        return deleted;
    }

    /* Nothing for a key without a value. */
    Result<std::optional<Value>> get(std::string_view key, const ClusterRead &read = {}) const
    {
        Owner<atoll_pin, atoll_pin_free> pin(atoll_pin_new());
        atoll_bytes value;
        atoll_error *error = nullptr;
        const atoll_status status =
            atoll_cluster_get(cluster_.get(), &read, key.data(), key.size(), pin.get(), &value, &error);
        if (status == ATOLL_NOT_FOUND) {
            return std::optional<Value>();
        }
        if (status != ATOLL_OK) {
            return Error(status, error);
        }
        return std::optional<Value>(Value(pin.release(), value));
    }
    /* Values of many keys, in their order; those of a shard are read together. */
    Result<std::vector<std::optional<std::string>>> get_many(const std::vector<std::string_view> &keys,
                                                             const ClusterRead &read = {}) const
    {
        return read_many(keys, [&](auto... rest) { return atoll_cluster_multi_get(cluster_.get(), &read, rest...); });
    }
    Result<Scan> scan(const Range &range = {}, const ClusterRead &read = {}) const
    {
        const atoll_range c = range.c();
        return make<Scan, atoll_iter>(
            [&](auto **iter, auto **err) { return atoll_cluster_scan(cluster_.get(), &read, &c, iter, err); });
    }
    Result<std::uint64_t> count(const ClusterRead &read = {}) const
    {
        std::uint64_t count = 0;
        auto done = run([&](atoll_error **err) { return atoll_cluster_count(cluster_.get(), &read, &count, err); });
        if (!done) {
            return done.take_error();
        }
        return count;
    }
    Result<Approximate> count_approximate(const Range &range = {}, std::uint32_t slot = ATOLL_SLOT_ANY) const
    {
        Approximate answer;
        const atoll_range c = range.c();
        auto done =
            run([&](atoll_error **err) { return atoll_cluster_count_approximate(cluster_.get(), &c, slot, &answer, err); });
        if (!done) {
            return done.take_error();
        }
        return answer;
    }

    /* Nodes, shards and replicas as JSON. */
    Result<Buffer> status() const
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) { return atoll_cluster_status_json(cluster_.get(), json, err); });
    }
    /* Where every key lives, as of now. */
    Result<Router> router() const
    {
        return make<Router, atoll_router>(
            [&](auto **router, auto **err) { return atoll_cluster_router(cluster_.get(), router, err); });
    }
    Result<Health> health() const
    {
        return health_of([&](auto... rest) { return atoll_cluster_health(cluster_.get(), rest...); });
    }
    /* Figures as Prometheus reads them. */
    Result<Buffer> metrics() const
    {
        return make<Buffer, atoll_buf>([&](auto **text, auto **err) { return atoll_cluster_metrics(cluster_.get(), text, err); });
    }
    /* Copies every shard as it is at one instant; what was copied, as JSON. */
    Result<Buffer> backup(const char *target, std::uint32_t flags = 0, const Progress &progress = {}) const
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) {
            return atoll_cluster_backup(cluster_.get(), target, flags, function_of(progress), context_of(progress), json, err);
        });
    }
    /* Reads all replicas and compares them with each other. */
    Result<Found> verify(const Progress &progress = {}) const
    {
        return found_by([&](auto... rest) {
            return atoll_cluster_verify(cluster_.get(), function_of(progress), context_of(progress), rest...);
        });
    }
    /* What a change of members, as JSON, would move, as JSON: {"add":{"name":"n4"}}, {"remove":"n1"}. */
    Result<Buffer> plan(std::string_view change) const
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) {
            return atoll_cluster_plan(cluster_.get(), change.data(), change.size(), json, err);
        });
    }
    /* Carries it out while reads and writes go on; what was moved, as JSON. */
    Result<Buffer> rebalance(std::string_view change, const Progress &progress = {})
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) {
            return atoll_cluster_rebalance(cluster_.get(), change.data(), change.size(), function_of(progress), context_of(progress), json,
                                           err);
        });
    }
    /* Goes on with one that was interrupted. An error with status ATOLL_NOT_FOUND: there is none. */
    Result<Buffer> resume_rebalance(const Progress &progress = {})
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) {
            return atoll_cluster_rebalance_resume(cluster_.get(), function_of(progress), context_of(progress), json, err);
        });
    }
    /* Compacts every copy in service; what was done, as JSON. */
    Result<Buffer> compact()
    {
        return make<Buffer, atoll_buf>([&](auto **json, auto **err) { return atoll_cluster_compact(cluster_.get(), json, err); });
    }
    /* What has happened since it was opened, as a JSON array. */
    Result<Buffer> events() const
    {
        return make<Buffer, atoll_buf>(
            [&](auto **json, auto **err) { return atoll_cluster_events_json(cluster_.get(), json, err); });
    }
    atoll_cluster *get() const noexcept { return cluster_.get(); }

private:
    Owner<atoll_cluster, atoll_cluster_free> cluster_;
};

/* Makes a store or a cluster of a backup; what was restored, as JSON. */
inline Result<Buffer> restore(const char *backup, const char *path, const Progress &progress = {})
{
    return make<Buffer, atoll_buf>([&](auto **json, auto **err) {
        return atoll_restore(backup, path, function_of(progress), context_of(progress), json, err);
    });
}

/* Compares every checksum of a backup. */
inline Result<Found> verify_backup(const char *backup, const Progress &progress = {})
{
    return found_by([&](auto... rest) {
        return atoll_backup_verify(backup, function_of(progress), context_of(progress), rest...);
    });
}

/* Saves what can be saved of a damaged store into a new one; `damaged` counts what could not be. */
inline Result<Found> repair(const char *source, const char *target, const Progress &progress = {})
{
    return found_by([&](auto... rest) {
        return atoll_repair(source, target, function_of(progress), context_of(progress), rest...);
    });
}

/* Takes what the library has to say: ATOLL_LOG_LEVEL_..., the module, a line of text. Called by one thread of the library's own. */
using Logger = std::function<void(std::uint32_t level, std::string_view target, std::string_view message)>;

/* Hands what the library has to say to `logger` from now on; an empty one: to nobody. */
inline Result<void> set_logger(Logger logger, std::uint32_t max_level = ATOLL_LOG_LEVEL_INFO)
{
    if (!logger) {
        return run([&](atoll_error **err) { return atoll_set_logger(nullptr, nullptr, nullptr, 0, err); });
    }
    auto *kept = new Logger(std::move(logger));
    return run([&](atoll_error **err) {
        return atoll_set_logger(
            [](void *ctx, std::uint32_t level, atoll_bytes target, atoll_bytes message) {
                (*static_cast<Logger *>(ctx))(level, view_of(target), view_of(message));
            },
            kept, [](void *ctx) { delete static_cast<Logger *>(ctx); }, max_level, err);
    });
}

} // namespace atolldb

#endif
