# The messages that are kept for those who ask for what has passed; a part of _fastpath.pyx.

cdef extern from "history.hpp" namespace "fproxy" nogil:
    cdef cppclass HistoryMessage "fproxy::History::Message":
        const char *begin
        const char *end
        int64_t received
        unsigned int source
        bool_t was_live

    cdef cppclass CppHistory "fproxy::History":
        CppHistory(size_t most_bytes, int64_t span_ms) except +core_error
        void append(
            unsigned int source, const char *begin, const char *end, int64_t now, bool_t is_live
        ) except +core_error
        void trim(int64_t now)
        uint64_t first() const
        uint64_t next() const
        HistoryMessage operator[](uint64_t number) const
        uint64_t received_from(int64_t time) const
        int64_t complete_from() const
        size_t bytes() const


cdef extern from "topic_counts.hpp" namespace "fproxy" nogil:
    cdef cppclass TopicCount:
        string type
        string symbol
        unsigned int source
        uint64_t events

    cdef cppclass HotTopics:
        vector[TopicCount] topics
        int64_t since

    HotTopics count_hot_topics "fproxy::hot_topics"(
        const CppHistory &history, size_t most_bytes, int64_t since, size_t limit
    ) except +core_error


cdef class History:
    cdef CppHistory *_history

    def __cinit__(self, *, size_t max_bytes, int64_t span_ms):
        if max_bytes < 1 or span_ms < 1:
            raise ValueError(f"a history of {max_bytes} bytes and {span_ms} ms keeps nothing")
        self._history = new CppHistory(max_bytes, span_ms)

    def __dealloc__(self):
        del self._history

    def append(self, unsigned int source, object payload, *, int64_t now, bint is_live=True):
        cdef Py_buffer view
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            self._history.append(
                source, <const char *>view.buf, <const char *>view.buf + view.len, now, is_live
            )
        finally:
            PyBuffer_Release(&view)

    def trim(self, int64_t now):
        self._history.trim(now)

    def received_from(self, int64_t time):
        return self._history.received_from(time)

    def messages(self, uint64_t start):
        cdef uint64_t number
        cdef HistoryMessage message
        cdef list found = []
        for number in range(max(start, self._history.first()), self._history.next()):
            message = self._history[0][number]
            found.append((message.source, message.received, message.begin[:message.end - message.begin]))
        return found

    def hot_topics(self, *, size_t max_bytes, int64_t since, size_t limit):
        cdef HotTopics found = count_hot_topics(self._history[0], max_bytes, since, limit)
        cdef size_t i
        topics = [
            (
                found.topics[i].type.decode("utf-8", "replace"),
                found.topics[i].symbol.decode("utf-8", "replace"),
                found.topics[i].source,
                found.topics[i].events,
            )
            for i in range(found.topics.size())
        ]
        return topics, found.since or None

    @property
    def first(self):
        return self._history.first()

    @property
    def next(self):
        return self._history.next()

    @property
    def complete_from(self):
        return self._history.complete_from()

    @property
    def bytes(self):
        return self._history.bytes()
