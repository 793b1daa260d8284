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

/* An open store. Any number of threads may use it at once. */
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
            const atoll_status status =
                atoll_multi_get(db_.get(), nullptr, reinterpret_cast<const std::uint8_t *>(packed.data()), offsets.data(),
                                keys.size(), values.data(), values.size(), ends.data(), found.data(), &needed, &error);
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

    /* Writes if the key has the value `expected`, or none if that is empty. An error with status ATOLL_CONFLICT: it has not. */
    Result<void> compare_and_set(std::string_view key, std::optional<std::string_view> expected,
                                 std::optional<std::string_view> value, const Write &write = {})
    {
        const auto bytes = [](std::string_view view) {
            return atoll_bytes{reinterpret_cast<const std::uint8_t *>(view.data()), view.size()};
        };
        atoll_expected wanted{expected ? std::uint32_t{ATOLL_EXPECT_VALUE} : std::uint32_t{ATOLL_EXPECT_ABSENT}, 0, bytes(expected.value_or("")), 0, 0};
        const atoll_bytes next = bytes(value.value_or(""));
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

} // namespace atolldb

#endif
