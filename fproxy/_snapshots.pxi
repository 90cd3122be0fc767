# The last event of each topic; a part of _fastpath.pyx, as texts must be hashed with the seed that it hashes with.

cdef extern from "snapshots.hpp" namespace "fproxy" nogil:
    cdef cppclass MessageBuffer:
        pair[const char *, size_t] finish()

    cdef cppclass Passed "fproxy::Snapshots::Passed":
        uint64_t before
        uint64_t replayed_from
        int64_t replayed_since

    cdef cppclass Piece "fproxy::Snapshots::Piece":
        size_t next
        size_t count

    cdef cppclass CppSnapshots "fproxy::Snapshots":
        CppSnapshots(size_t most_bytes, uint64_t seed) except +core_error
        uint64_t next() const
        bool_t read(
            const Text &type, const Text &symbol, const Passed &passed, size_t max_payload, MessageBuffer &to
        ) except +core_error
        Piece read_all(
            const Text &type, const Text &prefix, const Passed &passed, size_t start, size_t most_places,
            size_t most_bytes, size_t max_payload, MessageBuffer &to
        ) except +core_error
        size_t topics() const
        uint64_t evicted() const
        size_t bytes() const


# How much of a snapshot is made in one step: less than a millisecond, also where few of the topics are wanted.
cdef size_t SNAPSHOT_PLACES = 4096
cdef size_t SNAPSHOT_BYTES = 64 * 1024


cdef Passed passed_events(object before, object replayed_from, int64_t replayed_since):
    cdef Passed passed
    passed.before = before
    passed.replayed_from = ~<uint64_t>0 if replayed_from is None else replayed_from
    passed.replayed_since = replayed_since
    return passed


cdef object finished_frames(MessageBuffer &frames):
    cdef pair[const char *, size_t] ready = frames.finish()
    return PyBytes_FromStringAndSize(ready.first, ready.second)


cdef class Snapshots:
    cdef CppSnapshots *_snapshots

    def __cinit__(self, *, size_t max_bytes):
        if max_bytes < 1:
            raise ValueError("snapshots of 0 bytes keep nothing")
        self._snapshots = new CppSnapshots(max_bytes, process_seed())

    def __dealloc__(self):
        del self._snapshots

    def read(self, object topics, *, before, replayed_from=None, int64_t replayed_since=0):
        cdef Passed passed = passed_events(before, replayed_from, replayed_since)
        cdef MessageBuffer frames
        cdef bytes type_bytes, symbol_bytes
        cdef str event_type, symbol
        cdef size_t count = 0
        for event_type, symbol in topics:
            type_bytes = event_type.encode("utf-8", "surrogatepass")
            symbol_bytes = symbol.encode("utf-8", "surrogatepass")
            count += self._snapshots.read(
                Text.of(PyBytes_AS_STRING(type_bytes), PyBytes_GET_SIZE(type_bytes)),
                Text.of(PyBytes_AS_STRING(symbol_bytes), PyBytes_GET_SIZE(symbol_bytes)),
                passed,
                DEFAULT_MAX_MESSAGE,
                frames,
            )
        return finished_frames(frames), count

    def read_under(self, object wildcard, size_t start, *, before, replayed_from=None, int64_t replayed_since=0):
        cdef Passed passed = passed_events(before, replayed_from, replayed_since)
        cdef MessageBuffer frames
        cdef str event_type, pattern
        cdef bytes type_bytes, prefix_bytes
        event_type, pattern = wildcard
        type_bytes = b"" if event_type == "*" else event_type.encode("utf-8", "surrogatepass")
        prefix_bytes = pattern.removesuffix("*").encode("utf-8", "surrogatepass")
        cdef Piece piece = self._snapshots.read_all(
            Text.of(PyBytes_AS_STRING(type_bytes), PyBytes_GET_SIZE(type_bytes)),
            Text.of(PyBytes_AS_STRING(prefix_bytes), PyBytes_GET_SIZE(prefix_bytes)),
            passed,
            start,
            SNAPSHOT_PLACES,
            SNAPSHOT_BYTES,
            DEFAULT_MAX_MESSAGE,
            frames,
        )
        return finished_frames(frames), piece.count, piece.next or None

    @property
    def next(self):
        return self._snapshots.next()

    @property
    def topics(self):
        return self._snapshots.topics()

    @property
    def evicted(self):
        return self._snapshots.evicted()

    @property
    def bytes(self):
        return self._snapshots.bytes()
